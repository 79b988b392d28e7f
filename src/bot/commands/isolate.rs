//! `isolate`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Cut a service off from all networks; its processes go on, evidence is kept first
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which service.")]
pub struct Isolate {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// Why, for the timeline
    #[arg(long)]
    #[serde(skip)]
    reason: Option<String>,
}

impl Command for Isolate {
    const WORDS: &'static str = "isolate";
    const ROLE: Role = Role::Commander;
    const GUARDED: Option<Guarded> = Some(Guarded::Isolate);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Isolate {
            service: self.service,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}

impl Action for Isolate {
    const STEP: &'static str = "service.isolate";
    const SUMMARY: &'static str = "Cuts a service off from all networks, after keeping evidence";
    type Outcome = Isolated;
}

/// What was cut.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Isolated {
    /// How many joins were cut.
    attachments: usize,
    /// How many pieces of evidence were kept before.
    evidence: usize,
    /// All replicas go on running.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}
