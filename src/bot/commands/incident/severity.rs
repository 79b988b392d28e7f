//! `incident severity`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::written::Written;
use crate::bot::incidents::set_severity;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{self, Role};

/// Change how bad it is
#[derive(Debug, Args)]
pub struct Severity {
    /// SEV1 (worst) to SEV4
    #[arg(value_parser = severity)]
    severity: domain::Severity,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
}

impl Command for Severity {
    const WORDS: &'static str = "incident severity";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        set_severity(context, ask, self.incident.as_deref(), self.severity).await
    }
}

pub(super) fn severity(text: &str) -> Result<domain::Severity, String> {
    domain::Severity::parse(text).ok_or_else(|| "write SEV1, SEV2, SEV3 or SEV4".to_owned())
}

/// How bad.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeverityStep {
    /// SEV1 (worst) to SEV4.
    #[schemars(extend("enum" = ["SEV1", "SEV2", "SEV3", "SEV4"]))]
    severity: String,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

impl Action for SeverityStep {
    const STEP: &'static str = "incident.severity";
    const SUMMARY: &'static str = "Changes how bad an incident is";
    type Outcome = Written;
}
