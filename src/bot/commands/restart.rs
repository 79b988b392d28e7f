//! `restart`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Restart a service, one replica after another
#[derive(Debug, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which service.")]
pub struct Restart {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub(super) service: String,
    /// Why, for the timeline
    #[arg(long)]
    #[serde(skip)]
    pub(super) reason: Option<String>,
}

impl Command for Restart {
    const WORDS: &'static str = "restart";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Restart);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Restart {
            service: self.service,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}

impl Action for Restart {
    const STEP: &'static str = "service.restart";
    const SUMMARY: &'static str = "Restarts the replicas of a service, one after another";
    type Outcome = After;
}

/// The state after a change.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct After {
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}
