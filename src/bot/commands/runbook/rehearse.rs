//! `runbook rehearse`.

use clap::Args;

use super::told_of;
use crate::bot::entry::Command;
use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::runbook_run;
use crate::bot::{Context, Fault};

/// Run a runbook's questions for real and only say what its changes would do
#[derive(Debug, Args)]
pub struct Rehearse {
    /// The runbook
    name: String,
    /// Its parameters
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// The alert that it is about
    #[arg(long = "for", hide = true, value_name = "ALERT")]
    alert: Option<String>,
}

impl Command for Rehearse {
    const WORDS: &'static str = "runbook rehearse";

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let about = told_of(context, ask, self.alert.as_deref()).await?;
        let places = (None, self.alert.as_deref());
        runbook_run(context, ask, &self.name, &self.params, places, about, true).await
    }
}
