//! `stats`.

use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::entry::{Command, Probe};
use crate::bot::headings::{headings, trend_words};
use crate::bot::request::{Answer, Ask, Done, Effect, Next};
use crate::bot::services::{short_name, soon};
use crate::bot::{Context, Fault};
use crate::domain::series::Metric;
use crate::domain::service::{ReplicaStats, Service, ServiceStats};
use crate::domain::{Audience, Content, Line, Message, Outgoing, ServiceName, Tone, duration};
use crate::platform::PlatformError;

/// Samples older than this are told at once, and then told anew.
const OLD: Duration = Duration::from_secs(2);
/// How long fresh ones are waited for.
const FRESH_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(250);
/// A trend is looked for in this last time.
const TREND: SignedDuration = SignedDuration::from_hours(6);
/// Most trends told with figures: those that matter soonest.
const TRENDS: usize = 3;

/// Show CPU, memory, network and disk use of all services, or of one
#[derive(Debug, Args)]
pub struct Stats {
    /// The service; all of them when left out
    service: Option<String>,
}

/// A service with what its platform measured.
type Sampled<'s> = (&'s Service, Result<ServiceStats, PlatformError>);

impl Command for Stats {
    const WORDS: &'static str = "stats";

    /// The newest samples at once, with their age; where that is high, the same message is edited
    /// as soon as there are fresh ones.
    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let services: Vec<&Service> = match &self.service {
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
                    next: Some(Next::Refresh(Box::new(outgoing), names)),
                    ..Done::default()
                })
            })
        }))
    }
}

/// Which service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatsOf {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
}

/// Resource use.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Use {
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
    /// Which replicas have no figures, and why.
    note: Option<String>,
    /// The replicas.
    replicas: Vec<ReplicaStats>,
}

impl Use {
    /// `: memory 93 % (frontend-1), CPU 34 % of a core`; `None` where nothing runs.
    fn figures(&self) -> Option<String> {
        let worst = short_name(self.worst.as_deref()?);
        let memory = match self.memory_percent {
            Some(percent) => format!("{percent:.0} % ({worst})"),
            None => duration::bytes_text(self.memory_bytes),
        };
        let cpu = self.cpu_percent;
        Some(format!(": memory {memory}, CPU {cpu:.0} % of a core"))
    }
}

impl Probe for StatsOf {
    const STEP: &'static str = "service.stats";
    const SUMMARY: &'static str = "Resource use of a service";
    type Found = Use;

    async fn look(self, context: &Context) -> Result<(Use, Message), Fault> {
        let (service, platform) = context
            .catalogue()
            .find(&self.service, |near| format!("stats {near}"))?;
        let now = context.store().now();
        let stats = platform.stats(service).await?;
        let mut message = usage(context, &[(service, Ok(stats.clone()))]).await;
        let fullest = stats.replicas.iter().max_by(|a, b| {
            let fill = |r: &ReplicaStats| r.memory_percent().unwrap_or(-1.0);
            fill(a)
                .total_cmp(&fill(b))
                .then(a.memory_bytes.cmp(&b.memory_bytes))
        });
        let result = Use {
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
            note: stats.note,
            replicas: stats.replicas,
        };
        // What a step of a run says in its one line.
        if let Some(figures) = result.figures() {
            message.title = Line::new().code(&service.name).text(figures);
        }
        Ok((result, message))
    }
}

async fn sampled<'s>(context: &Context, services: &[&'s Service]) -> Vec<Sampled<'s>> {
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
async fn usage(context: &Context, rows: &[Sampled<'_>]) -> Message {
    let now = context.store().now();
    let message = stats_message(rows, now);
    let [(service, Ok(_))] = rows else {
        return message;
    };
    match headings(context, service, Metric::Memory, now - TREND).await {
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
pub(in crate::bot) async fn refresh(context: Context, outgoing: Outgoing, names: Vec<ServiceName>) {
    let catalogue = context.catalogue();
    let services: Vec<&Service> = catalogue
        .services()
        .iter()
        .filter(|service| names.contains(&service.name))
        .collect();
    let deadline = Instant::now() + FRESH_WITHIN;
    while Instant::now() < deadline && !context.shutdown().is_cancelled() {
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

/// When the oldest of these samples was taken.
fn oldest(rows: &[Sampled<'_>]) -> Option<Timestamp> {
    let taken = rows.iter().filter_map(|(_, stats)| stats.as_ref().ok());
    taken.map(|stats| stats.taken_at).min()
}

fn stats_message(rows: &[Sampled<'_>], now: Timestamp) -> Message {
    let mut table = String::from("              CPU   MEMORY\n");
    let mut detail = String::new();
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let mut oldest: Option<Timestamp> = None;
    for (service, result) in rows {
        match result {
            Err(error) => warnings.push(format!("{}: {error}", service.name)),
            Ok(stats) => {
                let note = stats.note.as_ref();
                notes.extend(note.map(|note| format!("{}: {note}", service.name)));
                if stats.replicas.is_empty() {
                    notes.push(format!("{}: no replica of it runs", service.name));
                    continue;
                }
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
