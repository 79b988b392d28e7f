//! `page`.

use clap::Args;

use crate::bot::pages::page;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// Get a link to the incident pages, for your browser only
#[derive(Debug, Args)]
pub struct Page {
    /// The incident, when it isn't the one of this channel; the list where there is none
    #[arg(value_name = "ID")]
    incident: Option<String>,
}

impl Command for Page {
    const WORDS: &'static str = "page";

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        page(context, ask, self.incident.as_deref()).await
    }
}
