//! `close`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::incidents::end_incident;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{Role, Status};

/// Close a resolved incident for good, after its review
#[derive(Debug, Args)]
pub struct Close {
    /// The incident, when it isn't the one of this channel
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The same, as `resolve` takes it
    #[arg(long, value_name = "ID", conflicts_with = "id", hide = true)]
    incident: Option<String>,
}

impl Command for Close {
    const WORDS: &'static str = "close";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = self.id.or(self.incident);
        end_incident(context, ask, incident.as_deref(), Status::Closed, &[]).await
    }
}
