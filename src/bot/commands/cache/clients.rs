//! `cache clients`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::with_warnings;
use crate::bot::actions::client::client_row;
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::counts;
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Part, Tone, counted};
use crate::probe::cache;

/// Show who is connected to the cache
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Which cache, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    cache: Option<String>,
}

impl Question for Clients {
    const WORDS: &'static str = "cache clients";
}

impl Probe for Clients {
    const STEP: &'static str = "cache.clients";
    const SUMMARY: &'static str = "Who is connected";
    type Found = cache::Clients;

    async fn look(self, context: &Context) -> Result<(cache::Clients, Message), Fault> {
        let found = context.catalogue().cache(self.cache.as_deref())?;
        let clients = found.probe.clients().await?;
        let replicas = match clients.replicas {
            0 => String::new(),
            n => format!(", and {}", counted(n, "replica")),
        };
        let of = match clients.max {
            0 => counted(clients.connected, "client"),
            max => format!("{} of {}", clients.connected, counted(max, "client")),
        };
        let title = Line::new()
            .code(&found.name)
            .text(format!(": {of} connected{replicas}"));
        let full = clients.max > 0 && clients.connected * 10 >= clients.max * 9;
        let tone = if full { Tone::Warning } else { Tone::Plain };
        let text: String = clients.list.iter().map(client_row).collect();
        let message = Message::new(tone, title)
            .part(Part::Fields(vec![(
                "By host".into(),
                counts(&clients.by_host, 6).into(),
            )]))
            .code(text);
        let message = with_warnings(message, &clients.missing).footer(
            Line::new()
                .text("Close one: ")
                .code(context.typed("cache kill NUMBER")),
        );
        Ok((clients, message))
    }
}
