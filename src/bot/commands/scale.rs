//! `scale`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::restart::After;
use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Change the number of replicas of a service
#[derive(Debug, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "How many replicas.")]
pub struct Scale {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub(super) service: String,
    /// How many replicas there shall be.
    pub(super) replicas: u32,
    /// Why, for the timeline
    #[arg(long)]
    #[serde(skip)]
    pub(super) reason: Option<String>,
}

impl Command for Scale {
    const WORDS: &'static str = "scale";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Scale);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Scale {
            service: self.service,
            replicas: self.replicas,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}

impl Action for Scale {
    const STEP: &'static str = "service.scale";
    const SUMMARY: &'static str = "Changes the number of replicas of a service";
    type Outcome = After;
}
