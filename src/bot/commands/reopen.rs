//! `reopen`.

use clap::Args;

use crate::bot::incidents::set_status;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::{Role, Status};

/// Open an incident again
#[derive(Debug, Args)]
pub struct Reopen {
    /// The incident, when it isn't the one of this channel
    #[arg(value_name = "ID")]
    incident: Option<String>,
}

impl Command for Reopen {
    const WORDS: &'static str = "reopen";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = self.incident.as_deref();
        set_status(context, ask, incident, Status::Open, &[]).await
    }
}
