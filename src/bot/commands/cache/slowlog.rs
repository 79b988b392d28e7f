//! `cache slowlog`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bot::entry::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Tone};
use crate::probe::cache;

/// Show the slowest recent commands
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowLog {
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    cache: Option<String>,
}

impl Question for SlowLog {
    const WORDS: &'static str = "cache slowlog";
}

impl Probe for SlowLog {
    const STEP: &'static str = "cache.slowlog";
    const SUMMARY: &'static str = "The slowest recent commands";
    type Found = cache::SlowLog;

    async fn look(self, context: &Context) -> Result<(cache::SlowLog, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let log = found.probe.slowlog().await?;
        let name = &found.name;
        let title = match log.entries.len() {
            0 => Line::new()
                .text("No slow command is on record in ")
                .code(name),
            1 => Line::new().text("The slowest command of ").code(name),
            n => Line::new()
                .text(format!("The {n} slowest commands of "))
                .code(name),
        };
        let text: String = log
            .entries
            .iter()
            .map(|entry| {
                format!(
                    "{} {:>8.1} ms  {}  {}\n",
                    entry.at.strftime("%H:%M:%S"),
                    entry.took_us as f64 / 1_000.0,
                    entry.command,
                    entry.client
                )
            })
            .collect();
        let mut message = Message::new(Tone::Plain, title).code(text);
        message = match log.threshold_us {
            Some(us) => message.footer(format!(
                "Commands over {} ms; arguments are left out but for the key. Times are UTC",
                us as f64 / 1_000.0
            )),
            None => message.footer("The server keeps no slow log: set slowlog-log-slower-than"),
        };
        Ok((log, message))
    }
}
