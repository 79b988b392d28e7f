//! `[[heartbeat]]`: jobs elsewhere that say that they ran.

use std::time::Duration;

use secrecy::SecretString;

use super::alerts::SEVERITIES;
use super::kind::Kind;
use super::names::{Names, known_service};
use super::root::Root;
use super::section::Section;
use super::sources::{SOURCE, sender_name, sender_token};
use crate::bot::{AlertSettings, Deadman};
use crate::domain::heartbeat::Heartbeat;
use crate::domain::{Service, Severity};
use crate::web::HeartbeatSender;

pub(super) const HEARTBEAT: Kind = Kind::list(
    "heartbeat",
    "name every grace service severity watchdog token_file",
);

pub(super) const DEADMAN: Kind = Kind::single("deadman", "url every");

/// `[deadman]`: where the bot says that it is alive. The address is a secret: TREASURY_BOT_DEADMAN_URL, else
/// `url`.
fn deadman(section: &Section<'_>) -> Option<Deadman> {
    let every = section.duration_or("every", Duration::from_secs(60));
    let written = section.text("url").and_then(|text| text.http());
    let url = section.source.environment(&section.variable("url"));
    let url = url.or_else(|| Some(SecretString::from(String::from(written?))))?;
    Some(Deadman {
        url,
        every: every.max(LEAST),
    })
}

/// The least time between two, and the least grace.
const LEAST: Duration = Duration::from_secs(10);

/// Alerts come from elsewhere than Alertmanager.
pub(super) fn others_send(root: &Root<'_>) -> bool {
    root.count(SOURCE) + root.count(HEARTBEAT) > 0
}

/// What is expected, and what the bot itself sends; who may send, in the file's order, each name once.
/// `has_token`: that of `[alerts]` is there.
pub(super) fn heartbeats(
    root: &Root<'_>,
    services: &[Service],
    has_token: bool,
    alerts: &mut AlertSettings,
) -> Vec<HeartbeatSender> {
    alerts.deadman = root.single(DEADMAN, deadman);
    let mut names = Names::default();
    let all = root.list(HEARTBEAT, |one| {
        heartbeat(one, &mut names, services, has_token)
    });
    let (heartbeats, senders) = all.into_iter().unzip();
    alerts.heartbeats = heartbeats;
    senders
}

fn heartbeat(
    section: &Section<'_>,
    names: &mut Names,
    services: &[Service],
    has_token: bool,
) -> Option<(Heartbeat, HeartbeatSender)> {
    let name = sender_name(section, names, "heartbeat", "/heartbeats/NAME");
    let prefix = "TREASURY_BOT_HEARTBEAT";
    let (variable, token) = sender_token(section, prefix, name.as_deref());
    if section.written("every").is_none() {
        let hint = "add `every`: how often the job runs, such as `1d`";
        section.error("a heartbeat without `every`", hint);
    }
    let every = section.duration_or("every", LEAST).max(LEAST);
    let grace = section.duration_or("grace", (every / 10).max(Duration::from_secs(60)));
    let service = section.text("service");
    let service = service.and_then(|text| known_service(&text, services));
    let severity = section
        .word("severity", &SEVERITIES)
        .unwrap_or(Severity::Sev3);
    let watchdog = section.string("watchdog");
    if let (Some(name), false, None) = (&name, has_token, &watchdog)
        && section.lacks(token.as_ref(), "token")
    {
        let message = format!("nobody can send the heartbeat `{name}`: there is no token for it");
        let hint = format!("set {variable}, or `token_file`, or a token of [alerts]");
        section.source.fiction(section.span.clone(), message, hint);
    }
    let name = name?;
    let heartbeat = Heartbeat {
        name: name.clone(),
        every,
        grace: grace.max(LEAST),
        service,
        severity,
        watchdog,
    };
    Some((heartbeat, HeartbeatSender { name, token }))
}
