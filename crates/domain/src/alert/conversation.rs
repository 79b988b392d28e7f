//! An alert with where it belongs, and the conversations that report alerts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ReplicaCounts, Routed, Tracked};
use crate::{IncidentId, Person, ServiceName, Severity, Stream};

/// An alert with where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// What is known of it.
    pub tracked: Tracked,
    /// Where it belongs.
    pub routed: Routed,
    /// What it is told together with: the name of its group.
    #[serde(default)]
    pub group: String,
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
    /// Somebody declared its incident: people are asked though no alert fires.
    #[serde(default)]
    pub declared: bool,
    /// The worst that people were asked about since it began (anew).
    #[serde(default)]
    pub asked_about: Option<Severity>,
    /// Names of the alerts that fired since it began (anew), at most [`Conversation::KINDS`].
    #[serde(default)]
    pub kinds: BTreeSet<String>,
    /// When whoever acknowledged was asked whether they still have it.
    #[serde(default)]
    pub asked_again_at: Option<jiff::Timestamp>,
    /// The keys of the messages that ask people to acknowledge, as far as they still ask.
    #[serde(default)]
    pub asks: Vec<String>,
    /// How many messages of their own it has: it numbers their keys.
    #[serde(default)]
    pub messages: u32,
    /// Alerts that Alertmanager left out of its reports, by its group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// Replicas of its services when the bot first looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts_before: BTreeMap<ServiceName, ReplicaCounts>,
}

impl Conversation {
    /// Most names of alerts that are remembered.
    pub const KINDS: usize = 200;

    /// A conversation that begins with this alert.
    pub fn new(key: String, first: AlertRecord, now: jiff::Timestamp) -> Self {
        Self {
            key,
            incident: None,
            service: first.routed.service.clone(),
            first,
            began_at: now,
            written_at: None,
            acknowledged: None,
            follow_ups: 0,
            escalated: 0,
            escalated_to: Vec::new(),
            quiet_since: None,
            runbook: None,
            ended: false,
            declared: false,
            asked_about: None,
            kinds: BTreeSet::new(),
            asked_again_at: None,
            asks: Vec::new(),
            messages: 0,
            left_out: BTreeMap::new(),
            counts_before: BTreeMap::new(),
        }
    }

    /// It begins anew after everything was over: what was said before means nothing now.
    pub fn begin_anew(&mut self, now: jiff::Timestamp) {
        self.began_at = now;
        self.quiet_since = None;
        self.follow_ups = 0;
        self.kinds.clear();
        self.ask_anew();
    }

    /// Whom it was asked of and who took it up counts no more: it became worse, or nobody answers.
    pub fn ask_anew(&mut self) {
        self.acknowledged = None;
        self.asked_again_at = None;
        self.escalated = 0;
        self.escalated_to.clear();
        self.asked_about = None;
    }

    /// A key for a further message of this kind.
    pub fn message_key(&mut self, kind: &str) -> String {
        self.messages += 1;
        format!("{kind}:{}:{}", self.key, self.messages)
    }

    /// The key of an incident's conversation.
    pub fn key_of(incident: IncidentId) -> String {
        format!("incident:{}", incident.0)
    }

    /// The timeline that it is written on: its incident's, or the audit.
    pub fn stream(&self) -> Stream {
        self.incident.map_or(Stream::Audit, Stream::Incident)
    }
}
