//! `db summary`.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{LAG, MANY, buttons, sessions, tail};
use crate::bot::probes::{State, counts, percent, time};
use crate::bot::services::Named;
use crate::bot::table::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Part, Tone, duration};
use crate::probe::database::{Database, DatabaseSummary};

/// A transaction open for longer than this is worth a warning, ms.
const LONG: u64 = 300_000;
/// Part of the way to the wraparound that is worth a warning, percent.
const WRAPAROUND: f64 = 50.0;

/// Show the state of the database at a glance
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which database.")]
pub struct Summary {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Summary {
    const WORDS: &'static str = "db summary";
}

impl Probe for Summary {
    const STEP: &'static str = "db.summary";
    const SUMMARY: &'static str = "The state of a database at a glance";
    type Found = State<DatabaseSummary>;

    async fn look(self, context: &Context) -> Result<(State<DatabaseSummary>, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let tail = tail(context, &found.name);
        match found.probe.summary().await {
            Ok(summary) => {
                let message = summary_message(found, &summary, context.store().now(), &tail);
                Ok((State::up(summary), message))
            }
            Err(error) if error.kind.is_down() => {
                let again = format!("db{tail}");
                Ok(State::down(context, found, &error, again))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn summary_message(
    found: &Named<dyn Database>,
    s: &DatabaseSummary,
    now: Timestamp,
    tail: &str,
) -> Message {
    let mut warnings = Vec::new();
    if s.connections_percent >= MANY {
        warnings.push(format!(
            "{} of {} connections are in use",
            s.connections_used, s.connections_max
        ));
    }
    if s.blocked > 0 {
        warnings.push(format!("{} wait for a lock", sessions(s.blocked)));
    }
    if let (Some(ms), Some(pid)) = (s.longest_transaction_ms, s.longest_transaction_pid)
        && ms >= LONG
    {
        warnings.push(format!(
            "Session {pid} has held a transaction open for {}",
            time(ms)
        ));
    }
    if s.wraparound_percent >= WRAPAROUND {
        warnings.push(format!(
            "{:.0} % of the way to transaction wraparound: vacuum",
            s.wraparound_percent
        ));
    }
    if s.replication_lag_bytes.is_some_and(|lag| lag >= LAG) {
        warnings.push("Replication is far behind".to_owned());
    }
    let tone = if warnings.is_empty() {
        Tone::Good
    } else {
        Tone::Warning
    };
    let title = Line::new().code(&found.name).text(format!(
        " is up, {:.0} % of its connections in use",
        s.connections_percent
    ));
    let mut message = Message::new(tone, title);
    for warning in warnings {
        message = message.text(format!("⚠ {warning}"));
    }
    let field = |name: &str, value: String| (name.to_owned(), Line::from(value));
    let mut fields = vec![
        field(
            "Connections",
            format!(
                "{} of {}: {}",
                s.connections_used,
                s.connections_max,
                counts(&s.by_state, 4)
            ),
        ),
        field("Applications", counts(&s.by_application, 4)),
        field(
            "Oldest transaction",
            match (s.longest_transaction_ms, s.longest_transaction_pid) {
                (Some(ms), Some(pid)) => format!("{} (session {pid})", time(ms)),
                _ => "none open".into(),
            },
        ),
        field("Waiting for locks", s.blocked.to_string()),
        field("Buffer cache hits", percent(s.cache_hit_percent)),
        field("Size", duration::bytes_text(s.size_bytes)),
        field("Replication", replication_text(s)),
        field(
            "Wraparound",
            format!("{:.1} % of the way", s.wraparound_percent),
        ),
        field(
            "Last vacuum",
            s.last_vacuum_at.map_or("never".into(), |at| {
                format!("{} ago", duration::text(duration::between(at, now)))
            }),
        ),
    ];
    if let Some(dead) = s.dead_rows_percent {
        fields.push(field("Dead rows", format!("{dead:.1} %")));
    }
    message
        .part(Part::Fields(fields))
        .buttons(buttons(
            tail,
            &[
                ("Connections", "connections"),
                ("Locks", "locks"),
                ("Slow queries", "slow"),
                ("Size", "size"),
            ],
        ))
        .footer(format!(
            "PostgreSQL {}, up {}",
            s.version,
            duration::text(duration::between(s.started_at, now))
        ))
}

fn replication_text(s: &DatabaseSummary) -> String {
    let lag = match (s.replication_lag_bytes, s.replication_lag_ms) {
        (Some(bytes), Some(ms)) => {
            format!(", {} ({}) behind", duration::bytes_text(bytes), time(ms))
        }
        (Some(bytes), None) => format!(", {} behind", duration::bytes_text(bytes)),
        (None, _) => String::new(),
    };
    if s.primary {
        match s.replicas {
            0 => "primary, no replica".into(),
            1 => format!("primary, 1 replica{lag}"),
            n => format!("primary, {n} replicas{lag}"),
        }
    } else {
        format!("standby{lag}")
    }
}
