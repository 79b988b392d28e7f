//! `release`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Join an isolated service again, exactly as it was
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which service.")]
pub struct Release {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// Why, for the timeline
    #[arg(long)]
    #[serde(skip)]
    reason: Option<String>,
}

impl Command for Release {
    const WORDS: &'static str = "release";
    const ROLE: Role = Role::Commander;
    const GUARDED: Option<Guarded> = Some(Guarded::Isolate);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Release {
            service: self.service,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}

impl Action for Release {
    const STEP: &'static str = "service.release";
    const SUMMARY: &'static str = "Joins an isolated service again, exactly as it was";
    type Outcome = Released;
}

/// What was joined again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Released {
    /// How many joins were made again.
    attachments: usize,
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}
