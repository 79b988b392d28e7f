//! The sections of the file, each read in turn.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{At, Reader, kind_of};
use super::source::Report;
use super::{
    Config, Env, LogFormat, LogSection, PolicySection, RunbooksSection, WebSection, access,
    alertmanager, alerts, clusters, email, engines, inlets, probes, rotations, services, slack,
    store,
};
use crate::command::nearest;
use crate::domain::Guarded;

/// The sections that exist and their keys, to tell where a misplaced key belongs.
pub(super) const SECTIONS: [(&str, &[&str]); 23] = [
    ("slack", &slack::KEYS),
    ("store", &["url", "url_file"]),
    ("web", &["listen", "health_listen", "public_url"]),
    ("docker", &engines::DOCKER),
    ("engine", &engines::ENGINE),
    ("access", &["viewers", "responders", "commanders"]),
    (
        "policy",
        &[
            "confirm",
            "confirm_within",
            "second_person",
            "restart_healthy_within",
            "stop_grace",
        ],
    ),
    ("log", &["level", "format"]),
    ("service", &services::KEYS),
    ("cluster", &clusters::CLUSTER),
    ("database", &probes::DATABASE),
    ("cache", &probes::CACHE),
    ("prometheus", &probes::PROMETHEUS),
    ("check", &probes::CHECK),
    ("runbooks", &["folder", "hold"]),
    ("alerts", &alerts::ALERTS),
    ("route", &alerts::ROUTE),
    ("source", &inlets::SOURCE),
    ("alertmanager", &alertmanager::ALERTMANAGER),
    ("rotation", &rotations::ROTATION),
    ("watch", &alerts::WATCH),
    ("email", &email::EMAIL),
    ("person", &email::PERSON),
];

/// Those that are lists: `[[service]]`.
const LISTS: [&str; 9] = [
    "service", "engine", "cluster", "database", "cache", "route", "source", "rotation", "person",
];

/// Reads the whole text. What comes back counts only if nothing was reported as an error.
pub(super) fn config(text: &str, report: &mut Report<'_>, env: Env<'_>) -> Option<Config> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // After a syntax error the tables are guesses: what they lack says nothing.
        for error in errors {
            let end = text.trim_end().len();
            let span = error.span().unwrap_or(end..end);
            report.error(span, format!("not TOML: {}", error.message()), None);
        }
        return None;
    }
    let root = root.get_ref();
    unknown_sections(report, root);
    let mut open = |name| section(report, root, name);
    let (slack, store) = (open("slack"), open("store"));
    let (web, docker) = (open("web"), open("docker"));
    let (access, policy, log) = (open("access"), open("policy"), open("log"));
    let store_url = store::url(report, store, env);
    let slack = slack::slack(report, slack, env);
    let web = self::web(report, web);
    let docker = engines::docker(report, docker);
    let access = access::access(report, access);
    let policy = self::policy(report, policy);
    let log = self::log(report, log);
    let (prometheus, check, runbooks) = (
        section(report, root, "prometheus"),
        section(report, root, "check"),
        section(report, root, "runbooks"),
    );
    let clusters = clusters::clusters(report, root);
    let engines = engines::engines(report, root);
    let known = services::Known {
        clusters: &clusters,
        engines: &engines,
    };
    let services = services::services(report, root, &known);
    let databases = probes::databases(report, root, &services, env);
    let caches = probes::caches(report, root, &services, env);
    let prometheus = probes::prometheus(report, prometheus, env);
    if prometheus.is_none() && services.iter().any(|service| !service.metrics.is_empty()) {
        let hint = "add [prometheus] with its `url`".to_owned();
        let message = "services name metrics, but there is no `prometheus` to ask";
        report.warning(None, message, Some(hint));
    }
    let alerts = section(report, root, "alerts");
    let alerts = alerts::alerts(report, alerts, env);
    let routes = alerts::routes(report, root, &services);
    let sources = inlets::sources(report, root, env);
    let alertmanager = section(report, root, "alertmanager");
    let alertmanager = alertmanager::alertmanager(report, alertmanager, env);
    let fixed = !alerts.on_call.is_empty();
    let rotations = rotations::rotations(report, root, &services, fixed);
    let watch = section(report, root, "watch");
    let watch = alerts::watch(report, watch, prometheus.is_some());
    let email = section(report, root, "email");
    let email = email::email(report, email, env);
    let people = email::people(report, root);
    let members = rotations.iter().flat_map(|rotation| &rotation.members);
    let on_call = members.map(|person| person.id.as_str());
    let on_call = on_call.chain(alerts.on_call.iter().map(String::as_str));
    email::look_over(report, email.as_ref(), &people, &on_call.collect());
    let check = probes::check(report, check);
    let runbooks = self::runbooks(report, runbooks);
    // Only now: every section's mistakes are told, whatever another one lacks.
    Some(Config {
        slack: slack?,
        store_url: store_url.unwrap_or_else(|| SecretString::from("")),
        web,
        docker,
        engines,
        clusters,
        access,
        policy,
        log,
        services,
        databases,
        caches,
        prometheus,
        check,
        runbooks,
        alerts,
        sources,
        alertmanager,
        watch,
        routes,
        email,
        people,
        rotations,
        warnings: Vec::new(),
    })
}

/// Reports what stands at the top and is no section.
fn unknown_sections(report: &mut Report<'_>, root: &DeTable<'_>) {
    for (key, value) in root {
        let name = key.get_ref().as_ref();
        if SECTIONS.iter().any(|(section, _)| *section == name) {
            continue;
        }
        let tables = match value.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(list) => list.iter().any(|entry| entry.get_ref().is_table()),
            _ => false,
        };
        if tables {
            let hint = match nearest(name, SECTIONS.map(|(section, _)| section)) {
                Some(near) => format!("did you mean `{}`?", header(near)),
                None => format!("there are: {}", SECTIONS.map(|(name, _)| name).join(", ")),
            };
            report.error(key.span(), format!("unknown section `{name}`"), Some(hint));
        } else {
            let message = format!("unknown key `{name}` outside of any section");
            report.error(key.span(), message, elsewhere(name));
        }
    }
}

/// Where a key belongs that was found in another place.
pub(super) fn elsewhere(key: &str) -> Option<String> {
    SECTIONS
        .iter()
        .find(|(_, keys)| keys.contains(&key))
        .map(|(section, _)| {
            let section = header(section);
            format!("`{key}` belongs in `{section}`")
        })
}

fn header(section: &str) -> String {
    if LISTS.contains(&section) {
        format!("[[{section}]]")
    } else {
        format!("[{section}]")
    }
}

/// The section of this name.
fn section<'a, 'i>(
    report: &mut Report<'_>,
    root: &'a DeTable<'i>,
    name: &'static str,
) -> Reader<'a, 'i> {
    let Some((key, value)) = root.get_key_value(name) else {
        return Reader::new(name, None, None);
    };
    match value.get_ref() {
        DeValue::Table(table) => Reader::new(name, Some(at(key.span(), value)), Some(table)),
        other => {
            let message = format!("`{name}` must be a section, not {}", kind_of(other));
            report.error(key.span(), message, Some(format!("write `[{name}]` once")));
            Reader::new(name, Some(key.span()), None)
        }
    }
}

/// The header of a table, or its key where the parser gives none.
fn at(key: std::ops::Range<usize>, value: &Spanned<DeValue<'_>>) -> std::ops::Range<usize> {
    if value.span().is_empty() {
        key
    } else {
        value.span()
    }
}

/// `[web]`
fn web(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> WebSection {
    let listen = section
        .text(report, "listen")
        .and_then(|text| address(report, "web.listen", &text));
    let own = section.text(report, "health_listen");
    let own_span = own.as_ref().map(|text| text.span.clone());
    let health_listen = own.and_then(|text| address(report, "web.health_listen", &text));
    let public_url = section
        .text(report, "public_url")
        .and_then(|text| origin(report, &text));
    section.finish(report, elsewhere);
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
    if public_url.is_none() && listen.ip().is_unspecified() {
        let hint = "set it to how people reach the bot, such as \
                    `https://treasury-bot.example.com`; until then the links that `page` gives \
                    work on this machine only";
        report.warning(None, "`web.public_url` is not set", Some(hint.to_owned()));
    }
    if health_listen == Some(listen) && listen.port() != 0 {
        let hint = "leave it out to serve /health and /metrics there too".to_owned();
        report.error(
            own_span,
            "`web.health_listen` is the same as `web.listen`",
            Some(hint),
        );
    }
    WebSection {
        listen,
        health_listen,
        public_url,
    }
}

/// Scheme and host of a web address, and nothing else: the pages' own paths follow.
fn origin(report: &mut Report<'_>, text: &At<&str>) -> Option<String> {
    let url = super::urls::http(report, "web.public_url", text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let hint = format!("write `{}`", url.origin().ascii_serialization());
        let message = "`web.public_url` can't have a path: the pages are at /incidents";
        report.error(text.span.clone(), message, Some(hint));
        return None;
    }
    Some(url.origin().ascii_serialization())
}

fn address(report: &mut Report<'_>, what: &str, text: &At<&str>) -> Option<SocketAddr> {
    text.value
        .parse()
        .map_err(|_| {
            let hint = "write an IP address and a port, such as `127.0.0.1:8080`, `0.0.0.0:8080` \
                        or `[::1]:8080`";
            let message = format!("`{what}` can't be `{}`: not an address", text.value);
            report.error(text.span.clone(), message, Some(hint.to_owned()));
        })
        .ok()
}

/// `[policy]`
fn policy(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> PolicySection {
    let confirm = guarded(report, &mut section, "confirm");
    let second_person = guarded(report, &mut section, "second_person");
    let policy = PolicySection {
        confirm: confirm.unwrap_or_else(Guarded::all),
        second_person: second_person.unwrap_or_else(|| BTreeSet::from([Guarded::Isolate])),
        confirm_within: section
            .duration(report, "confirm_within")
            .unwrap_or(Duration::from_secs(300)),
        healthy_within: section
            .duration(report, "restart_healthy_within")
            .unwrap_or(Duration::from_secs(120)),
        stop_grace: section
            .duration(report, "stop_grace")
            .unwrap_or(Duration::from_secs(10)),
    };
    section.finish(report, elsewhere);
    policy
}

/// A list of what the policy watches over.
fn guarded(
    report: &mut Report<'_>,
    section: &mut Reader<'_, '_>,
    key: &'static str,
) -> Option<BTreeSet<Guarded>> {
    let listed = section.texts(report, key)?;
    let what = format!("policy.{key}");
    let found = listed
        .iter()
        .filter_map(|entry| super::reader::one_of(report, &what, entry, &Guarded::ALL));
    Some(found.collect())
}

/// `[log]`
fn log(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> LogSection {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let level = section.text(report, "level");
    if let Some(text) = &level {
        // EnvFilter takes a lone misspelt level for the name of a module.
        let lone = text.value.chars().all(char::is_alphanumeric);
        let known = LEVELS.contains(&text.value.to_lowercase().as_str());
        let near = nearest(text.value, LEVELS).filter(|_| lone && !known);
        let parsed = tracing_subscriber::EnvFilter::builder().parse(text.value);
        let bad = text.value.trim().is_empty() || parsed.is_err();
        if bad || near.is_some() {
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a level or a filter such as `info,sqlx=warn`".to_owned(),
            };
            let message = format!("`log.level` can't be `{}`", text.value);
            report.error(text.span.clone(), message, Some(hint));
        }
    }
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.word(report, "format", &formats).unwrap_or_default();
    section.finish(report, elsewhere);
    LogSection {
        level: level.map_or("info", |text| text.value).to_owned(),
        format,
    }
}

/// `[runbooks]`
fn runbooks(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> RunbooksSection {
    let folder = section.text(report, "folder").and_then(|path| {
        let found = report.beside(path.value);
        if found.is_dir() {
            return Some(found);
        }
        let found = found.display();
        let message = format!("`runbooks.folder`: can't read {found}: there is no such folder");
        report.error(path.span, message, None);
        None
    });
    let hold = section.duration(report, "hold");
    section.finish(report, elsewhere);
    RunbooksSection {
        folder,
        hold: hold.unwrap_or(Duration::from_secs(900)),
    }
}
