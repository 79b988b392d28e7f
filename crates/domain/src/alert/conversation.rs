//! An alert with where it belongs, and the conversations that report alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ReplicaCounts, Routed, Tracked};
use crate::{IncidentId, Person, ServiceName, Stream};

/// An alert with where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// What is known of it.
    pub tracked: Tracked,
    /// Where it belongs.
    pub routed: Routed,
}

/// A conversation about alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Names it: `incident:12`, or `group:…` where no incident was declared.
    pub key: String,
    /// The incident.
    pub incident: Option<IncidentId>,
    /// The service, if one is known.
    pub service: Option<ServiceName>,
    /// What the bot knows of the first alert, for runbooks and titles.
    pub first: AlertRecord,
    /// When it began.
    pub began_at: jiff::Timestamp,
    /// When the message was last written.
    pub written_at: Option<jiff::Timestamp>,
    /// Who has taken it up, and when.
    pub acknowledged: Option<(Person, jiff::Timestamp)>,
    /// How often it was followed up.
    pub follow_ups: u32,
    /// How far it was escalated.
    pub escalated: u32,
    /// Who was asked to acknowledge, by id.
    #[serde(default)]
    pub escalated_to: Vec<String>,
    /// Nothing fires since then.
    pub quiet_since: Option<jiff::Timestamp>,
    /// The runbook that fits.
    pub runbook: Option<String>,
    /// It is over.
    pub ended: bool,
    /// Replicas of its services when the bot first looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts_before: BTreeMap<ServiceName, ReplicaCounts>,
}

impl Conversation {
    /// The key of an incident's conversation.
    pub fn key_of(incident: IncidentId) -> String {
        format!("incident:{}", incident.0)
    }

    /// The timeline that it is written on: its incident's, or the audit.
    pub fn stream(&self) -> Stream {
        self.incident.map_or(Stream::Audit, Stream::Incident)
    }
}
