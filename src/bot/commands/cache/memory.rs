//! `cache memory`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bot::entry::{Probe, Question};
use crate::bot::probes::time;
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Tone, counted, duration};
use crate::probe::cache::{BigKey, BigKeys};

/// Show the biggest keys of a sample
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    cache: Option<String>,
}

impl Question for Memory {
    const WORDS: &'static str = "cache memory";
}

impl Probe for Memory {
    const STEP: &'static str = "cache.memory";
    const SUMMARY: &'static str = "The biggest keys of a sample";
    type Found = BigKeys;

    async fn look(self, context: &Context) -> Result<(BigKeys, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let keys = found.probe.memory().await?;
        let title = Line::new().text("Biggest keys of ").code(&found.name);
        let groups: String = keys
            .by_prefix
            .iter()
            .take(8)
            .map(|group| {
                format!(
                    "{:>8} {} ({})\n",
                    duration::bytes_text(group.bytes),
                    group.prefix,
                    counted(group.keys, "key")
                )
            })
            .collect();
        let sampled = if keys.complete {
            format!("All {} keys were looked at", keys.sampled)
        } else {
            format!("{} of {} keys were looked at", keys.sampled, keys.keys)
        };
        let message = Message::new(Tone::Plain, title)
            .code(key_rows(&keys.biggest))
            .text("By the part of the key before its first `:`")
            .code(groups)
            .footer(sampled);
        Ok((keys, message))
    }
}

/// A line each.
pub(super) fn key_rows(keys: &[BigKey]) -> String {
    keys.iter()
        .map(|key| {
            let expires = key.expires_ms.map_or("never expires".into(), |ms| {
                format!("expires in {}", time(ms))
            });
            format!(
                "{:>8} {} {} ({expires})\n",
                duration::bytes_text(key.bytes),
                key.kind,
                key.key
            )
        })
        .collect()
}
