//! `resolve`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::written::Written;
use crate::bot::incidents::set_status;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Role, Status};

/// Say that the cause is gone
#[derive(Debug, Args)]
pub struct Resolve {
    /// What it was
    text: Vec<String>,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

impl Command for Resolve {
    const WORDS: &'static str = "resolve";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = self.incident.as_deref();
        set_status(context, ask, incident, Status::Resolved, &self.text).await
    }
}

/// What helped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveStep {
    /// What helped, or what it was.
    #[serde(default)]
    text: Option<String>,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

impl Action for ResolveStep {
    const STEP: &'static str = "incident.resolve";
    const SUMMARY: &'static str = "Says that the cause is gone";
    type Outcome = Written;
}
