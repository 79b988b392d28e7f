//! `runbook skip`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::decide;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::runbook::engine::Decision;

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
        decide(
            context,
            ask,
            self.run,
            self.step,
            Decision::Skip,
            self.reason,
        )
        .await
    }
}
