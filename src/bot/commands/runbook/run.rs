//! `runbook run`.

use clap::Args;

use super::told_of;
use crate::bot::entry::Command;
use crate::bot::request::{Ask, Effect};
use crate::bot::runs::command::runbook_run;
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Run a runbook
#[derive(Debug, Args)]
pub struct Run {
    /// The runbook
    name: String,
    /// Its parameters
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// The incident it belongs to, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    /// The alert that it is about
    #[arg(long = "for", hide = true, value_name = "ALERT")]
    alert: Option<String>,
}

impl Command for Run {
    const WORDS: &'static str = "runbook run";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let about = told_of(context, ask, self.alert.as_deref()).await?;
        let places = (self.incident.as_deref(), self.alert.as_deref());
        runbook_run(context, ask, &self.name, &self.params, places, about, false).await
    }
}
