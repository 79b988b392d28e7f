//! `resolve`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::of_run::{record_status, words};
use crate::bot::entry::{Command, Record, Recorded};
use crate::bot::incidents::{end_incident, leading};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{IncidentId, Role, Status};

/// Say that the cause is gone
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// What it was
    #[serde(default, deserialize_with = "words")]
    #[schemars(
        with = "Option<String>",
        description = "What helped, or what it was.",
        extend("default" = null)
    )]
    pub(super) text: Vec<String>,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    #[schemars(
        description = "The incident; that of the run, or the only open one, when left out."
    )]
    pub(super) incident: Option<String>,
}

impl Command for Resolve {
    const WORDS: &'static str = "resolve";
    const ROLE: Role = Role::Responder;
    const FREE_TEXT: bool = true;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let (incident, text) = leading(self.incident, self.text);
        end_incident(context, ask, incident.as_deref(), Status::Resolved, &text).await
    }
}

impl Record for Resolve {
    const STEP: &'static str = "incident.resolve";
    const SUMMARY: &'static str = "Says that the cause is gone";

    async fn record(
        self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
    ) -> Result<Recorded, Fault> {
        record_status(
            context,
            ask,
            own,
            self.incident,
            Status::Resolved,
            &self.text,
        )
        .await
    }
}
