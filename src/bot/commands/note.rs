//! `note`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::of_run::{of_run, words};
use crate::bot::entry::{Command, Record, Recorded};
use crate::bot::incidents::note;
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{IncidentId, Role};

/// Write a note on the incident's timeline and say it in its channel
#[derive(Debug, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The note, as it is
    #[arg(required = true)]
    #[serde(deserialize_with = "words")]
    #[schemars(with = "String", description = "The note.")]
    pub(super) text: Vec<String>,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    #[schemars(
        description = "The incident; that of the run, or the only open one, when left out."
    )]
    pub(super) incident: Option<String>,
}

impl Command for Note {
    const WORDS: &'static str = "note";
    const ROLE: Role = Role::Responder;
    const FREE_TEXT: bool = true;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        note(context, ask, self.incident.as_deref(), self.text.join(" ")).await
    }
}

impl Record for Note {
    const STEP: &'static str = "incident.note";
    const SUMMARY: &'static str = "Writes a note on an incident's timeline";

    async fn record(
        mut self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
    ) -> Result<Recorded, Fault> {
        let incident = of_run(context, ask, self.incident, own).await?;
        self.incident = Some(incident.id.to_string());
        let effect = self.carry_out(context, ask).await?;
        Ok(Recorded::about(incident.id, effect))
    }
}
