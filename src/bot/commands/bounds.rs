//! `bounds`.

use clap::Args;

use crate::bot::actions::plan::act_on_service;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::Command;
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::{Guarded, Role};

/// Set the bounds between which an autoscaler keeps the number of replicas of a service
#[derive(Debug, Args)]
pub struct Bounds {
    /// The service
    service: String,
    /// Fewest replicas
    min: u32,
    /// Most replicas
    max: u32,
    /// Why, for the timeline
    #[arg(long)]
    reason: Option<String>,
}

impl Command for Bounds {
    const WORDS: &'static str = "bounds";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Scale);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let change = Change::Bounds {
            service: self.service,
            min: self.min,
            max: self.max,
            reason: self.reason,
        };
        act_on_service(context, ask, change, ask.confirmed.clone()).await
    }
}
