//! `db replication`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{LAG, slot_text};
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::time;
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Tone, duration};
use crate::probe::database;

/// Show how far replicas of the database are behind
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replication {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Replication {
    const WORDS: &'static str = "db replication";
}

impl Probe for Replication {
    const STEP: &'static str = "db.replication";
    const SUMMARY: &'static str = "How far replicas are behind";
    type Found = database::Replication;

    async fn look(self, context: &Context) -> Result<(database::Replication, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let r = found.probe.replication().await?;
        let lag = |bytes: Option<u64>, ms: Option<u64>| match (bytes, ms) {
            (Some(bytes), Some(ms)) => {
                format!("{} ({}) behind", duration::bytes_text(bytes), time(ms))
            }
            (Some(bytes), None) => format!("{} behind", duration::bytes_text(bytes)),
            (None, _) => "how far behind is not known".to_owned(),
        };
        let mut text = String::new();
        for one in &r.replicas {
            let behind = if one.applies {
                lag(one.lag_bytes, one.lag_ms)
            } else {
                "no replica: it applies nothing".to_owned()
            };
            let (name, client, state, sync) = (&one.name, &one.client, &one.state, &one.sync);
            text.push_str(&format!("{name} {client} {state} {sync}: {behind}\n"));
        }
        for slot in &r.slots {
            text.push_str(&format!("{}\n", slot_text(slot)));
        }
        let replicas = r.replicas.iter().filter(|one| one.applies).count();
        let (tone, title) = if r.primary {
            let title = match replicas {
                0 if r.replicas.is_empty() => " is a primary; nobody streams from it".to_owned(),
                0 => " is a primary without a replica".to_owned(),
                1 => " is a primary with 1 replica".to_owned(),
                n => format!(" is a primary with {n} replicas"),
            };
            let far = |bytes: Option<u64>| bytes.is_none_or(|bytes| bytes >= LAG);
            let worrying = r
                .replicas
                .iter()
                .any(|one| one.applies && far(one.lag_bytes))
                || r.slots
                    .iter()
                    .any(|slot| !slot.active || slot.lost.is_some());
            (worrying, title)
        } else {
            match &r.streams_from {
                Some(from) => (
                    r.replay_paused || r.replay_lag_bytes.is_none_or(|lag| lag >= LAG),
                    format!(
                        " is a standby of {from}, {}{}",
                        if r.replay_paused {
                            "PAUSED (pg_wal_replay_resume), "
                        } else {
                            ""
                        },
                        lag(r.replay_lag_bytes, r.replay_lag_ms)
                    ),
                ),
                None => (
                    true,
                    " is a standby that does not stream: how far behind is not known".to_owned(),
                ),
            }
        };
        let tone = if tone { Tone::Warning } else { Tone::Good };
        let message = Message::new(tone, Line::new().code(&found.name).text(title)).code(text);
        Ok((r, message))
    }
}
