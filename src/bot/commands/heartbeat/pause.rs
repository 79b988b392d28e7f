//! `heartbeat pause`.

use clap::Args;

use crate::bot::entry::Command;
use crate::bot::heartbeats::heartbeat_pause;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::domain::duration::Human;

/// Expect no heartbeat for a while
#[derive(Debug, Args)]
pub struct Pause {
    /// Which heartbeat
    #[arg(value_name = "NAME")]
    name: String,
    /// For how long: 30m, 2h, 1d …; until it is resumed, when left out
    #[arg(value_name = "TIME")]
    within: Option<Human>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
}

impl Command for Pause {
    const WORDS: &'static str = "heartbeat pause";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let within = self.within.map(|Human(within)| within);
        heartbeat_pause(context, ask, &self.name, within, self.reason)
    }
}
