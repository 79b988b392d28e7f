//! `note`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::written::Written;
use crate::bot::incidents::note;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::Role;

/// Write a note on the incident's timeline and say it in its channel
#[derive(Debug, PartialEq, Args)]
pub struct Note {
    /// The note, as it is
    #[arg(required = true)]
    pub(super) text: Vec<String>,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
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

/// What is noted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteStep {
    /// The note.
    text: String,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

impl Action for NoteStep {
    const STEP: &'static str = "incident.note";
    const SUMMARY: &'static str = "Writes a note on an incident's timeline";
    type Outcome = Written;
}
