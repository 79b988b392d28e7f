//! `notify.incident` and `notify.email`, which runbooks call.

use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::written::Written;
use crate::bot::notify::STAKEHOLDERS;
use crate::bot::table::Action;

/// What is said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyIncident {
    /// The text.
    text: String,
    /// The incident in whose room it is said; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

impl Action for NotifyIncident {
    const STEP: &'static str = "notify.incident";
    const SUMMARY: &'static str =
        "Says something in the room of an incident, without a note on its timeline";
    type Outcome = Written;
}

/// What is mailed, and to whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyEmail {
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
    vec![STAKEHOLDERS.to_owned()]
}

impl Action for NotifyEmail {
    const STEP: &'static str = "notify.email";
    const SUMMARY: &'static str = "Mails something about an incident to stakeholders, or to others whom the configuration lists";
    type Outcome = Written;
}
