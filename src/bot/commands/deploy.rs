//! `deploy`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Bring a service to another image, one replica after another
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which image.")]
pub struct Deploy {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// The image, such as treasury/api:1.9.0; the platform has to have it
    #[schemars(
        description = "The image, such as `treasury/api:1.9.0`; the platform has to have it."
    )]
    image: String,
    /// The version that was shown in the question
    #[arg(long, hide = true, value_name = "ID")]
    #[serde(skip)]
    exactly: Option<String>,
    /// Why, for the timeline
    #[arg(long)]
    #[serde(skip)]
    reason: Option<String>,
}

impl Command for Deploy {
    const WORDS: &'static str = "deploy";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Deploy);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Deploy {
            service: self.service,
            image: self.image,
            exactly: self.exactly,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}

impl Action for Deploy {
    const STEP: &'static str = "service.deploy";
    const SUMMARY: &'static str = "Brings a service to another image, one replica after another";
    type Outcome = Deployed;
}

/// The state after a deployment.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deployed {
    /// The image it runs now.
    image: String,
    /// The image it ran before, where the platform knows.
    former: Option<String>,
    /// It has replicas and all are well.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How long it took, ms.
    took_ms: u64,
}
