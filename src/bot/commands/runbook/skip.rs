//! `runbook skip`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::Event;
use crate::bot::runs::command::tell;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Leave a failed step of a run out
#[derive(Debug, Args)]
pub struct Skip {
    /// The run
    run: i64,
    /// The step
    step: String,
    /// Why, for the timeline
    #[arg(long)]
    reason: Option<String>,
}

impl Command for Skip {
    const WORDS: &'static str = "runbook skip";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let event = Event::Decide {
            path: self.step,
            retry: false,
            by: ask.request.person.name.clone(),
            reason: self.reason,
        };
        tell(context, ask, self.run, event).await
    }
}
