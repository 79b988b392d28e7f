//! `mitigate`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::written::Written;
use crate::bot::incidents::set_status;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Role, Status};

/// Say that it no longer hurts
#[derive(Debug, Args)]
pub struct Mitigate {
    /// What helped
    text: Vec<String>,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

impl Command for Mitigate {
    const WORDS: &'static str = "mitigate";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let incident = self.incident.as_deref();
        set_status(context, ask, incident, Status::Mitigated, &self.text).await
    }
}

/// What helped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MitigateStep {
    /// What helped, or what it was.
    #[serde(default)]
    text: Option<String>,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

impl Action for MitigateStep {
    const STEP: &'static str = "incident.mitigate";
    const SUMMARY: &'static str = "Says that it no longer hurts";
    type Outcome = Written;
}
