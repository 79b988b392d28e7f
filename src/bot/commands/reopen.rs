//! `reopen`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::incidents::set_status;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{Role, Status};

/// Open an incident again
#[derive(Debug, Args)]
pub struct Reopen {
    /// The incident, when it isn't the one of this channel
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The same, as `resolve` takes it
    #[arg(long, value_name = "ID", conflicts_with = "id", hide = true)]
    incident: Option<String>,
}

impl Command for Reopen {
    const WORDS: &'static str = "reopen";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = self.id.or(self.incident);
        set_status(context, ask, incident.as_deref(), Status::Open, &[]).await
    }
}
