//! `db replication`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::LAG;
use crate::bot::probes::time;
use crate::bot::table::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Tone, duration};
use crate::probe::database;

/// Show how far replicas of the database are behind
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which database.")]
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
        let lag = |bytes: u64, ms: Option<u64>| match ms {
            Some(ms) => format!("{} ({}) behind", duration::bytes_text(bytes), time(ms)),
            None => format!("{} behind", duration::bytes_text(bytes)),
        };
        let mut text = String::new();
        for replica in &r.replicas {
            text.push_str(&format!(
                "{} {} {} {}: {}\n",
                replica.name,
                replica.client,
                replica.state,
                replica.sync,
                lag(replica.lag_bytes, replica.lag_ms)
            ));
        }
        for slot in &r.slots {
            let kept = slot.kept_bytes.map_or(String::new(), |n| {
                format!(", keeps {}", duration::bytes_text(n))
            });
            let state = if slot.active { "in use" } else { "NOT IN USE" };
            text.push_str(&format!("slot {} {state}{kept}\n", slot.name));
        }
        let (tone, title) = if r.primary {
            let title = match r.replicas.len() {
                0 => " is a primary; nobody streams from it".to_owned(),
                1 => " is a primary with 1 replica".to_owned(),
                n => format!(" is a primary with {n} replicas"),
            };
            let worrying = r.replicas.iter().any(|one| one.lag_bytes >= LAG)
                || r.slots.iter().any(|slot| !slot.active);
            (worrying, title)
        } else {
            match &r.streams_from {
                Some(from) => (
                    r.replay_lag_bytes.is_some_and(|lag| lag >= LAG),
                    format!(
                        " is a standby of {from}, {}",
                        lag(r.replay_lag_bytes.unwrap_or(0), r.replay_lag_ms)
                    ),
                ),
                None => (true, " is a standby that does not stream".to_owned()),
            }
        };
        let tone = if tone { Tone::Warning } else { Tone::Good };
        let message = Message::new(tone, Line::new().code(&found.name).text(title)).code(text);
        Ok((r, message))
    }
}
