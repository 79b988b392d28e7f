//! Diagnostics: what is the state, what do the logs say, what happened.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

use super::graph::trend_words;
use super::request::{Answer, Ask, Done, Effect};
use super::{Context, Fault};
use crate::domain::series::Metric;
use crate::domain::service::{
    Event, Health, LogQuery, Logs, Replica, ReplicaState, Service, ServiceStats, ServiceStatus,
    well_text,
};
use crate::domain::{
    Audience, Button, Content, Line, Message, Outgoing, Part, ServiceName, Tone, duration,
};
use crate::platform::PlatformError;

pub(super) async fn status(context: &Context, name: Option<&str>) -> Result<Effect, Fault> {
    let now = context.store().now();
    if let Some(name) = name {
        return crate::bot::registry::ask(context, "service.status", json!({ "service": name }))
            .await;
    }
    let services = context.catalogue().services();
    // Asked at the same time: one platform that hangs doesn't hold up the others.
    let results = join_all(services.iter().map(|service| async {
        match context.catalogue().platform(service) {
            Ok(platform) => soon(platform.name(), platform.status(service)).await,
            Err(refusal) => Err(PlatformError::Unsupported(refusal.title.plain())),
        }
    }))
    .await;
    let well = results
        .iter()
        .filter(|r| r.as_ref().is_ok_and(ServiceStatus::is_well))
        .count();
    let tone = if well == services.len() {
        Tone::Good
    } else {
        Tone::Warning
    };
    let mut message = Message::new(
        tone,
        format!("{well} of {} services are well", services.len()),
    );
    for (service, result) in services.iter().zip(&results) {
        message = message.text(match result {
            Ok(status) => Line::new()
                .text(format!("{} ", light(status)))
                .bold(&service.name)
                .text(format!("  {}{}", well_text(status), up_text(status, now))),
            Err(error) => Line::new()
                .text("⚪ ")
                .bold(&service.name)
                .text(format!("  {error}")),
        });
    }
    let unwell: Vec<Button> = services
        .iter()
        .zip(&results)
        .filter(|(_, result)| !result.as_ref().is_ok_and(ServiceStatus::is_well))
        .take(5)
        .map(|(service, _)| Button::new(service.name.to_string(), format!("menu {}", service.name)))
        .collect();
    Ok(Effect::Say(Answer::to_all(message.buttons(unwell))))
}

/// The newest samples at once, with their age; where that is high, the same message is edited
/// as soon as there are fresh ones.
pub(super) async fn stats(
    context: &Context,
    ask: &Ask,
    name: Option<&str>,
) -> Result<Effect, Fault> {
    let services: Vec<&Service> = match name {
        Some(name) => {
            let (service, platform) = context
                .catalogue()
                .find(name, |near| format!("stats {near}"))?;
            // What is wrong with the only one is the answer.
            platform.stats(service).await?;
            vec![service]
        }
        None => context.catalogue().services().iter().collect(),
    };
    let rows = sampled(context, &services).await;
    let now = context.store().now();
    let message = usage(context, &rows).await;
    let stale = oldest(&rows).is_some_and(|at| duration::between(at, now) > OLD);
    if !stale || ask.request.place.is_terminal() {
        return Ok(Effect::Say(Answer::to_all(message)));
    }
    let names = services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    let outgoing = ask.outgoing(Content::Message(message.clone()), Audience::Everyone);
    Ok(Effect::write(move |_| {
        Box::pin(async move {
            Ok(Done {
                answer: Some(Answer::to_all(message)),
                refresh: Some((outgoing, names)),
                ..Done::default()
            })
        })
    }))
}

async fn sampled<'s>(
    context: &Context,
    services: &[&'s Service],
) -> Vec<(&'s Service, Result<ServiceStats, PlatformError>)> {
    join_all(services.iter().map(|service| async move {
        let stats = match context.catalogue().platform(service) {
            Ok(platform) if services.len() > 1 => {
                soon(platform.name(), platform.stats(service)).await
            }
            Ok(platform) => platform.stats(service).await,
            Err(refusal) => Err(PlatformError::Unsupported(refusal.title.plain())),
        };
        (*service, stats)
    }))
    .await
}

/// The figures; of one service with where its memory is heading.
pub(super) async fn usage(
    context: &Context,
    rows: &[(&Service, Result<ServiceStats, PlatformError>)],
) -> Message {
    let now = context.store().now();
    let message = stats_message(rows, now);
    let [(service, Ok(_))] = rows else {
        return message;
    };
    match crate::bot::graph::headings(context, service, Metric::Memory, now - TREND).await {
        Ok(headings) => headings
            .iter()
            .filter_map(|heading| trend_words(heading, Metric::Memory))
            .take(TRENDS)
            .fold(message, |message, words| {
                message.text(format!("📈 {words}"))
            }),
        Err(Fault::Refusal(_)) => message,
        Err(Fault::Failure(failure)) => {
            tracing::warn!(cause = %failure.chain(), "figures without their trend");
            message
        }
    }
}

/// Edits an answer once there are fresh samples; leaves it where none come.
pub(super) async fn refresh_stats(context: Context, outgoing: Outgoing, names: Vec<ServiceName>) {
    let catalogue = context.catalogue();
    let services: Vec<&Service> = catalogue
        .services()
        .iter()
        .filter(|service| names.contains(&service.name))
        .collect();
    let deadline = std::time::Instant::now() + FRESH_WITHIN;
    while std::time::Instant::now() < deadline && !context.shutdown().is_cancelled() {
        tokio::time::sleep(LOOK).await;
        let rows = sampled(&context, &services).await;
        let now = context.store().now();
        if oldest(&rows).is_none_or(|at| duration::between(at, now) > OLD) {
            continue;
        }
        let message = usage(&context, &rows).await;
        let edit = outgoing.with(Content::Message(message));
        if let Err(error) = context.store().outbox_put(edit).await {
            tracing::warn!(%error, "fresh figures could not be told");
        }
        return;
    }
}

/// An answer about many services waits no longer for one of them. First samples take this long.
const SOON: Duration = Duration::from_millis(2_800);

/// What a platform answers soon, or that it does not.
async fn soon<T>(
    platform: &'static str,
    answer: impl Future<Output = Result<T, PlatformError>>,
) -> Result<T, PlatformError> {
    let answer = tokio::time::timeout(SOON, answer).await;
    answer.unwrap_or_else(|_| {
        Err(PlatformError::Timeout {
            platform,
            what: "its answer".to_owned(),
            after: SOON,
        })
    })
}

/// Samples older than this are told at once, and then told anew.
const OLD: Duration = Duration::from_secs(2);
/// How long fresh ones are waited for.
const FRESH_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(250);
/// A trend is looked for in this last time.
const TREND: SignedDuration = SignedDuration::from_hours(6);
/// Most facts told with a status.
const FACTS: usize = 8;
/// Most trends told with figures: those that matter soonest.
const TRENDS: usize = 3;

/// When the oldest of these samples was taken.
fn oldest(rows: &[(&Service, Result<ServiceStats, PlatformError>)]) -> Option<jiff::Timestamp> {
    let taken = rows.iter().filter_map(|(_, stats)| stats.as_ref().ok());
    taken.map(|stats| stats.taken_at).min()
}

fn stats_message(
    rows: &[(&Service, Result<ServiceStats, PlatformError>)],
    now: jiff::Timestamp,
) -> Message {
    let mut table = String::from("              CPU   MEMORY\n");
    let mut detail = String::new();
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let mut oldest: Option<jiff::Timestamp> = None;
    for (service, result) in rows {
        match result {
            Err(error) => warnings.push(format!("{}: {error}", service.name)),
            Ok(stats) => {
                let note = stats.note.as_ref();
                notes.extend(note.map(|note| format!("{}: {note}", service.name)));
                oldest = Some(oldest.map_or(stats.taken_at, |at| at.min(stats.taken_at)));
                for replica in &stats.replicas {
                    let memory = match (replica.memory_percent(), replica.memory_limit_bytes) {
                        (Some(percent), Some(limit)) => format!(
                            "{:>3.0}% {} of {}",
                            percent,
                            duration::bytes_text(replica.memory_bytes),
                            duration::bytes_text(limit)
                        ),
                        _ => format!("{} (no limit)", duration::bytes_text(replica.memory_bytes)),
                    };
                    let name = short_name(&replica.replica);
                    table.push_str(&format!(
                        "{name:<12} {:>4.0}% {memory}\n",
                        replica.cpu_percent
                    ));
                    if replica
                        .memory_percent()
                        .is_some_and(|percent| percent > 90.0)
                    {
                        warnings.push(format!("{} uses over 90 % of its memory", replica.replica));
                    }
                    if replica.pids == 0 {
                        // The platform does not count these.
                        continue;
                    }
                    detail.push_str(&format!(
                        "{name:<12} net {}↓ {}↑  disk {}r {}w  {} pids\n",
                        duration::bytes_text(replica.network_rx_bytes),
                        duration::bytes_text(replica.network_tx_bytes),
                        duration::bytes_text(replica.block_read_bytes),
                        duration::bytes_text(replica.block_write_bytes),
                        replica.pids
                    ));
                }
            }
        }
    }
    let title = match rows {
        [(service, _)] => Line::new().text("Resource use of ").code(&service.name),
        _ => Line::from("Resource use of all services"),
    };
    let tone = if warnings.is_empty() {
        Tone::Plain
    } else {
        Tone::Warning
    };
    let mut message = Message::new(tone, title).code(table).code(detail);
    for line in warnings.into_iter().chain(notes) {
        message = message.text(line);
    }
    match oldest {
        Some(at) => message.footer(format!(
            "Sampled {} ago. CPU: percent of one core",
            duration::text(duration::between(at, now))
        )),
        None => message,
    }
}

/// Log lines, newest last.
pub(super) fn logs_message(
    service: &Service,
    query: &LogQuery,
    since: Option<Duration>,
    logs: &Logs,
) -> Message {
    let many = logs
        .lines
        .iter()
        .any(|line| line.replica != logs.lines[0].replica);
    let mut text = String::new();
    for line in &logs.lines {
        if let Some(at) = line.at {
            text.push_str(&at.strftime("%H:%M:%S ").to_string());
        }
        if many {
            text.push_str(short_name(&line.replica));
            text.push(' ');
        }
        if line.stderr {
            text.push_str("! ");
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    let mut about = String::new();
    if let Some(grep) = &query.grep {
        about.push_str(&format!(
            " with “{}”",
            crate::domain::timeline::cut(grep, 80)
        ));
    }
    if let Some(since) = since {
        about.push_str(&format!(" of the last {}", duration::text(since)));
    }
    if query.previous {
        about.push_str(" before the last restart");
    }
    let count = logs.lines.len();
    let title = Line::new()
        .text(match count {
            0 => "No log lines of ".to_owned(),
            1 => "Last log line of ".to_owned(),
            n => format!("Last {n} log lines of "),
        })
        .code(&service.name)
        .text(about);
    let message = Message::new(Tone::Plain, title).code(text);
    let mut small = Line::new().text("Times are UTC; ! marks standard error");
    if logs.truncated {
        small = small.text("; older lines were left out");
    }
    if count > 0 {
        message.footer(small)
    } else {
        message
    }
}

/// What happened, newest first.
pub(super) fn events_message(service: &Service, since: Duration, events: &[Event]) -> Message {
    let text: Vec<String> = events
        .iter()
        .rev()
        .map(|event| {
            let detail = event
                .detail
                .as_ref()
                .map(|d| format!(" ({d})"))
                .unwrap_or_default();
            format!(
                "{} {} {}{detail}",
                event.at.strftime("%H:%M:%S"),
                short_name(&event.replica),
                event.what
            )
        })
        .collect();
    let title = Line::new()
        .text(match events.len() {
            0 => "Nothing happened to ".to_owned(),
            1 => "1 event of ".to_owned(),
            n => format!("{n} events of "),
        })
        .code(&service.name)
        .text(format!(" in the last {}", duration::text(since)));
    let message = Message::new(Tone::Plain, title).code(text.join("\n"));
    if events.is_empty() {
        message
    } else {
        message.footer("Times are UTC, newest first")
    }
}

/// One service in full.
pub(super) fn one_status(
    service: &Service,
    status: &ServiceStatus,
    now: jiff::Timestamp,
) -> Message {
    let tone = if status.is_well() {
        Tone::Good
    } else {
        Tone::Bad
    };
    let mut message = Message::new(
        tone,
        Line::new()
            .code(&service.name)
            .text(format!(" {}", well_text(status))),
    );
    for replica in &status.replicas {
        message = message.text(
            Line::new()
                .text(format!("{} ", replica_light(replica)))
                .bold(&replica.name)
                .text(format!("  {}", replica_text(replica, now))),
        );
    }
    for fact in status.facts.iter().take(FACTS) {
        message = message.text(fact.as_str());
    }
    let images: Vec<_> = crate::domain::service::images(status).into_keys().collect();
    message = message.part(Part::Fields(vec![(
        if images.len() == 1 {
            "Image"
        } else {
            "Images (they differ!)"
        }
        .to_owned(),
        Line::new().code(crate::domain::timeline::cut(&images.join(", "), 300)),
    )]));
    let name = &service.name;
    message.buttons(vec![
        Button::new("Logs", format!("logs {name}")),
        Button::new("Stats", format!("stats {name}")),
        Button::new("Events", format!("events {name}")),
        Button::new("Restart", format!("restart {name}")),
    ])
}

fn replica_text(replica: &Replica, now: jiff::Timestamp) -> String {
    let ago = |at: Option<jiff::Timestamp>| {
        at.map_or_else(
            || "?".into(),
            |at| duration::text(duration::between(at, now)),
        )
    };
    let mut text = match replica.state {
        ReplicaState::Running => format!("up {}", ago(replica.started_at)),
        ReplicaState::Created => "made, never started".into(),
        ReplicaState::Restarting => "restarting".into(),
        ReplicaState::Paused => "paused".into(),
        ReplicaState::Exited => format!("exited {} ago", ago(replica.finished_at)),
        ReplicaState::Dead => "dead".into(),
    };
    match replica.health {
        Health::Healthy => text.push_str(", healthy"),
        Health::Unhealthy => text.push_str(", UNHEALTHY"),
        Health::Starting => text.push_str(", starting"),
        Health::Unchecked => {}
    }
    if let (Some(code), false) = (replica.exit_code, replica.state == ReplicaState::Running) {
        text.push_str(&format!(", exit code {code}"));
    }
    if replica.oom_killed {
        text.push_str(", OUT OF MEMORY");
    }
    if replica.restarts > 0 {
        text.push_str(&format!(", {} restarts", replica.restarts));
    }
    if let Some(node) = &replica.node {
        text.push_str(&format!(", on {node}"));
    }
    if let Some(note) = &replica.note {
        text.push_str(&format!("; {note}"));
    }
    text
}

fn replica_light(replica: &Replica) -> &'static str {
    match (replica.is_well(), replica.state, replica.health) {
        (true, ..) => "🟢",
        (_, ReplicaState::Running, Health::Starting) | (_, ReplicaState::Restarting, _) => "🟡",
        _ => "🔴",
    }
}

fn light(status: &ServiceStatus) -> &'static str {
    match (status.is_well(), status.well()) {
        (true, _) => "🟢",
        (_, 0) => "🔴",
        _ => "🟡",
    }
}

/// `, up 3h` of the youngest replica, and what is worrying.
fn up_text(status: &ServiceStatus, now: jiff::Timestamp) -> String {
    let mut text = match status.replicas.iter().filter_map(|r| r.started_at).max() {
        Some(at) if status.well() > 0 => {
            format!(", up {}", duration::text(duration::between(at, now)))
        }
        _ => String::new(),
    };
    let restarts: u64 = status.replicas.iter().map(|r| r.restarts).sum();
    if restarts > 0 {
        text.push_str(&format!(", {restarts} restarts"));
    }
    if status.replicas.iter().any(|r| r.oom_killed) {
        text.push_str(", OUT OF MEMORY");
    }
    text
}

/// `frontend-1` of `treasury-frontend-1`, `x2x4z` of `frontend-7d9f8b6c5d-x2x4z`: a phone's line is
/// short.
fn short_name(replica: &str) -> &str {
    if let Some(pod) = pod_suffix(replica) {
        return pod;
    }
    match replica.match_indices('-').count() {
        n if n >= 2 => replica.split_once('-').map_or(replica, |(_, rest)| rest),
        _ => replica,
    }
}

/// The end that Kubernetes gives a pod of a Deployment, behind the name of its ReplicaSet.
fn pod_suffix(replica: &str) -> Option<&str> {
    // The letters and digits that it draws from: no vowels, and none that look alike.
    let drawn = |text: &str| {
        text.bytes()
            .all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    let (stem, pod) = replica.rsplit_once('-')?;
    let (_, set) = stem.rsplit_once('-')?;
    let fits = pod.len() == 5 && (6..=10).contains(&set.len()) && drawn(pod) && drawn(set);
    fits.then_some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_to_what_tells_them_apart() {
        for (name, short) in [
            ("treasury-frontend-1", "frontend-1"),
            ("frontend-7d9f8b6c5d-x2x4z", "x2x4z"),
            ("treasury-api-7d9f8b6c5d-x2x4z", "x2x4z"),
            ("redis-0", "redis-0"),
            ("treasury-worker-blue", "worker-blue"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }
}
