//! The export to verify: complete, deterministic, and checkable with nothing but itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::timeline::GENESIS;
use crate::domain::{Entry, Incident};

/// The version of the file's form.
pub(super) const FORMAT: &str = "treasury-bot/export/v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    pub(super) format: String,
    pub(super) exported_at: Timestamp,
    pub(super) incident: Incident,
    pub(super) head: Head,
    pub(super) entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: String,
}

pub(super) fn export(incident: &Incident, entries: &[Entry], exported_at: Timestamp) -> String {
    let export = Export {
        format: FORMAT.to_owned(),
        exported_at,
        incident: incident.clone(),
        head: Head {
            seq: entries.len() as i64,
            hash: entries.last().map_or(GENESIS, |last| &last.hash).to_owned(),
        },
        entries: entries.to_vec(),
    };
    // Plain types with text keys always serialize; the text says so if that is ever untrue, and
    // then does not verify.
    render(&export).unwrap_or_else(|error| error.to_string())
}

pub(super) fn render(export: &Export) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(export)?;
    text.push('\n');
    Ok(text)
}
