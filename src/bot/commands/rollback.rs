//! `rollback`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::deploy::Deployed;
use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Bring a service back to the version before the present one
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which service.")]
pub struct Rollback {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// The version that was shown in the question
    #[arg(long, hide = true, value_name = "ID")]
    #[serde(skip)]
    exactly: Option<String>,
    /// Why, for the timeline
    #[arg(long)]
    #[serde(skip)]
    reason: Option<String>,
}

impl Command for Rollback {
    const WORDS: &'static str = "rollback";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Deploy);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Rollback {
            service: self.service,
            exactly: self.exactly,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}

impl Action for Rollback {
    const STEP: &'static str = "service.rollback";
    const SUMMARY: &'static str = "Brings a service back to the version before the present one";
    type Outcome = Deployed;
}
