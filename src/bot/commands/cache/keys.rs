//! `cache keys`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::{Names, databases_text, key_rows, with_warnings};
use crate::bot::entry::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone, counted};
use crate::probe::cache;

/// Show keys that begin with a text, to you alone
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
    const SUMMARY: &'static str = "Keys that begin with a text, without the rest of their names";
    const PRIVATE: bool = true;
    type Found = cache::Keys;

    async fn look(self, context: &Context) -> Result<(cache::Keys, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let mut keys = found.probe.keys(&self.prefix).await?;
        let prefix = cut(&self.prefix, 80);
        let title = Line::new()
            .text(match keys.matched {
                0 if !keys.complete => "No key that was looked at begins with ".to_owned(),
                0 => "No key begins with ".to_owned(),
                1 => "1 key begins with ".to_owned(),
                n => format!("{n} keys begin with "),
            })
            .code(prefix)
            .text(" in ")
            .code(&found.name);
        let scanned = counted(keys.scanned, "key");
        let databases = databases_text(&keys.databases);
        let scanned = if keys.complete {
            format!("All {scanned} of {databases} were looked at")
        } else {
            format!("Only {scanned} of {databases} were looked at: there may be more")
        };
        let names = Names::of(context);
        let rows = key_rows(&names.keys(&keys.keys, &keys.prefix), &keys.databases);
        let message = Message::new(Tone::Plain, title).code(rows);
        let message =
            with_warnings(message, &keys.missing).footer(format!("{scanned}{}", names.note()));
        // A run is told to everybody, and kept.
        keys.keys = Names::Masked.keys(&keys.keys, &keys.prefix);
        Ok((keys, message))
    }
}
