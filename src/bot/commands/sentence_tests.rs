//! What people type: options around free text, capitals, what is suggested instead.

use std::path::Path;

use super::tests::{files, mistake, typed};
use super::*;
use crate::command::Parsed;

/// All commands that end in a text: the incident, the severity and the services that are named, and
/// the text.
fn understood(sentence: &str) -> (Option<String>, String, String) {
    let word = sentence.to_lowercase();
    let of =
        |text: Vec<String>, incident: Option<String>| (incident, String::new(), text.join(" "));
    match word.split_whitespace().next() {
        Some("note") => {
            let one: note::Note = typed(sentence);
            of(one.text, one.incident)
        }
        Some("update") => {
            let one: update::Update = typed(sentence);
            of(one.text, one.incident)
        }
        Some("mitigate") => {
            let one: mitigate::Mitigate = typed(sentence);
            of(one.text, one.incident)
        }
        Some("resolve") => {
            let one: resolve::Resolve = typed(sentence);
            of(one.text, one.incident)
        }
        _ => {
            let one: incident::declare::Declare = typed(sentence);
            let options = format!("{} {}", one.severity, one.service.join("+"));
            (None, options, one.title.join(" "))
        }
    }
}

#[test]
fn an_option_counts_before_and_after_the_text_of_every_command_that_ends_in_one() {
    let free: Vec<&str> = COMMANDS
        .typed()
        .filter(|one| one.free_text)
        .map(|one| one.words)
        .collect();
    assert_eq!(
        free,
        ["incident declare", "note", "update", "mitigate", "resolve"]
    );
    let on = |id: &str, text: &str| (Some(id.to_owned()), String::new(), text.to_owned());
    let here = |text: &str| (None, String::new(), text.to_owned());
    for command in ["note", "update", "mitigate", "resolve"] {
        for (rest, meant) in [
            ("rolled back --incident INC-1", on("INC-1", "rolled back")),
            ("--incident INC-1 rolled back", on("INC-1", "rolled back")),
            ("--incident=INC-1 rolled back", on("INC-1", "rolled back")),
            ("rolled back —incident INC-1", on("INC-1", "rolled back")),
            ("rolled back --Incident=INC-1", on("INC-1", "rolled back")),
            (
                "it's \"odd\"\n –incident INC-1 ",
                on("INC-1", "it's \"odd\""),
            ),
            ("rollback —done", here("rollback —done")),
            ("rollback --done", here("rollback --done")),
            ("—done", here("—done")),
            (
                "see the DB — which — is slow",
                here("see the DB — which — is slow"),
            ),
            ("it was --reason 3 --help", here("it was --reason 3 --help")),
            (
                "they said '--incident INC-1'",
                here("they said '--incident INC-1'"),
            ),
            ("which --incident", here("which --incident")),
            ("-- it --incident INC-1", here("it --incident INC-1")),
            (
                "--incident INC-2 -- it --incident INC-1",
                on("INC-2", "it --incident INC-1"),
            ),
        ] {
            let sentence = format!("{command} {rest}");
            assert_eq!(understood(&sentence), meant, "{sentence}");
        }
    }
    let declared = |options: &str, title: &str| (None, options.to_owned(), title.to_owned());
    for (rest, meant) in [
        ("It's down", declared("SEV3 ", "It's down")),
        (
            "It's down --severity sev1 —service api",
            declared("SEV1 api", "It's down"),
        ),
        (
            "—severity 1 --service api --service redis All is down",
            declared("SEV1 api+redis", "All is down"),
        ),
        (
            "--severity 2 slow --service api",
            declared("SEV2 api", "slow"),
        ),
        (
            "\"frontend is — down\" --severity 2",
            declared("SEV2 ", "frontend is — down"),
        ),
        (
            "slow since --deploy",
            declared("SEV3 ", "slow since --deploy"),
        ),
    ] {
        let sentence = format!("incident declare {rest}");
        assert_eq!(understood(&sentence), meant, "{sentence}");
    }
    // Quotes around all of it only keep it together.
    assert_eq!(understood("resolve \"slow disk\"").2, "slow disk");
    assert_eq!(understood("note \"slow\" disk").2, "\"slow\" disk");
}

#[test]
fn an_option_in_the_middle_of_a_text_is_asked_about() {
    let wrong = mistake("note it --incident INC-1 was rolled back");
    insta::assert_snapshot!(wrong.text, @"--incident INC-1 stands in the middle of the text. An option stands before the text or after it");
    assert_eq!(
        wrong.suggestions,
        [
            "note it was rolled back --incident INC-1",
            "note -- it --incident INC-1 was rolled back"
        ]
    );
    for sentence in wrong.suggestions {
        understood(&sentence);
    }
}

#[test]
fn capitals_are_the_same_words() {
    typed::<status::Status>("STATUS");
    typed::<Restart>("Restart frontend");
    typed::<oncall::show::Show>("Oncall Show");
    assert_eq!(understood("Note It IS slow").2, "It IS slow");
    assert_eq!(understood("Incident Declare API is down").2, "API is down");
    typed::<export::Export>("Export INC-1 --format JSON");
    typed::<Restart>("restart api —reason 'too slow'");
}

#[test]
fn mistakes_are_told_in_our_words() {
    let told: Vec<String> = [
        "restrat frontend",
        "restart frontend --reason weekly test",
        "rollback api —reason weekly test --exactly x",
        "restart frontend now",
        "restart frontend --raeson slow",
        "restart frontend --reason",
        "restart frontend --reason a --reason b",
        "logs api --since yesterday",
        "export INC-1 --format pdf",
        "incident declare It is down --severity high",
        "incident assign boss @ana",
        "incident",
        "silence X",
        "silence X 2h --end",
    ]
    .into_iter()
    .map(|sentence| {
        let wrong = mistake(sentence);
        for suggestion in &wrong.suggestions {
            let pressed = COMMANDS.parse(suggestion, "/treasury");
            assert!(pressed.is_ok(), "{sentence}: {suggestion}");
        }
        let text = wrong.text.lines().next().unwrap_or_default().to_owned();
        format!("{sentence}\n  {text}\n  {}", wrong.suggestions.join(" | "))
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    restrat frontend
      There is no command `restrat`
      restart frontend
    restart frontend --reason weekly test
      Put the text in quotes: --reason "weekly test"
      restart frontend --reason "weekly test" | help restart
    rollback api —reason weekly test --exactly x
      Put the text in quotes: --reason "weekly test"
      rollback api --reason "weekly test" --exactly x | help rollback
    restart frontend now
      `restart` takes no `now`
      help restart
    restart frontend --raeson slow
      `restart` takes no `--raeson`
      restart frontend --reason slow | help restart
    restart frontend --reason
      --reason: it needs a value
      help restart
    restart frontend --reason a --reason b
      --reason is given twice
      help restart
    logs api --since yesterday
      --since: `yesterday` is not a duration: write a number and a unit, such as `90s`, `10m`, `2h` or `3d`
      help logs
    export INC-1 --format pdf
      --format `pdf`: write one of md, json, csv, html
      help export
    incident declare It is down --severity high
      --severity `high`: write SEV1, SEV2, SEV3 or SEV4
      help incident declare
    incident assign boss @ana
      ROLE `boss`: write commander, communications, scribe or responder
      help incident assign
    incident
      `incident` needs one of: declare, list, show, severity, assign, link
      
    silence X
      `silence` needs TIME
      help silence
    silence X 2h --end
      TIME and --end: one of them, not both
      help silence
    "#);
}

/// The last text in the call that begins here.
fn last_text(source: &str) -> Option<String> {
    let (mut depth, mut quoted, mut end, mut before) = (0, false, source.len(), ' ');
    for (at, c) in source.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 && c == ')' {
            end = at;
            break;
        }
        before = c;
    }
    let mut texts = source[..end].split('"');
    let last = texts.by_ref().skip(1).step_by(2).last()?;
    Some(last.to_owned())
}

/// A format with its holes filled in all the ways that may make sense.
fn filled(format: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for (n, part) in format.split('{').enumerate() {
        let rest = part.split_once('}').map_or(part, |(_, rest)| rest);
        let holes: &[&str] = match n {
            0 => &[""],
            _ => &["1", "api", "INC-1", "2h", "sev1", "restart", ""],
        };
        all = all
            .iter()
            .flat_map(|before| {
                holes
                    .iter()
                    .map(move |hole| format!("{before}{hole}{rest}"))
            })
            .collect();
    }
    all
}

#[test]
fn whatever_a_button_says_is_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bot");
    let mut seen = 0;
    for (name, text) in files(&folder) {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in [".suggest(", "Button::new("] {
            for (at, _) in text.match_indices(call) {
                let Some(says) = last_text(&text[at + call.len() - 1..]) else {
                    continue;
                };
                // One text only: the label, beside a sentence from elsewhere.
                let is_sentence =
                    says.starts_with(|c: char| c.is_ascii_lowercase()) && says.contains(' ');
                if !is_sentence {
                    continue;
                }
                seen += 1;
                let understood = filled(&says).iter().any(|sentence| {
                    let parsed = COMMANDS.parse(sentence, "/treasury");
                    matches!(parsed, Ok(Parsed::Command(_)))
                });
                assert!(understood, "{name}: {says}");
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn a_sentence_is_read_alike_whatever_was_read_before() {
    let sentences = [
        "restart frontend --nonsense",
        "incident",
        "incident declare",
        "alerts --all",
        "db sumary",
        "scale frontend x",
        "restart",
        "note it -- is --nonsense",
    ];
    let rows = COMMANDS.reference("/treasury");
    for _ in 0..2 {
        for sentence in sentences {
            let fresh = Commands {
                entries: COMMANDS.entries,
                groups: COMMANDS.groups,
                grammars: Grammars::default(),
            };
            let read = |by: &Commands| by.misunderstood(sentence, "/treasury");
            assert_eq!(read(&COMMANDS), read(&fresh), "{sentence}");
            let help = |by: &Commands| by.help(&["incident".into(), "declare".into()], "/treasury");
            assert_eq!(help(&COMMANDS), help(&fresh), "after {sentence}");
            assert_eq!(fresh.reference("/treasury"), rows, "after {sentence}");
        }
    }
}
