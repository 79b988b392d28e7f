//! `runbook rehearse`.

use clap::Args;

use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::runbook_run;
use crate::bot::table::Command;
use crate::bot::{Context, Fault};

/// Run a runbook's questions for real and only say what its changes would do
#[derive(Debug, Args)]
pub struct Rehearse {
    /// The runbook
    name: String,
    /// Its parameters
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
}

impl Command for Rehearse {
    const WORDS: &'static str = "runbook rehearse";

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        runbook_run(context, ask, &self.name, &self.params, None, true).await
    }
}
