//! `cache memory`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::{Names, databases_text, key_rows, with_warnings};
use crate::bot::entry::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Tone, counted, duration};
use crate::probe::cache::BigKeys;

/// Show the biggest keys of a sample, to you alone
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
    const SUMMARY: &'static str = "The biggest keys of a sample, without the ends of their names";
    const PRIVATE: bool = true;
    type Found = BigKeys;

    async fn look(self, context: &Context) -> Result<(BigKeys, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let mut keys = found.probe.memory().await?;
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
        let names = Names::of(context);
        let rows = key_rows(&names.keys(&keys.biggest, ""), &keys.databases);
        let message = Message::new(Tone::Plain, title)
            .code(rows)
            .text("By the part of the key before its first `:`")
            .code(groups)
            .text(sum(&keys));
        let message = with_warnings(message, &keys.missing);
        let message = message.footer(format!("{}{}", looked_at(&keys), names.note()));
        // A run is told to everybody, and kept.
        keys.biggest = Names::Masked.keys(&keys.biggest, "");
        Ok((keys, message))
    }
}

/// The sum of the sizes beside the memory in use.
fn sum(keys: &BigKeys) -> String {
    let about = if keys.estimates > 0 { "about " } else { "" };
    format!(
        "Together {about}{}; in use, with all that is no key, are {}",
        duration::bytes_text(keys.bytes),
        duration::bytes_text(keys.used_bytes)
    )
}

fn looked_at(keys: &BigKeys) -> String {
    let (sampled, databases) = (keys.sampled, databases_text(&keys.databases));
    let looked = if keys.complete {
        format!(
            "All {} of {databases} were looked at",
            counted(sampled, "key")
        )
    } else {
        let all = counted(keys.keys, "key");
        format!("{sampled} of {all} were looked at, in {databases}: there may be bigger ones")
    };
    match keys.estimates {
        0 => looked,
        n => format!("{looked}. Of {n}, not all elements were (~)"),
    }
}
