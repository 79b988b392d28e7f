use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bot::actions::action_step;
use crate::bot::entry::Command;
use crate::bot::{Access, Catalogue, Context, Library, Settings};
use crate::command::{Mistake, Parsed};
use crate::domain::duration::Human;
use crate::domain::service::{Patience, PlatformKey, Service, Target};
use crate::domain::{Role, ServiceName};
use crate::platform::Platform;
use crate::platform::docker::Docker;
use crate::probe::Http;
use crate::probe::prometheus::Prometheus;
use crate::probe::web::{Config, Web};
use crate::store::{Store, Use};

/// A bot that knows a service `api` on an engine that is not asked, and keeps its store in the
/// folder.
pub(in crate::bot) async fn bot(
    folder: &tempfile::TempDir,
    prometheus: Option<Prometheus>,
) -> Context {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    let api = Service {
        name: ServiceName::parse("api").unwrap(),
        target: Target::Container {
            engine: None,
            name: "api".into(),
        },
        min_replicas: 1,
        max_replicas: 9,
        health_url: None,
        check: Vec::new(),
        metrics: BTreeMap::new(),
        metrics_page: None,
        depends_on: Vec::new(),
    };
    let docker = Docker::new(Some("tcp://127.0.0.1:1")).unwrap();
    let docker: Arc<dyn Platform> = Arc::new(docker);
    let catalogue = Catalogue::new(vec![api], [(PlatformKey::Docker(None), docker)])
        .with_web(Web::new(Config::default()).unwrap(), prometheus);
    let settings = Settings {
        command: "/treasury".into(),
        access: Access::default(),
        confirm: crate::domain::Guarded::all(),
        second_person: std::collections::BTreeSet::new(),
        confirm_within: Duration::from_secs(60),
        show_keys: false,
        patience: Patience::default(),
        hold: Duration::from_secs(60),
        alerts: crate::bot::AlertSettings::default(),
        notify: None,
        reach: crate::bot::ReachSettings::default(),
        incident_channels: false,
        public_url: None,
        routine: crate::bot::Routine::default(),
        keep: Settings::KEEP,
    };
    let store = Store::open(&url, Use::Visit).await.unwrap();
    let (library, shutdown) = (
        Library::open(COMMANDS.callables(), None, None).unwrap(),
        CancellationToken::new(),
    );
    Context::new(
        &COMMANDS,
        store,
        settings,
        catalogue,
        library,
        Http::new(),
        shutdown,
    )
}

pub(super) fn typed<C: Command>(text: &str) -> C {
    match COMMANDS.parse(text, "/treasury") {
        Ok(Parsed::Command(sentence)) => {
            assert_eq!(sentence.command.words, C::WORDS, "{text}");
            C::from_arg_matches(&sentence.matches).unwrap()
        }
        Ok(Parsed::Help(help)) => panic!("{text}: {help}"),
        Err(mistake) => panic!("{text}: {mistake:?}"),
    }
}

pub(super) fn mistake(text: &str) -> Mistake {
    match COMMANDS.parse(text, "/treasury") {
        Err(mistake) => mistake,
        Ok(_) => panic!("{text} was understood"),
    }
}

fn help(topic: &[&str]) -> Option<String> {
    let topic: Vec<String> = topic.iter().map(|word| (*word).to_owned()).collect();
    COMMANDS.help(&topic, "/treasury")
}

#[test]
fn commands_are_parsed() {
    assert_eq!(typed::<menu::Menu>(""), menu::Menu { service: None });
    assert_eq!(
        typed::<Restart>("restart frontend --reason 'too slow'"),
        Restart {
            service: "frontend".into(),
            reason: Some("too slow".into())
        }
    );
    assert_eq!(
        typed::<Scale>("scale api 3"),
        Scale {
            service: "api".into(),
            replicas: 3,
            reason: None
        }
    );
    assert_eq!(
        typed::<logs::Logs>("logs api --lines 20 --since 10m --grep ERROR"),
        logs::Logs {
            service: "api".into(),
            lines: 20,
            since: Some(Human(Duration::from_secs(600))),
            grep: Some("ERROR".into()),
            previous: false,
            container: None,
            stored: false,
        }
    );
    assert_eq!(
        typed::<incident::declare::Declare>(
            "incident declare It's down --severity sev1 --service frontend"
        ),
        incident::declare::Declare {
            title: vec!["It's down".into()],
            severity: crate::domain::Severity::Sev1,
            service: vec!["frontend".into()],
        }
    );
}

#[test]
fn a_note_is_taken_as_typed() {
    let note = |text: &str, incident: Option<&str>| note::Note {
        text: vec![text.into()],
        incident: incident.map(str::to_owned),
    };
    assert_eq!(
        typed::<note::Note>("note it's \"slow\"\n  -- since 3"),
        note("it's \"slow\"\n  -- since 3", None)
    );
    assert_eq!(
        typed::<note::Note>("note --incident INC-3 back to normal"),
        note("back to normal", Some("INC-3"))
    );
    mistake("note");
    assert_eq!(
        typed::<update::Update>("update we're back; \"all\" is well"),
        update::Update {
            text: vec!["we're back; \"all\" is well".into()],
            incident: None
        }
    );
}

#[test]
fn a_group_alone_is_one_of_its_commands_and_takes_its_options_anywhere() {
    for text in [
        "db --database x",
        "db --database x summary",
        "db summary --database x",
    ] {
        let summary = typed::<db::summary::Summary>(text);
        assert!(format!("{summary:?}").contains(r#"Some("x")"#), "{text}");
    }
    for text in ["cache --cache x keys y", "cache keys --cache x y"] {
        let keys = typed::<cache::keys::Keys>(text);
        assert!(format!("{keys:?}").contains(r#"Some("x")"#), "{text}");
    }
    typed::<runbook::list::List>("runbook");
    typed::<oncall::show::Show>("oncall");
    assert!(mistake("incident").text.contains("declare"));
}

#[test]
fn what_is_suggested_is_what_was_meant_and_can_be_pressed() {
    for (typed, suggested) in [
        ("mute Full 1h", "silence Full 1h"),
        ("reslove INC-1", "resolve INC-1"),
        ("severity SEV1", "incident severity SEV1"),
        ("oncal show", "oncall show"),
    ] {
        let wrong = mistake(typed);
        assert_eq!(wrong.suggestions, [suggested], "{typed}");
    }
}

#[test]
fn a_mistake_says_what_was_perhaps_meant() {
    let wrong = mistake("restrat frontend");
    assert_eq!(wrong.suggestions, ["restart frontend"]);
    let wrong = mistake("scale api many");
    insta::assert_snapshot!(wrong.text, @r"
    REPLICAS `many`: write a whole number
    Usage: /treasury scale [OPTIONS] <SERVICE> <REPLICAS>
    ");
    let wrong = mistake("restart");
    insta::assert_snapshot!(wrong.text, @r"
    `restart` needs SERVICE
    Usage: /treasury restart [OPTIONS] <SERVICE>
    ");
    assert_eq!(wrong.suggestions, ["help restart"]);
}

#[test]
fn help_is_found_by_topic_and_by_flag() {
    assert!(help(&["restart"]).unwrap().contains("--reason"));
    assert!(
        help(&["incident", "declare"])
            .unwrap()
            .contains("--severity")
    );
    assert_eq!(help(&["nonsense"]), None);
    assert!(matches!(
        COMMANDS.parse("restart --help", "/treasury"),
        Ok(Parsed::Help(_))
    ));
}

#[test]
fn help_names_every_command_once() {
    let of = |words: &&'static str| words.split(' ').next().unwrap_or_default();
    let shown = COMMANDS.typed().filter(|one| !one.hidden);
    let mut all: Vec<&str> = shown.map(|one| of(&one.words)).collect();
    all.sort_unstable();
    all.dedup();
    let chapters = help::CHAPTERS.iter().flat_map(|(_, words)| words.iter());
    let mut named: Vec<&str> = chapters.copied().collect();
    named.sort_unstable();
    assert_eq!(named, all);
}

#[test]
fn every_command_is_in_the_reference_with_its_purpose() {
    let rows = COMMANDS.reference("/treasury");
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
fn every_entry_has_an_object_of_parameters_and_a_typed_result() {
    assert!(COMMANDS.specs().len() >= 20);
    for spec in COMMANDS.specs() {
        let (group, verb) = spec.name.split_once('.').unwrap();
        assert!(!group.is_empty() && !verb.is_empty(), "{}", spec.name);
        assert_eq!(spec.params["type"], "object", "{}", spec.name);
        assert_eq!(
            spec.params["additionalProperties"], false,
            "{}: an unknown parameter must be an error",
            spec.name
        );
        assert!(
            spec.result.get("properties").is_some(),
            "{}: {}",
            spec.name,
            spec.result
        );
        let text = format!("{}{}", spec.params, spec.result);
        assert!(!text.contains("$ref"), "{}: {text}", spec.name);
    }
}

#[test]
fn what_a_step_changes_needs_the_role_of_its_command() {
    for (name, callable) in COMMANDS.callables() {
        let own = name.starts_with("incident.") || name.starts_with("notify.");
        let action = action_step(&name);
        assert_eq!(action.is_some() || own, callable.changes, "{name}");
        assert!(
            action.is_none_or(|one| one.rules.needs == callable.needs),
            "{name}"
        );
        let wanted = match name.as_str() {
            "service.isolate" | "service.release" => Role::Commander,
            _ if callable.changes => Role::Responder,
            // They name keys, which are people's data.
            "cache.keys" | "cache.memory" | "cache.slowlog" => Role::Responder,
            _ => Role::Viewer,
        };
        assert_eq!(callable.needs, wanted, "{name}");
    }
}

/// The names of the files under a folder, with what they hold.
pub(super) fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[test]
fn every_file_of_a_command_is_in_the_table() {
    let table = include_str!("mod.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bot/commands");
    for (name, text) in files(&folder) {
        let name = name.trim_start_matches(&folder.display().to_string());
        let module = name.trim_matches('/').replace('/', "::").replace(".rs", "");
        let kinds = ["Command", "Question", "Probe", "Record"];
        let kinds = kinds.map(|kind| format!("impl {kind} for "));
        let of = |line: &str| {
            let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind));
            rest.map(|of| of.trim_end_matches(" {").to_owned())
        };
        let own: Vec<String> = text.lines().filter_map(of).collect();
        // What several files share.
        let shared = ["mod", "tests", "words", "of_run", "rows"];
        let is_shared = shared.iter().any(|word| module.ends_with(word));
        assert_eq!(own.is_empty(), is_shared, "{name}");
        for of in own {
            let held = [format!("<{of}>()"), format!("<{module}::{of}>()")];
            let table = table.replace("r#", "");
            assert!(
                held.iter().any(|one| table.contains(one)),
                "{name}: the table lacks {of}"
            );
        }
    }
}

#[test]
fn help_shows_what_the_table_holds_in_its_order() {
    let shown = COMMANDS.typed().filter(|one| !one.hidden);
    let table: Vec<&str> = shown.map(|one| one.words).collect();
    let rows = COMMANDS.reference("/treasury");
    assert_eq!(rows.len(), table.len());
    for ((usage, _), words) in rows.iter().zip(table) {
        let rest = usage.strip_prefix(words);
        assert!(
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')),
            "{usage}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = COMMANDS.parse(&text, "/treasury");
    }

    #[test]
    fn no_words_after_a_command_panic(
        first in prop::sample::select(vec!["restart", "logs", "scale", "incident", "note", "export", "help"]),
        rest in "[ -~]{0,60}",
    ) {
        let _ = COMMANDS.parse(&format!("{first} {rest}"), "/treasury");
    }
}
