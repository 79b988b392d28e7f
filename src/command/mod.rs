//! The chat grammar: words to a [`Command`], help, suggestions. Pure.
//!
//! One grammar for Slack and for `treasury-bot exec`. It is a clap parser, so that every mistake
//! gets clap's message and suggestion.

mod grammar;
mod oncall;
mod probes;
mod runbook;
pub mod words;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use grammar::Grammar;
pub use grammar::{Command, ExportFormat, IncidentCommand};
pub use oncall::OncallCommand;
pub use probes::{CacheCommand, DbCommand};
pub use runbook::RunbookCommand;

/// Why a sentence is no command. All of it is told to the asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong and what is expected, in a few lines.
    pub text: String,
    /// What was perhaps meant: whole sentences.
    pub suggestions: Vec<String>,
}

/// What a sentence asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A command.
    Command(Command),
    /// Help on a command, by `COMMAND --help`.
    Help(String),
}

/// Parses a sentence without the slash command's own name. An empty one is the menu.
pub fn parse(text: &str, name: &str) -> Result<Parsed, Mistake> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Parsed::Command(Command::Menu { service: None }));
    }
    if let Some((text, incident)) = raw(text, "note") {
        return Ok(Parsed::Command(Command::Note { text, incident }));
    }
    if let Some((text, incident)) = raw(text, "update") {
        return Ok(Parsed::Command(Command::Update { text, incident }));
    }
    let words = words::split(text);
    let command = Grammar::command().bin_name(name.to_owned());
    match command.clone().try_get_matches_from(&words) {
        Ok(matches) => Grammar::from_arg_matches(&matches)
            .map(|grammar| Parsed::Command(grammar.command))
            .map_err(|error| mistake(error.format(&mut command.clone()), &words)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            Ok(Parsed::Help(error.render().to_string().trim().to_owned()))
        }
        Err(error) => Err(mistake(error, &words)),
    }
}

/// What follows these commands is taken as typed: its quotes, line breaks and dashes are the text's
/// own. The text, and the incident if one is named.
fn raw(text: &str, command: &str) -> Option<(Vec<String>, Option<String>)> {
    let rest = text.strip_prefix(command)?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim();
    let (incident, rest) = match rest.strip_prefix("--incident") {
        Some(after) => {
            let after = after.strip_prefix(['=', ' '])?.trim_start();
            let end = after.find(char::is_whitespace)?;
            (Some(after[..end].to_owned()), after[end..].trim())
        }
        None => (None, rest),
    };
    if rest.is_empty() || rest == "--help" || rest == "-h" {
        return None;
    }
    Some((vec![rest.to_owned()], incident))
}

fn mistake(error: clap::Error, words: &[String]) -> Mistake {
    let mut suggestions = Vec::new();
    let mut replace = |wrong: Option<&ContextValue>, right: Option<&ContextValue>| {
        let (Some(ContextValue::String(wrong)), Some(right)) = (wrong, right) else {
            return;
        };
        let right: Vec<&String> = match right {
            ContextValue::String(one) => vec![one],
            ContextValue::Strings(many) => many.iter().collect(),
            _ => return,
        };
        for better in right.into_iter().take(3) {
            let sentence: Vec<String> = words
                .iter()
                .map(|word| words::quote(if word == wrong { better } else { word }))
                .collect();
            suggestions.push(sentence.join(" "));
        }
    };
    replace(
        error.get(ContextKind::InvalidSubcommand),
        error.get(ContextKind::SuggestedSubcommand),
    );
    replace(
        error.get(ContextKind::InvalidValue),
        error.get(ContextKind::SuggestedValue),
    );
    let text = error.render().to_string();
    let text = text.trim().trim_start_matches("error: ");
    Mistake {
        text: crate::domain::timeline::cut(text, 2_000),
        suggestions,
    }
}

/// The commands with their usage and purpose, as `help` and the README show them.
pub fn reference(name: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut grammar = Grammar::command().bin_name(name.to_owned());
    grammar.build();
    for command in grammar
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let children: Vec<_> = command
            .get_subcommands()
            .filter(|child| !child.is_hide_set())
            .collect();
        if children.is_empty() {
            rows.push(row(command));
        }
        rows.extend(children.into_iter().map(row));
    }
    rows
}

fn row(command: &clap::Command) -> (String, String) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    // The command's own name is configurable, so the reference goes without it.
    let usage = usage.split_once(' ').map_or(usage, |(_, rest)| rest);
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    (usage.to_owned(), about)
}

/// Help on one command (`restart`, `incident declare`), or `None` if there is no such.
pub fn help(topic: &[String], name: &str) -> Option<String> {
    let mut grammar = Grammar::command().bin_name(name.to_owned());
    grammar.build();
    let mut command = &mut grammar;
    for word in topic {
        command = command.find_subcommand_mut(word)?;
    }
    if command.is_hide_set() {
        return None;
    }
    Some(command.render_long_help().to_string().trim().to_owned())
}

/// The name nearest to `wrong`, if any is near enough to be meant.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::bot::Change;
    use crate::bot::actions::{restart::Restart, scale::Scale};

    fn command(text: &str) -> Command {
        match parse(text, "/treasury") {
            Ok(Parsed::Command(command)) => command,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn commands_are_parsed() {
        assert_eq!(command(""), Command::Menu { service: None });
        assert_eq!(
            command("restart frontend --reason 'too slow'"),
            Command::Change(Change::Restart(Restart {
                service: "frontend".into(),
                reason: Some("too slow".into())
            }))
        );
        assert_eq!(
            command("scale api 3"),
            Command::Change(Change::Scale(Scale {
                service: "api".into(),
                replicas: 3,
                reason: None
            }))
        );
        assert_eq!(
            command("logs api --lines 20 --since 10m --grep ERROR"),
            Command::Logs {
                service: "api".into(),
                lines: 20,
                since: Some(Duration::from_secs(600)),
                grep: Some("ERROR".into()),
                previous: false,
                container: None,
            }
        );
        assert_eq!(
            command("incident declare It's down --severity sev1 --service frontend"),
            Command::Incident(IncidentCommand::Declare {
                title: vec!["It's".into(), "down".into()],
                severity: crate::domain::Severity::Sev1,
                service: vec!["frontend".into()],
            })
        );
    }

    #[test]
    fn a_note_is_taken_as_typed() {
        assert_eq!(
            command("note it's \"slow\"\n  -- since 3"),
            Command::Note {
                text: vec!["it's \"slow\"\n  -- since 3".into()],
                incident: None
            }
        );
        assert_eq!(
            command("note --incident INC-3 back to normal"),
            Command::Note {
                text: vec!["back to normal".into()],
                incident: Some("INC-3".into())
            }
        );
        assert!(parse("note", "/treasury").is_err());
        assert_eq!(
            command("update we're back; \"all\" is well"),
            Command::Update {
                text: vec!["we're back; \"all\" is well".into()],
                incident: None
            }
        );
    }

    #[test]
    fn a_mistake_says_what_was_perhaps_meant() {
        let mistake = parse("restrat frontend", "/treasury").unwrap_err();
        assert_eq!(mistake.suggestions, ["restart frontend"]);
        let mistake = parse("scale api many", "/treasury").unwrap_err();
        insta::assert_snapshot!(mistake.text, @r"
        invalid value 'many' for '<REPLICAS>': invalid digit found in string

        For more information, try '--help'.
        ");
        let mistake = parse("restart", "/treasury").unwrap_err();
        insta::assert_snapshot!(mistake.text, @r"
        the following required arguments were not provided:
          <SERVICE>

        Usage: /treasury restart <SERVICE>

        For more information, try '--help'.
        ");
    }

    #[test]
    fn help_is_found_by_topic_and_by_flag() {
        assert!(
            help(&["restart".into()], "/treasury")
                .unwrap()
                .contains("--reason")
        );
        assert!(
            help(&["incident".into(), "declare".into()], "/t")
                .unwrap()
                .contains("--severity")
        );
        assert_eq!(help(&["nonsense".into()], "/treasury"), None);
        assert!(matches!(
            parse("restart --help", "/treasury"),
            Ok(Parsed::Help(_))
        ));
    }

    #[test]
    fn every_command_is_in_the_reference_with_its_purpose() {
        let rows = reference("/treasury");
        assert!(
            rows.iter()
                .all(|(usage, about)| !usage.is_empty() && !about.is_empty())
        );
        assert!(
            rows.iter()
                .any(|(usage, _)| usage.starts_with("incident declare"))
        );
        assert!(!rows.iter().any(|(usage, _)| usage.starts_with("confirm")));
    }

    #[test]
    fn a_near_name_is_suggested() {
        assert_eq!(nearest("frontnd", ["frontend", "api"]), Some("frontend"));
        assert_eq!(nearest("zzz", ["frontend", "api"]), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text, "/treasury");
        }

        #[test]
        fn no_words_after_a_command_panic(
            first in prop::sample::select(vec!["restart", "logs", "scale", "incident", "note", "export", "help"]),
            rest in "[ -~]{0,60}",
        ) {
            let _ = parse(&format!("{first} {rest}"), "/treasury");
        }
    }
}
