//! `incident link`.

use clap::Args;

use crate::bot::incidents::link;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Say that another incident belongs to this one
#[derive(Debug, Args)]
pub struct Link {
    /// The other incident
    #[arg(value_name = "ID")]
    other: String,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

impl Command for Link {
    const WORDS: &'static str = "incident link";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        link(context, ask, self.incident.as_deref(), &self.other).await
    }
}
