//! `db slow`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{buttons, tail};
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::time;
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone};
use crate::probe::database::SlowQueries;

/// Show the queries that take the most time
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Slow {
    const WORDS: &'static str = "db slow";
}

impl Probe for Slow {
    const STEP: &'static str = "db.slow";
    const SUMMARY: &'static str = "The queries that take the most time";
    type Found = SlowQueries;

    async fn look(self, context: &Context) -> Result<(SlowQueries, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let slow = found.probe.slow().await?;
        let name = &found.name;
        let title = match (slow.queries.len(), slow.from_statistics) {
            (0, true) => Line::new()
                .text("No statistics of queries yet in ")
                .code(name),
            (0, false) => Line::new().text("No query runs now in ").code(name),
            (_, true) => Line::new()
                .text("Queries that took the most time in ")
                .code(name)
                .text(slow.queries.first().map_or(String::new(), |one| {
                    format!(": the first {:.0} %", one.share_percent)
                })),
            (n, false) => Line::new().text(format!("{n} running now in ")).code(name),
        };
        let mut text = String::new();
        for query in slow.queries.iter().take(10) {
            let about = match query.pid {
                Some(pid) => format!(
                    "{pid} {}@{} for {}",
                    query.user,
                    query.database,
                    time(query.mean_ms as u64)
                ),
                None => format!(
                    "{:.0} %  {} × {}  {}@{}",
                    query.share_percent,
                    calls(query.calls),
                    millis(query.mean_ms),
                    query.user,
                    query.database
                ),
            };
            text.push_str(&format!("{about}\n  {}\n", cut(&query.query, 160)));
        }
        let mut message = Message::new(Tone::Plain, title).code(text);
        if let Some(hint) = &slow.hint {
            message = message.footer(hint.as_str());
        }
        let tail = tail(context, name);
        let message = message.buttons(buttons(
            &tail,
            &[("Locks", "locks"), ("Summary", "summary")],
        ));
        Ok((slow, message))
    }
}

fn calls(n: u64) -> String {
    match n {
        1 => "1 call".to_owned(),
        n => format!("{n} calls"),
    }
}

fn millis(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        time(ms as u64)
    }
}
