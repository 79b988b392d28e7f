//! `incident.*` and `notify.*`: what a runbook writes into the records of incidents and says there. Each is one transaction with
//! the step that wants it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entry, action};

/// What is wrong, and where.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeclareParams {
    /// What is wrong, in one line.
    title: String,
    /// How bad: SEV1 (worst) to SEV4.
    #[serde(default = "sev3")]
    #[schemars(extend("enum" = ["SEV1", "SEV2", "SEV3", "SEV4"]))]
    severity: String,
    /// The service concerned.
    #[serde(default)]
    #[schemars(extend("format" = "service"))]
    service: Option<String>,
}

fn sev3() -> String {
    "SEV3".to_owned()
}

/// How bad.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeverityParams {
    /// SEV1 (worst) to SEV4.
    #[schemars(extend("enum" = ["SEV1", "SEV2", "SEV3", "SEV4"]))]
    severity: String,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

/// What helped.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusParams {
    /// What helped, or what it was.
    #[serde(default)]
    text: Option<String>,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

/// What is noted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteParams {
    /// The note.
    text: String,
    /// The incident; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

/// What is said.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessageParams {
    /// The text.
    text: String,
    /// The incident in whose room it is said; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

/// What is mailed, and to whom.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmailParams {
    /// The text.
    text: String,
    /// `stakeholders`, or user ids or addresses that the configuration lists.
    #[serde(default = "stakeholders")]
    to: Vec<String>,
    /// The incident in whose thread it is; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

fn stakeholders() -> Vec<String> {
    vec![crate::bot::notify::STAKEHOLDERS.to_owned()]
}

/// Which incident it was.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Written {
    /// Its id, such as `INC-12`.
    incident: String,
    /// It was not so before.
    changed: bool,
}

pub(super) fn entries() -> Vec<Entry> {
    vec![
        action::<DeclareParams, Written>(
            "incident.declare",
            "Declares an incident and opens a place to work on it",
        ),
        action::<SeverityParams, Written>("incident.severity", "Changes how bad an incident is"),
        action::<StatusParams, Written>("incident.mitigate", "Says that it no longer hurts"),
        action::<StatusParams, Written>("incident.resolve", "Says that the cause is gone"),
        action::<NoteParams, Written>("incident.note", "Writes a note on an incident's timeline"),
        action::<MessageParams, Written>(
            "notify.incident",
            "Says something in the room of an incident, without a note on its timeline",
        ),
        action::<EmailParams, Written>(
            "notify.email",
            "Mails something about an incident to stakeholders, or to others whom the configuration lists",
        ),
    ]
}
