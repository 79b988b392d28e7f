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
    let head = entries.last().map_or(GENESIS, |last| &last.hash);
    let mut pieces = Pieces::new(incident, (entries.len() as i64, head), exported_at);
    let entries = pieces.entries(entries);
    pieces.begin + &entries + &pieces.end
}

/// An export without its entries, which come between.
pub(super) struct Pieces {
    pub(super) begin: String,
    pub(super) end: String,
    any: bool,
}

impl Pieces {
    /// `head`: the number and the hash of the last entry.
    pub(super) fn new(
        incident: &Incident,
        (seq, hash): (i64, &str),
        exported_at: Timestamp,
    ) -> Self {
        let export = Export {
            format: FORMAT.to_owned(),
            exported_at,
            incident: incident.clone(),
            head: Head {
                seq,
                hash: hash.to_owned(),
            },
            entries: Vec::new(),
        };
        // Plain types with text keys always serialize; the text says so if that is ever untrue, and
        // then does not verify.
        let mut begin = render(&export).unwrap_or_else(|error| error.to_string());
        let end = if seq > 0 { "\n  ]\n}\n" } else { "]\n}\n" };
        begin.truncate(begin.len().saturating_sub("]\n}\n".len()));
        Self {
            begin,
            end: end.to_owned(),
            any: false,
        }
    }

    /// The next entries.
    pub(super) fn entries(&mut self, entries: &[Entry]) -> String {
        let mut text = String::new();
        for entry in entries {
            text.push_str(if self.any { ",\n    " } else { "\n    " });
            self.any = true;
            let pretty = serde_json::to_string_pretty(entry);
            let pretty = pretty.unwrap_or_else(|error| error.to_string());
            // No text holds a line end unescaped.
            let mut lines = pretty.split('\n');
            text.push_str(lines.next().unwrap_or_default());
            for line in lines {
                text.push_str("\n    ");
                text.push_str(line);
            }
        }
        text
    }
}

pub(super) fn render(export: &Export) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(export)?;
    text.push('\n');
    Ok(text)
}
