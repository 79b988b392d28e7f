//! `runbook stop`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::tell;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::runbook::engine::Event;

/// End a run early; a change under way is finished first
#[derive(Debug, Args)]
pub struct Stop {
    /// The run
    run: i64,
    /// Why, for the timeline
    #[arg(long)]
    reason: Option<String>,
}

impl Command for Stop {
    const WORDS: &'static str = "runbook stop";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let by = ask.request.person.name.clone();
        let reason = self.reason.unwrap_or_else(|| "no reason was given".into());
        tell(context, ask, self.run, Event::Stop { by, reason }).await
    }
}
