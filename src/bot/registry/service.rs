//! `service.*`: what is asked of one service's platform.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entry, action, probe};
use crate::bot::actions::joined_to;
use crate::bot::diagnose::{events_message, logs_message, one_status};
use crate::bot::{Context, Fault};
use crate::domain::duration::{self, Human};
use crate::domain::service::{Event, LogLine, LogQuery, Replica, ReplicaStats, Version, images};
use crate::domain::{Line, Message, Tone};

/// Which service.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Of {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
}

/// Which log lines.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogsParams {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// How many lines, newest last.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 500))]
    lines: usize,
    /// Only lines of this last time.
    #[serde(default)]
    since: Option<Human>,
    /// Only lines that contain this text, in any case.
    #[serde(default)]
    grep: Option<String>,
    /// The lines before the last restart.
    #[serde(default)]
    previous: bool,
    /// Which container of a pod that has several.
    #[serde(default)]
    container: Option<String>,
}

fn thirty() -> usize {
    30
}

/// Which events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsParams {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// How far back.
    #[serde(default = "an_hour")]
    since: Human,
}

fn an_hour() -> Human {
    Human(std::time::Duration::from_secs(3_600))
}

/// How many replicas.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScaleParams {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// How many replicas there shall be.
    replicas: u32,
}

/// Which image.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeployParams {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// The image, such as `treasury/api:1.9.0`; the platform has to have it.
    image: String,
}

/// What a service runs and ran.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Versions {
    /// The image it runs.
    present: Option<String>,
    /// The image that a rollback brings it to.
    former: Option<String>,
    /// How long it has run the present one, ms, where the platform knows.
    present_for_ms: Option<u64>,
    /// All that the platform knows of, the present one first, at most 10.
    versions: Vec<Version>,
}

/// The state of a service.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct State {
    /// Its name.
    service: String,
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How often the platform restarted them by itself.
    restarts: u64,
    /// A replica was ended for lack of memory.
    out_of_memory: bool,
    /// The bot has cut it off and not joined it again.
    isolated: bool,
    /// When the youngest replica started.
    started_at: Option<Timestamp>,
    /// The images they run; more than one: a deployment under way or stuck.
    images: Vec<String>,
    /// The replicas.
    replicas: Vec<Replica>,
}

/// Log lines.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Lines {
    /// How many.
    count: usize,
    /// Lines on standard error.
    stderr: usize,
    /// Older matching lines were left out.
    truncated: bool,
    /// The lines, oldest first.
    lines: Vec<LogLine>,
}

/// Resource use.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Stats {
    /// When the oldest sample was taken.
    taken_at: Timestamp,
    /// Its age, ms.
    age_ms: u64,
    /// The replica with the fullest memory.
    worst: Option<String>,
    /// Its memory as percent of its limit; `None` without a limit.
    memory_percent: Option<f64>,
    /// Memory of all replicas, bytes.
    memory_bytes: u64,
    /// CPU of the busiest replica, percent of one core.
    cpu_percent: f64,
    /// The replicas.
    replicas: Vec<ReplicaStats>,
}

/// What happened.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Events {
    /// How many.
    count: usize,
    /// Events, oldest first, at most 200.
    events: Vec<Event>,
}

/// The state after a change.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct After {
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}

/// The state after a deployment.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Deployed {
    /// The image it runs now.
    image: String,
    /// The image it ran before, where the platform knows.
    former: Option<String>,
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}

/// What was cut.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Isolated {
    /// How many joins were cut.
    attachments: usize,
    /// How many pieces of evidence were kept before.
    evidence: usize,
    /// All replicas go on running.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}

/// What was joined again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Released {
    /// How many joins were made again.
    attachments: usize,
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}

pub(super) fn entries() -> Vec<Entry> {
    vec![
        probe("service.status", "The replicas of a service now", status),
        probe("service.logs", "The last log lines of a service", logs),
        probe("service.stats", "Resource use of a service", stats),
        probe(
            "service.events",
            "What the platform saw happen to a service",
            events,
        ),
        action::<Of, After>(
            "service.restart",
            "Restarts the replicas of a service, one after another",
        ),
        action::<ScaleParams, After>(
            "service.scale",
            "Changes the number of replicas of a service",
        ),
        probe(
            "service.versions",
            "The versions that a service runs and ran",
            versions,
        ),
        action::<DeployParams, Deployed>(
            "service.deploy",
            "Brings a service to another image, one replica after another",
        ),
        action::<Of, Deployed>(
            "service.rollback",
            "Brings a service back to the version before the present one",
        ),
        action::<Of, Isolated>(
            "service.isolate",
            "Cuts a service off from all networks, after keeping evidence",
        ),
        action::<Of, Released>(
            "service.release",
            "Joins an isolated service again, exactly as it was",
        ),
    ]
}

async fn status(bot: Context, of: Of) -> Result<(State, Message), Fault> {
    let (service, platform) = bot
        .catalogue()
        .find(&of.service, |near| format!("status {near}"))?;
    let status = platform.status(service).await?;
    let mut message = one_status(service, &status, bot.store().now());
    let cut = bot.store().attachments_cut(&service.name).await?;
    if !cut.is_empty() {
        let line = Line::new()
            .text(format!("🚧 Cut off from {}: ", joined_to(&cut)))
            .code(format!("release {}", service.name))
            .text(" joins it again");
        message = message.text(line);
    }
    let state = State {
        isolated: !cut.is_empty(),
        service: service.name.to_string(),
        well: status.is_well(),
        well_replicas: status.well(),
        total_replicas: status.replicas.len(),
        restarts: status.replicas.iter().map(|r| r.restarts).sum(),
        out_of_memory: status.replicas.iter().any(|r| r.oom_killed),
        started_at: status.replicas.iter().filter_map(|r| r.started_at).max(),
        images: images(&status).into_keys().map(str::to_owned).collect(),
        replicas: status.replicas,
    };
    Ok((state, message))
}

async fn versions(bot: Context, of: Of) -> Result<(Versions, Message), Fault> {
    let (service, platform) = bot
        .catalogue()
        .find(&of.service, |near| format!("status {near}"))?;
    let versions = platform.versions(service).await?;
    let image = |at: usize| versions.get(at).map(|one: &Version| one.image.clone());
    let title = Line::new().code(&service.name).text(format!(
        " runs {}; before: {}",
        image(0).as_deref().unwrap_or("nothing known"),
        image(1).as_deref().unwrap_or("nothing known"),
    ));
    let message = Message::new(Tone::Plain, title);
    let result = Versions {
        present: image(0),
        former: image(1),
        present_for_ms: versions
            .first()
            .and_then(|one| one.since)
            .map(|since| duration::between(since, bot.store().now()).as_millis() as u64),
        versions,
    };
    Ok((result, message))
}

async fn logs(bot: Context, of: LogsParams) -> Result<(Lines, Message), Fault> {
    let (service, platform) = bot
        .catalogue()
        .find(&of.service, |near| format!("logs {near}"))?;
    let query = LogQuery {
        lines: of.lines.clamp(1, 500),
        since: of.since.map(|ago| bot.store().now() - ago.0),
        grep: of.grep,
        previous: of.previous,
        container: of.container,
    };
    let logs = platform.logs(service, &query).await?;
    let message = logs_message(service, &query, of.since.map(|since| since.0), &logs);
    let lines = Lines {
        count: logs.lines.len(),
        stderr: logs.lines.iter().filter(|line| line.stderr).count(),
        truncated: logs.truncated,
        lines: logs.lines,
    };
    Ok((lines, message))
}

async fn stats(bot: Context, of: Of) -> Result<(Stats, Message), Fault> {
    let (service, platform) = bot
        .catalogue()
        .find(&of.service, |near| format!("stats {near}"))?;
    let now = bot.store().now();
    let stats = platform.stats(service).await?;
    let message = crate::bot::diagnose::usage(&bot, &[(service, Ok(stats.clone()))]).await;
    let fullest = stats.replicas.iter().max_by(|a, b| {
        let fill = |r: &ReplicaStats| r.memory_percent().unwrap_or(-1.0);
        fill(a)
            .total_cmp(&fill(b))
            .then(a.memory_bytes.cmp(&b.memory_bytes))
    });
    let result = Stats {
        taken_at: stats.taken_at,
        age_ms: duration::between(stats.taken_at, now).as_millis() as u64,
        worst: fullest.map(|r| r.replica.clone()),
        memory_percent: fullest.and_then(ReplicaStats::memory_percent),
        memory_bytes: stats.replicas.iter().map(|r| r.memory_bytes).sum(),
        cpu_percent: stats
            .replicas
            .iter()
            .map(|r| r.cpu_percent)
            .fold(0.0, f64::max),
        replicas: stats.replicas,
    };
    Ok((result, message))
}

async fn events(bot: Context, of: EventsParams) -> Result<(Events, Message), Fault> {
    let (service, platform) = bot
        .catalogue()
        .find(&of.service, |near| format!("events {near}"))?;
    let since = of.since.0;
    let events = platform.events(service, bot.store().now() - since).await?;
    let message = events_message(service, since, &events);
    let result = Events {
        count: events.len(),
        events,
    };
    Ok((result, message))
}
