//! `runbook runs`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::{runbook_at, runbook_runs};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// Show the newest runs, or where one of them is
#[derive(Debug, Args)]
pub struct Runs {
    /// The run
    run: Option<i64>,
}

impl Command for Runs {
    const WORDS: &'static str = "runbook runs";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        match self.run {
            Some(run) => runbook_at(context, run).await,
            None => runbook_runs(context).await,
        }
    }
}
