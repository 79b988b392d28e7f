//! `update`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::incidents::update;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Tell stakeholders how it goes: by e-mail, in the incident's channel and on its timeline
#[derive(Debug, PartialEq, Args)]
pub struct Update {
    /// The update, as it is
    #[arg(required = true)]
    pub(super) text: Vec<String>,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    pub(super) incident: Option<String>,
}

impl Command for Update {
    const WORDS: &'static str = "update";
    const ROLE: Role = Role::Responder;
    const FREE_TEXT: bool = true;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        update(context, ask, self.incident.as_deref(), self.text.join(" ")).await
    }
}
