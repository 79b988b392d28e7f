//! `[alerts]` and `[[route]]`.

use std::time::Duration;

use jiff::SignedDuration;
use toml::de::DeTable;

use super::probes::known;
use super::reader::{Reader, tables};
use super::rotations::no_user;
use super::sections::elsewhere;
use super::source::Report;
use super::{AlertsSection, Env, secret, slack};
use crate::domain::alert::{Auto, Damping, Matcher, Route, WatchSettings};
use crate::domain::{Service, Severity, person};

/// The keys of `[alerts]`.
pub(super) const ALERTS: [&str; 9] = [
    "token_file",
    "auto",
    "declare_from",
    "ack_within",
    "follow_up",
    "quiet",
    "resolve",
    "on_call",
    "flapping",
];

/// The keys of `[[route]]`.
pub(super) const ROUTE: [&str; 7] = [
    "match", "service", "severity", "runbook", "team", "channel", "auto",
];

/// The keys of `[watch]`.
pub(super) const WATCH: [&str; 5] = ["enabled", "every", "lasting", "memory", "errors"];

const TOKEN: &str = "TREASURY_BOT_ALERTS_TOKEN";

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

/// `[alerts]`
pub(super) fn alerts(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    env: Env<'_>,
) -> AlertsSection {
    let named = section.text(report, "token_file");
    let token = secret::environment(env, TOKEN)
        .or_else(|| named.and_then(|path| secret::file(report, "alerts.token_file", &path)));
    let mut span = |report: &mut Report<'_>, key, default| {
        section
            .duration(report, key)
            .unwrap_or(Duration::from_secs(default))
    };
    let (ack_within, follow_up, quiet) = (
        span(report, "ack_within", 300),
        span(report, "follow_up", 600),
        span(report, "quiet", 300),
    );
    let resolves = section
        .word(report, "resolve", &[("ask", false), ("auto", true)])
        .unwrap_or(false);
    let mut on_call = Vec::new();
    for entry in section.texts(report, "on_call").unwrap_or_default() {
        if person::is_slack_user_id(entry.value) {
            on_call.push(entry.value.to_owned());
        } else {
            no_user(report, &entry, "alerts.on_call");
        }
    }
    let flapping = section.table(report, "flapping");
    let damping = damping(report, flapping);
    let alerts = AlertsSection {
        token,
        auto: section
            .word(report, "auto", &AUTO)
            .unwrap_or(Auto::Diagnose),
        declare_from: section
            .word(report, "declare_from", &SEVERITIES)
            .unwrap_or(Severity::Sev3),
        ack_within,
        follow_up,
        quiet,
        resolves,
        on_call,
        damping,
    };
    section.finish(report, elsewhere);
    alerts
}

/// `flapping = { changes, within, calm }`
fn damping(report: &mut Report<'_>, mut table: Reader<'_, '_>) -> Damping {
    let usual = Damping::default();
    let mut span = |report: &mut Report<'_>, key, usual: SignedDuration| {
        let given = table.duration(report, key);
        given.map_or(usual, |given| given.try_into().unwrap_or(usual))
    };
    let (within, calm) = (
        span(report, "within", usual.within),
        span(report, "calm", usual.calm),
    );
    let changes = table.number(report, "changes", 100);
    if let Some(few) = changes.as_ref().filter(|changes| changes.value < 2) {
        let message = "`flapping.changes` must be from 2 to 100".to_owned();
        report.error(few.span.clone(), message, None);
    }
    table.finish(report, elsewhere);
    Damping {
        changes: changes.map_or(usual.changes, |changes| changes.value as usize),
        within,
        calm,
    }
}

/// `[watch]`: on where there is no Prometheus to do it.
pub(super) fn watch(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    prometheus: bool,
) -> Option<WatchSettings> {
    let usual = WatchSettings::default();
    let enabled = section.boolean(report, "enabled").unwrap_or(!prometheus);
    let mut percent = |report: &mut Report<'_>, key, usual: f64| {
        section
            .number(report, key, 100)
            .map_or(usual, |at| f64::from(at.value))
    };
    let memory_percent = percent(report, "memory", usual.memory_percent);
    let error_percent = percent(report, "errors", usual.error_percent);
    let watch = WatchSettings {
        every: section
            .duration(report, "every")
            .unwrap_or(usual.every)
            .max(Duration::from_secs(1)),
        lasting: section.duration(report, "lasting").unwrap_or(usual.lasting),
        memory_percent,
        error_percent,
    };
    section.finish(report, elsewhere);
    enabled.then_some(watch)
}

/// All routes, in the file's order.
pub(super) fn routes(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    services: &[Service],
) -> Vec<Route> {
    let readers = tables(report, root, "route").map(|(_, readers)| readers);
    readers
        .into_iter()
        .flatten()
        .map(|reader| route(report, reader, services))
        .collect()
}

fn route(report: &mut Report<'_>, mut reader: Reader<'_, '_>, services: &[Service]) -> Route {
    let mut matchers = Vec::new();
    for entry in reader.texts(report, "match").unwrap_or_default() {
        match Matcher::parse(entry.value) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => report.error(entry.span, format!("`route.match`: {error}"), None),
        }
    }
    let service = reader
        .text(report, "service")
        .and_then(|text| known(report, "route", &text, services));
    let mut word = |report: &mut Report<'_>, key| {
        reader
            .text(report, key)
            .map(|text| text.value.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let (runbook, team) = (word(report, "runbook"), word(report, "team"));
    let channel = reader.text(report, "channel").and_then(|text| {
        slack::is_channel(text.value)
            .then(|| text.value.to_owned())
            .or_else(|| {
                let message = format!("`route.channel` can't be `{}`", text.value);
                let hint = "write `#name`, or the channel's id (`C…`)".to_owned();
                report.error(text.span, message, Some(hint));
                None
            })
    });
    let route = Route {
        matchers,
        service,
        severity: reader.word(report, "severity", &SEVERITIES),
        runbook,
        team,
        channel,
        auto: reader.word(report, "auto", &AUTO),
    };
    reader.finish(report, elsewhere);
    route
}
