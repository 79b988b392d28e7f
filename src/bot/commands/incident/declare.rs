//! `incident declare`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::severity::severity;
use super::written::Written;
use crate::bot::incidents::declare;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::{Role, Severity};

/// Declare an incident and open a channel for it
#[derive(Debug, PartialEq, Args)]
pub struct Declare {
    /// What is wrong, in one line
    #[arg(required = true)]
    pub(in crate::bot::commands) title: Vec<String>,
    /// How bad: SEV1 (worst) to SEV4
    #[arg(long, default_value = "SEV3", value_parser = severity)]
    pub(in crate::bot::commands) severity: Severity,
    /// A service concerned; may be given several times
    #[arg(long)]
    pub(in crate::bot::commands) service: Vec<String>,
}

impl Command for Declare {
    const WORDS: &'static str = "incident declare";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        declare(
            context,
            ask,
            &self.title.join(" "),
            self.severity,
            &self.service,
        )
    }
}

/// What is wrong, and where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareStep {
    /// What is wrong, in one line.
    title: String,
    /// How bad: SEV1 (worst) to SEV4.
    #[serde(default = "sev3")]
    #[schemars(extend("enum" = ["SEV1", "SEV2", "SEV3", "SEV4"]))]
    severity: String,
    /// The service concerned.
    #[serde(default)]
    #[schemars(extend("format" = "service"))]
    service: Option<String>,
}

fn sev3() -> String {
    "SEV3".to_owned()
}

impl Action for DeclareStep {
    const STEP: &'static str = "incident.declare";
    const SUMMARY: &'static str = "Declares an incident and opens a place to work on it";
    type Outcome = Written;
}
