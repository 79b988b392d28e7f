//! `runbook show`.

use clap::Args;

use crate::bot::request::Answer;
use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::runbook_show;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// Show what a runbook does, step by step
#[derive(Debug, Args)]
pub struct Show {
    /// The runbook
    name: String,
}

impl Command for Show {
    const WORDS: &'static str = "runbook show";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        Ok(Effect::Say(Answer::to_all(runbook_show(
            context, &self.name,
        )?)))
    }
}
