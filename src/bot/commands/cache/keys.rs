//! `cache keys`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::memory::key_rows;
use crate::bot::table::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone};
use crate::probe::cache;

/// Show keys that begin with a text
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which keys of which cache.")]
pub struct Keys {
    /// What they begin with, as it is: no pattern
    #[schemars(description = "What the keys begin with, as it is.")]
    prefix: String,
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(description = "The cache's name; needed only where there are several.")]
    cache: Option<String>,
}

impl Question for Keys {
    const WORDS: &'static str = "cache keys";
}

impl Probe for Keys {
    const STEP: &'static str = "cache.keys";
    const SUMMARY: &'static str = "Keys that begin with a text";
    type Found = cache::Keys;

    async fn look(self, context: &Context) -> Result<(cache::Keys, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let keys = found.probe.keys(&self.prefix).await?;
        let prefix = cut(&self.prefix, 80);
        let title = Line::new()
            .text(match keys.matched {
                0 => "No key begins with ".to_owned(),
                1 => "1 key begins with ".to_owned(),
                n => format!("{n} keys begin with "),
            })
            .code(prefix)
            .text(" in ")
            .code(&found.name);
        let scanned = if keys.complete {
            format!("All {} keys were looked at", keys.scanned)
        } else {
            format!(
                "Only {} keys were looked at: there may be more",
                keys.scanned
            )
        };
        let message = Message::new(Tone::Plain, title)
            .code(key_rows(&keys.keys))
            .footer(scanned);
        Ok((keys, message))
    }
}
