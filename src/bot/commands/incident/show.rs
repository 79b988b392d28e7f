//! `incident show`.

use clap::Args;

use crate::bot::incidents::incident_show;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// Show what is known of an incident
#[derive(Debug, Args)]
pub struct Show {
    /// The incident, when it isn't the one of this channel
    #[arg(value_name = "ID")]
    incident: Option<String>,
}

impl Command for Show {
    const WORDS: &'static str = "incident show";

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        incident_show(context, ask, self.incident.as_deref()).await
    }
}
