//! What is read from good files, and what is said of bad ones.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::load::SECTIONS;
use super::*;
use crate::bot::Access;
use crate::domain::alert::Auto;
use crate::domain::{Guarded, Severity, Target};
use crate::slack::Mode;

mod alerts;
mod backups;
mod bad;
mod clusters;
mod email;
mod engines;
mod mistakes;
mod probes;
mod reach;
mod rotations;
mod routine;
mod secrets;

const BOT: &str = "TREASURY_BOT_SLACK_BOT_TOKEN";
const APP: &str = "TREASURY_BOT_SLACK_APP_TOKEN";
const SIGNING: &str = "TREASURY_BOT_SLACK_SIGNING_SECRET";
const STORE: &str = "TREASURY_BOT_STORE_URL";

/// The tokens of both modes.
fn all_secrets(name: &str) -> Option<String> {
    match name {
        BOT => Some("xoxb-bot".to_owned()),
        APP => Some("xapp-app".to_owned()),
        SIGNING => Some("signed".to_owned()),
        "TREASURY_BOT_REACH_CALL_TOKEN" => Some("hush".to_owned()),
        _ => None,
    }
}

fn good(text: &str) -> Config {
    Config::parse(text, "treasury-bot.toml", &all_secrets)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn bad(text: &str) -> Vec<Problem> {
    match Config::parse(text, "treasury-bot.toml", &all_secrets) {
        Ok(config) => panic!("{text} gave {config:?}"),
        Err(errors) => errors.problems,
    }
}

/// `line:column message (hint)` for each.
fn told(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| {
            let at = problem.location.as_ref();
            let at = at.map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column));
            let hint = problem
                .hint
                .as_ref()
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default();
            format!("{at} {}{hint}", problem.message)
        })
        .collect()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = good("");
    assert_eq!(config.slack.mode, Mode::Socket);
    assert_eq!(config.slack.command, "/treasury");
    assert_eq!(config.slack.channel, "#treasury-incidents");
    assert_eq!(config.slack.api_url, None);
    assert!(config.settings.incident_channels);
    assert_eq!(config.slack.bot_token.expose_secret(), "xoxb-bot");
    assert_eq!(config.slack.app_token.unwrap().expose_secret(), "xapp-app");
    assert_eq!(
        config.slack.signing_secret.unwrap().expose_secret(),
        "signed"
    );
    assert_eq!(config.store_url.expose_secret(), "sqlite://treasury-bot.db");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.health_listen, None);
    assert_eq!(
        config.settings.public_url.as_deref(),
        Some("http://127.0.0.1:8080")
    );
    assert_eq!(config.platforms.docker.host, None);
    assert_eq!(config.settings.access, Access::default());
    assert_eq!(config.settings.confirm, Guarded::all());
    assert_eq!(config.settings.second_person, [Guarded::Isolate].into());
    assert_eq!(config.settings.confirm_within, Duration::from_secs(300));
    assert!(
        !config.settings.show_keys,
        "names of keys are people's data"
    );
    assert_eq!(config.settings.patience.healthy, Duration::from_secs(120));
    assert_eq!(config.settings.patience.stop, Duration::from_secs(10));
    assert_eq!(
        config.log,
        Log {
            level: "info".to_owned(),
            json: false
        }
    );
    assert_eq!(config.services, []);
    assert_eq!(
        told(&config.warnings),
        [
            "- nobody is a responder: nobody can act (list user ids in `access.responders`)",
            "- there is no service (add a [[service]] for each service that people ask about)",
        ]
    );
}

/// Every key of the first sections, and services.
const EVERY_KEY: &str = r#"
[slack]
mode = "http"
command = "/tms"
channel = "C0123"
api_url = "http://127.0.0.1:9/api/"
incident_channels = false
[store]
url = "postgres://bot@db/treasury"
[web]
listen = "[::1]:1"
health_listen = "0.0.0.0:2"
public_url = "https://Bot.example.com:8443/"
[docker]
host = "tcp://127.0.0.1:2375"
[access]
viewers = ["*"]
responders = ["U1", "S2"]
commanders = ["W3"]
[policy]
confirm = ["scale"]
confirm_within = "1h30m"
restart_healthy_within = "3m"
stop_grace = "1m"
show_keys = true
[log]
level = "warn,treasury_bot=debug"
format = "json"
[[service]]
name = "frontend"
platform = "docker"
compose_project = "treasury"
compose_service = "web"
scale = { min = 2, max = 0x10 }
health = "https://treasury.example/health"
[[service]]
name = "api"
compose_project = "treasury"
compose_service = "api"
[[service]]
name = "db"
container = "treasury-db"
scale.max = 1
"#;

#[test]
fn every_key_is_read() {
    let config = good(EVERY_KEY);
    assert_eq!(config.slack.mode, Mode::Http);
    assert_eq!(config.slack.command, "/tms");
    assert_eq!(config.slack.channel, "C0123");
    assert_eq!(
        config.slack.api_url.unwrap().as_str(),
        "http://127.0.0.1:9/api/"
    );
    assert!(!config.settings.incident_channels);
    assert_eq!(
        config.store_url.expose_secret(),
        "postgres://bot@db/treasury"
    );
    assert_eq!(config.listen.to_string(), "[::1]:1");
    assert_eq!(config.health_listen.unwrap().to_string(), "0.0.0.0:2");
    assert_eq!(
        config.settings.public_url.as_deref(),
        Some("https://bot.example.com:8443")
    );
    assert_eq!(
        config.platforms.docker.host.unwrap(),
        "tcp://127.0.0.1:2375"
    );
    assert_eq!(config.settings.access.viewers, ["*"]);
    assert_eq!(config.settings.access.responders, ["U1", "S2"]);
    assert_eq!(config.settings.access.commanders, ["W3"]);
    assert_eq!(config.settings.confirm, [Guarded::Scale].into());
    assert_eq!(config.settings.confirm_within, Duration::from_secs(5_400));
    assert_eq!(config.settings.patience.healthy, Duration::from_secs(180));
    assert_eq!(config.settings.patience.stop, Duration::from_secs(60));
    assert!(config.settings.show_keys);
    assert_eq!(config.log.level, "warn,treasury_bot=debug");
    assert!(config.log.json);
    // What is left of an example is told, and nothing else.
    let others = config.warnings.iter();
    let others = others.filter(|one| one.level != Level::Fiction);
    assert_eq!(others.count(), 0, "{:?}", config.warnings);
}

#[test]
fn every_service_is_read() {
    let config = good(EVERY_KEY);
    let [frontend, api, db] = config.services.as_slice() else {
        panic!("{:?}", config.services)
    };
    let web = Target::Compose {
        engine: None,
        project: "treasury".to_owned(),
        service: "web".to_owned(),
    };
    assert_eq!(
        (frontend.name.as_str(), &frontend.target),
        ("frontend", &web)
    );
    assert_eq!((frontend.min_replicas, frontend.max_replicas), (2, 16));
    assert_eq!(
        frontend.health_url.as_deref(),
        Some("https://treasury.example/health")
    );
    assert_eq!(
        (api.min_replicas, api.max_replicas, &api.health_url),
        (1, 10, &None)
    );
    assert_eq!(
        db.target,
        Target::Container {
            engine: None,
            name: "treasury-db".to_owned()
        }
    );
    assert_eq!((db.min_replicas, db.max_replicas), (1, 1));
    assert_eq!(config.warnings, []);
}

#[test]
fn the_address_of_the_environment_wins_and_what_it_puts_aside_is_told() {
    let set = |text: &str, address: &'static str| {
        let env = |name: &str| match name {
            "TREASURY_BOT_WEB_LISTEN" => Some(address.to_owned()),
            name => all_secrets(name),
        };
        Config::parse(text, "treasury-bot.toml", &env)
    };
    let aside = |config: &Config| {
        let warned = told(&config.warnings).into_iter();
        let of_it = warned.filter(|one| one.contains("web.listen"));
        of_it.collect::<Vec<_>>()
    };
    let image = set("", "0.0.0.0:8080").unwrap();
    assert_eq!(image.listen.to_string(), "0.0.0.0:8080");
    let same = set("[web]\nlisten = '0.0.0.0:8080'\n", "0.0.0.0:8080").unwrap();
    assert_eq!(aside(&same), Vec::<String>::new());
    let other = set("[web]\nlisten = '127.0.0.1:8081'\n", "0.0.0.0:8080").unwrap();
    assert_eq!(other.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(
        aside(&other),
        [
            "2:10 `web.listen` does not count here: TREASURY_BOT_WEB_LISTEN says `0.0.0.0:8080` \
          (leave one of them out)"
        ]
    );
    let wrong = set("", "everywhere").unwrap_err();
    assert_eq!(
        told(&wrong.problems),
        [
            "- TREASURY_BOT_WEB_LISTEN can't be `everywhere`: not an address (write an IP address and a \
          port, such as `127.0.0.1:8080`, `0.0.0.0:8080` or `[::1]:8080`)"
        ]
    );
    assert_eq!(set("", "").unwrap().listen.to_string(), "127.0.0.1:8080");
}

#[test]
fn links_to_the_pages_begin_with_a_scheme_and_a_host() {
    let everywhere = good("[web]\nlisten = '0.0.0.0:8080'\n");
    assert_eq!(
        everywhere.settings.public_url.as_deref(),
        Some("http://127.0.0.1:8080")
    );
    let warned = told(&everywhere.warnings);
    assert!(
        warned
            .iter()
            .any(|w| w.contains("`web.public_url` is not set")),
        "{warned:?}"
    );
    let plain = good("[web]\nlisten = '0.0.0.0:8080'\npublic_url = 'http://bot.example.com'\n");
    let warned = told(&plain.warnings);
    assert!(
        warned.iter().any(|w| w.contains("without encryption")),
        "{warned:?}"
    );
}

#[test]
fn the_example_loads_and_names_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/treasury-bot.example.toml");
    let config = Config::load(&path, &all_secrets).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.services.len(), 5);
    assert_eq!((config.databases.len(), config.caches.len()), (1, 1));
    // That it is an example is told, and nothing else.
    let others = config
        .warnings
        .iter()
        .filter(|one| one.level != Level::Fiction);
    assert_eq!(others.count(), 0, "{:?}", config.warnings);
    let text = std::fs::read_to_string(&path).unwrap();
    // With the comments taken from the keys, only the secret files are missing.
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key)
                if key
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                key
            }
            _ => line,
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let mut keys = 0;
    for section in SECTIONS {
        for name in section.keys() {
            assert!(
                all.contains(&format!("\n{name} = ")),
                "{}.{name}",
                section.name
            );
            keys += 1;
        }
    }
    assert_eq!(keys, 227);
    let problems = bad(&all);
    let (unreadable, others): (Vec<_>, Vec<_>) = problems
        .iter()
        .partition(|problem| problem.message.contains("can't read /"));
    // The passwords of database, cache and e-mail, Prometheus', the token of alerts, of a source and a heartbeat,
    // Alertmanager's and the log store's token and password, the certificate authorities of `check` and e-mail, the
    // folder of runbooks, an engine's TLS files, a way's token, a backup's two passwords and its secret key.
    assert_eq!(unreadable.len(), 21, "{problems:?}");
    let others: Vec<&str> = others.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        others,
        [
            "`store` has both `url` and `url_file`",
            "a task has `runbook` or `ask`, not both",
            "a backup has `database` or `url`, not both",
            "`backup.recipient`: not a public key of age (`age1…`): invalid Bech32 encoding",
            "`topics` are of Amazon SNS only",
            "`logs.index` says nothing to Loki"
        ]
    );
    let problems = match Config::parse(&all, "treasury-bot.toml", &|_| None) {
        Ok(config) => panic!("{config:?}"),
        Err(errors) => errors.problems,
    };
    assert_eq!(problems.len(), 31, "{problems:?}");
}

/// A file of lines that are nearly right, some with the secret `S3CRET`.
fn nearly() -> impl Strategy<Value = String> {
    let headers = [
        "[slack]",
        "[store]",
        "[web]",
        "[policy]",
        "[access]",
        "[[service]]",
        "[log",
        "",
    ];
    let mut lines: Vec<String> = headers.map(str::to_owned).to_vec();
    for key in SECTIONS.iter().flat_map(|section| section.keys()) {
        for value in [
            "''",
            "'a'",
            "\"*",
            "[1, 'é']",
            "{ min = 9, max = 1 }",
            "-1",
            "'5m'",
            "\u{7f}",
        ] {
            lines.push(format!("{key} = {value}"));
        }
    }
    for secret in [
        "'S3CRET'",
        "'S3CRET",
        "'''\nS3CRET",
        "[\n'S3CRET'",
        "\"\\qS3CRET\"",
        "S3CRET",
        "\"\"\"\n\nS3CRET",
    ] {
        lines.push(format!("bot_token = {secret}"));
        lines.push(format!("slack.signing_secret={secret}"));
    }
    lines.push("url = 'postgres://u:S3CRET@h/d'".to_owned());
    lines.push("url = \"\"\"\npostgres://u:S3CRET@h/d".to_owned());
    proptest::collection::vec(proptest::sample::select(lines), 0..12)
        .prop_map(|lines| lines.join("\n"))
}

fn is_answered(text: &str) {
    let Err(errors) = Config::parse(text, "treasury-bot.toml", &all_secrets) else {
        return;
    };
    assert!(!errors.problems.is_empty());
    let places: Vec<_> = errors
        .problems
        .iter()
        .map(|p| {
            p.location
                .as_ref()
                .map_or((usize::MAX, 0), |at| (at.line, at.column))
        })
        .collect();
    assert!(places.is_sorted(), "{text}\n{errors}");
    for at in errors.problems.iter().filter_map(|p| p.location.as_ref()) {
        let length = at.excerpt.chars().count();
        assert!(at.line <= text.matches('\n').count() + 1, "{errors}");
        assert!(at.width > 0 && at.caret <= length, "{errors}");
        assert!(at.caret + at.width <= length + 1, "{errors}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        is_answered(&text);
    }

    #[test]
    fn any_nearly_right_text_is_answered_without_its_secrets(text in nearly()) {
        is_answered(&text);
        if let Err(errors) = Config::parse(&text, "treasury-bot.toml", &all_secrets) {
            let shown = format!("{}{errors:?}", errors.render(true));
            prop_assert!(!shown.contains("S3CRET"), "{text}\n{errors}");
        }
    }
}

#[test]
fn alerts_and_routes_are_read_and_their_mistakes_told() {
    let service = "[[service]]\nname = 'api'\nplatform = 'docker'\ncontainer = 'api'\n";
    let config = good(&format!(
        "[alerts]\nauto = 'run'\ndeclare_from = 'SEV2'\nresolve = 'auto'\non_call = ['U1']\n\
         [[route]]\nmatch = ['team=\"web\"']\nservice = 'api'\nseverity = 'SEV1'\n{service}"
    ));
    let alerts = &config.settings.alerts;
    assert_eq!(
        (alerts.routes.auto, alerts.declare_from),
        (Auto::Run, Severity::Sev2)
    );
    assert!(alerts.resolves && config.alerts_token.is_none());
    assert_eq!(
        alerts.routes.routes[0].service.as_ref().unwrap().as_str(),
        "api"
    );
    let told: Vec<String> = bad(&format!(
        "[alerts]\nauto = 'always'\non_call = ['@ana']\n[[route]]\nmatch = ['team=web']\n\
         service = 'apj'\n{service}depends_on = ['redis']\n"
    ))
    .into_iter()
    .map(|problem| problem.message)
    .collect();
    for expected in [
        "`api` depends on `redis`, which is no service",
        "`alerts.auto` can't be `always`",
        "`@ana` in `alerts.on_call` is no user id",
        "`route.match`: team=web: the value has to be in double quotes",
        "`route.service`: there is no service `apj`",
    ] {
        assert!(
            told.iter().any(|one| one.starts_with(expected)),
            "{expected}: {told:?}"
        );
    }
    assert_eq!(told.len(), 5, "{told:?}");
}
