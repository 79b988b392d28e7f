//! Actions on services: what is done, to what, for whom.

use serde::{Deserialize, Serialize};

use crate::service::{Attachment, Bounds, End, Intent, ReplicaMark, Version};
use crate::{IncidentId, Outgoing, Person, ServiceName};

/// All that is needed to do an action, to tell of it, and to find out later what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// The service.
    pub service: ServiceName,
    /// What is done: `restart`, or `scale` with the wanted number.
    pub what: ActionKind,
    /// Who asked, and confirmed.
    pub actor: Person,
    /// Their reason.
    pub reason: Option<String>,
    /// On whose timelines it is put.
    pub incidents: Vec<IncidentId>,
    /// The messages that tell of it: where it was asked, and in the incidents' own places.
    pub messages: Vec<Outgoing>,
    /// The replicas before.
    pub before: Vec<ReplicaMark>,
    /// The state before, for people: `healthy 2/2`.
    pub before_text: String,
    /// The step of a run that asked for it: the run is told the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepRef>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRef {
    /// The run's number.
    pub run: i64,
    /// The step's path.
    pub path: String,
    /// Which attempt.
    pub attempt: u32,
}

/// What is done to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Every replica's process is started anew, one after another.
    Restart,
    /// The number of replicas becomes this.
    Scale(u32),
    /// What scales the service by itself does so between these numbers.
    Bounds {
        /// What they were.
        former: Bounds,
        /// What they become.
        wanted: Bounds,
    },
    /// All replicas run this version.
    Deploy {
        /// Exactly which.
        version: Version,
        /// What they ran before, where the platform knows.
        former: Option<Version>,
        /// It is the version before the present one.
        back: bool,
    },
    /// The replicas are cut off; what they are and say is kept before.
    Isolate {
        /// What is cut.
        attachments: Vec<Attachment>,
    },
    /// What was cut is joined again.
    Release {
        /// What is joined.
        attachments: Vec<Attachment>,
    },
    /// The query of a database's session is cancelled, or the session ended.
    Session {
        /// The database's name.
        database: ServiceName,
        /// The session's number.
        pid: i32,
        /// When it started: with the number it is this session and no other.
        started_at: jiff::Timestamp,
        /// How.
        how: End,
    },
    /// The connection of a cache's client is closed.
    Client {
        /// The cache's name.
        cache: ServiceName,
        /// The client's number.
        id: u64,
        /// The server it is connected to, where there are several.
        server: Option<String>,
    },
}

impl ActionKind {
    /// Done to the service by its platform, and not by a probe.
    pub fn is_on_platform(&self) -> bool {
        !matches!(self, Self::Session { .. } | Self::Client { .. })
    }
}

/// An action with its row.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionRow {
    /// Its row.
    pub id: i64,
    /// What it is.
    pub record: ActionRecord,
    /// When the intent was recorded.
    pub intended_at: jiff::Timestamp,
}

impl ActionRow {
    /// The intent in a driver's words. The time makes it differ from the action of the same number
    /// in another store.
    pub fn intent(&self) -> Intent {
        let step = self.record.step.as_ref();
        Intent {
            id: format!("{}-{}", self.id, self.intended_at.as_microsecond()),
            since: self.intended_at,
            step: step.map(|step| format!("{}/{}", step.run, step.path)),
        }
    }
}
