//! `runbook retry`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::decide;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::domain::Role;
use crate::runbook::engine::Decision;

/// Try a failed step of a run again
#[derive(Debug, Args)]
pub struct Retry {
    /// The run
    run: i64,
    /// The step
    step: String,
}

impl Command for Retry {
    const WORDS: &'static str = "runbook retry";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        decide(context, ask, self.run, self.step, Decision::Retry, None).await
    }
}
