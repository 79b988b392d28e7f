//! `[alerts]`, `[[route]]` and `[watch]`.

use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;

use super::at::At;
use super::kind::Kind;
use super::names::known_service;
use super::runbooks::known_runbook;
use super::section::Section;
use super::slack::is_channel;
use crate::bot::{AlertSettings, Library};
use crate::domain::alert::{Auto, Damping, Matcher, Route, Routes, WatchSettings};
use crate::domain::{Person, Service, Severity, person};

pub(super) const ALERTS: Kind = Kind::single(
    "alerts",
    "token_file auto declare_from ask_from ack_within ask_again reask follow_up quiet unheard \
     resolve on_call flapping",
);
pub(super) const ROUTE: Kind =
    Kind::list("route", "match service severity runbook team channel auto");
pub(super) const WATCH: Kind = Kind::single("watch", "enabled every lasting memory errors");
const FLAPPING: Kind = Kind::single("flapping", "changes within calm");

const AUTO: [(&str, Auto); 3] = [
    ("off", Auto::Off),
    ("diagnose", Auto::Diagnose),
    ("run", Auto::Run),
];

pub(super) const SEVERITIES: [(&str, Severity); 4] = [
    ("SEV1", Severity::Sev1),
    ("SEV2", Severity::Sev2),
    ("SEV3", Severity::Sev3),
    ("SEV4", Severity::Sev4),
];

/// `[alerts]`: what senders have to show, and what is done with alerts. Routes, rotations and the
/// watch are in sections of their own. `has_routes`: there are some; `has_others`: alerts come from
/// elsewhere than Alertmanager, too.
pub(super) fn alerts(
    section: &Section<'_>,
    has_routes: bool,
    has_others: bool,
) -> (Option<SecretString>, AlertSettings) {
    let token = section.secret("token");
    let is_wanted = (section.span.is_some() || has_routes) && !has_others;
    if is_wanted && section.lacks(token.as_ref(), "token") {
        let message = "no alert comes in: there is no token for senders, so each is refused";
        let hint = format!(
            "set {}, or `token_file` in `[alerts]`",
            section.variable("token")
        );
        section.source.fiction(section.span.clone(), message, hint);
    }
    let usual = AlertSettings::default();
    let on_call = section.texts("on_call").unwrap_or_default();
    let settings = AlertSettings {
        routes: Routes {
            auto: section.word("auto", &AUTO).unwrap_or(usual.routes.auto),
            ..usual.routes
        },
        declare_from: section
            .word("declare_from", &SEVERITIES)
            .unwrap_or(usual.declare_from),
        ack_within: section.duration_or("ack_within", usual.ack_within),
        ask_from: section
            .word("ask_from", &SEVERITIES)
            .unwrap_or(usual.ask_from),
        reask: section.duration_or("reask", usual.reask),
        ask_again: section.duration_or("ask_again", usual.ask_again),
        unheard: section.duration("unheard"),
        follow_up: section.duration_or("follow_up", usual.follow_up),
        // A report that comes soon after an end is in doubt for 30 s.
        quiet: section
            .duration_or("quiet", usual.quiet)
            .max(Duration::from_secs(31)),
        resolves: section
            .word("resolve", &[("ask", false), ("auto", true)])
            .unwrap_or(usual.resolves),
        damping: section.table(FLAPPING, |flapping| damping(flapping, usual.damping)),
        on_call: on_call.iter().filter_map(user).collect(),
        ..usual
    };
    (token, settings)
}

/// Somebody by their user id; reported if it is none.
pub(super) fn user(text: &At<'_>) -> Option<Person> {
    if !person::is_slack_user_id(text.value) {
        let hint = "write a user id (`U…`): in Slack, Profile, Copy member ID";
        text.error(
            format!("`{}` in `{}` is no user id", text.value, text.what),
            hint,
        );
        return None;
    }
    Some(somebody(text.value))
}

/// Who has this user id.
pub(super) fn somebody(id: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: id.to_owned(),
    }
}

/// `flapping = { changes, within, calm }`
fn damping(table: &Section<'_>, usual: Damping) -> Damping {
    let span = |key, usual: SignedDuration| {
        let given = table.duration(key).and_then(|given| given.try_into().ok());
        given.unwrap_or(usual)
    };
    let changes = table.number("changes", 2, 100);
    Damping {
        changes: changes.map_or(usual.changes, |changes| changes as usize),
        within: span("within", usual.within),
        calm: span("calm", usual.calm),
    }
}

/// `[watch]`: figures only where there is no Prometheus to do it.
pub(super) fn watch(section: &Section<'_>, has_prometheus: bool) -> Option<WatchSettings> {
    let usual = WatchSettings::default();
    let percent = |key, usual| section.number(key, 0, 100).map_or(usual, f64::from);
    let every = section.duration_or("every", usual.every);
    let enabled = section.boolean("enabled");
    let watch = WatchSettings {
        figures: enabled.unwrap_or(!has_prometheus),
        every: every.max(Duration::from_secs(1)),
        lasting: section.duration_or("lasting", usual.lasting),
        memory_percent: percent("memory", usual.memory_percent),
        error_percent: percent("errors", usual.error_percent),
    };
    enabled.unwrap_or(true).then_some(watch)
}

/// A `[[route]]`.
pub(super) fn route(section: &Section<'_>, services: &[Service], library: &Library) -> Route {
    let matchers = section.texts("match").unwrap_or_default();
    let matchers = matchers
        .iter()
        .filter_map(|text| text.parsed(Matcher::parse(text.value)));
    let word = |key| {
        let text = section.text(key)?.value.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let runbook = word("runbook");
    if let (Some(_), Some(text)) = (&runbook, section.text("runbook")) {
        known_runbook(&text, library);
    }
    Route {
        matchers: matchers.collect(),
        service: section
            .text("service")
            .and_then(|text| known_service(&text, services)),
        severity: section.word("severity", &SEVERITIES),
        runbook,
        team: word("team"),
        channel: section.text("channel").and_then(|text| {
            let hint = "write `#name`, or the channel's id (`C…`)";
            text.good(is_channel(text.value), hint)
        }),
        auto: section.word("auto", &AUTO),
    }
}
