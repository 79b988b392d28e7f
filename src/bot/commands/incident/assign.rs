//! `incident assign`.

use clap::Args;

use crate::bot::incidents::assign;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::{IncidentRole, Role};

/// Give somebody a role
#[derive(Debug, Args)]
pub struct Assign {
    /// commander, communications, scribe or responder
    #[arg(value_parser = role)]
    role: IncidentRole,
    /// Who: `@ana`
    #[arg(value_name = "@WHO")]
    who: String,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

impl Command for Assign {
    const WORDS: &'static str = "incident assign";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        assign(context, ask, self.incident.as_deref(), self.role, &self.who).await
    }
}

fn role(text: &str) -> Result<IncidentRole, String> {
    IncidentRole::parse(&text.to_ascii_lowercase())
        .ok_or_else(|| "write commander, communications, scribe or responder".to_owned())
}
