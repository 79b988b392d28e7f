//! `heartbeat resume`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::heartbeats::heartbeat_resume;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Expect a paused heartbeat again
#[derive(Debug, Args)]
pub struct Resume {
    /// Which heartbeat
    #[arg(value_name = "NAME")]
    name: String,
}

impl Command for Resume {
    const WORDS: &'static str = "heartbeat resume";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        heartbeat_resume(context, &self.name)
    }
}
