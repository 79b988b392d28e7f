//! Which timelines there are, and what their entries tell.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::IncidentId;

/// The chain that an entry belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Stream {
    /// Everything that anybody asked for, and what came of it.
    Audit,
    /// One incident's timeline.
    Incident(IncidentId),
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audit => f.write_str("audit"),
            Self::Incident(id) => id.fmt(f),
        }
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> Self {
        stream.to_string()
    }
}

impl TryFrom<String> for Stream {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "audit" {
            return Ok(Self::Audit);
        }
        text.strip_prefix("INC-")
            .and_then(IncidentId::parse)
            .map(Self::Incident)
            .ok_or_else(|| format!("`{text}` is not the name of a timeline"))
    }
}

/// What an entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The incident was declared.
    Declared,
    /// Its severity changed.
    Severity,
    /// Its status changed.
    Status,
    /// Somebody got a role.
    Assigned,
    /// Another incident belongs to it.
    Linked,
    /// Somebody noted something.
    Note,
    /// Somebody asked for something (audit).
    Asked,
    /// Something was refused, to whom and why (audit).
    Refused,
    /// An action is about to be done.
    Intent,
    /// What came of an action.
    Outcome,
    /// What a service was and said was kept before it was touched.
    Evidence,
    /// What became of alerts, and what the bot did about them by itself.
    Alert,
    /// What stakeholders were told, and mails that could not be delivered.
    Update,
    /// An export was made.
    Exported,
    /// A run of a runbook: its beginning, its steps, its end.
    Run,
}

crate::words!(EntryKind {
    Declared: "declared",
    Severity: "severity",
    Status: "status",
    Assigned: "assigned",
    Linked: "linked",
    Note: "note",
    Asked: "asked",
    Refused: "refused",
    Intent: "intent",
    Outcome: "outcome",
    Evidence: "evidence",
    Alert: "alert",
    Update: "update",
    Exported: "exported",
    Run: "run",
});
