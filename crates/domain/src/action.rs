//! Actions on services: what is done, to what, for whom.

use serde::{Deserialize, Serialize};

use crate::service::{Attachment, Bounds, Dependant, End, Intent, ReplicaMark, Version};
use crate::{IncidentId, Outgoing, Person, ServiceName, Stream};

/// All that is needed to do an action, to tell of it, and to find out later what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// The service.
    pub service: ServiceName,
    /// What is done.
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
    /// What hangs on the service, and what becomes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub along: Vec<Dependant>,
    /// The step of a run that asked for it: the run is told the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepRef>,
}

impl ActionRecord {
    /// The audit, then the incidents in ascending order.
    pub fn streams(&self) -> impl Iterator<Item = Stream> + '_ {
        std::iter::once(Stream::Audit).chain(self.incidents.iter().map(|id| Stream::Incident(*id)))
    }
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

impl StepRef {
    /// One action, and one end of it, for each attempt.
    pub fn key(&self) -> String {
        format!("run:{}:{}:{}", self.run, self.path, self.attempt)
    }
}

/// What is done to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Every replica's process is started anew, one after another.
    Restart,
    /// The number of replicas changes.
    Scale(Scaling),
    /// What scales the service by itself gets other bounds.
    Bounds(Bounding),
    /// All replicas run another version.
    Deploy(Deployment),
    /// The replicas are cut off; what they are and say is kept before.
    Isolate(Isolation),
    /// What was cut is joined again.
    Release(Rejoining),
    /// A session of a database, or its query, is ended.
    Session(SessionEnd),
    /// The connection of a cache's client is closed.
    Client(ClientEnd),
}

impl ActionKind {
    /// The word of [`ActionKind::Release`].
    pub const RELEASE: &'static str = "release";

    /// The word by which the store finds actions of a kind.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Scale(_) => "scale",
            Self::Bounds(_) => "bounds",
            Self::Deploy(_) => "deploy",
            Self::Isolate(_) => "isolate",
            Self::Release(_) => Self::RELEASE,
            Self::Session(_) => "session",
            Self::Client(_) => "client",
        }
    }
}

/// Another number of replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// How many there shall be.
    pub replicas: u32,
}

/// Other bounds for what scales the service by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounding {
    /// What they were.
    pub former: Bounds,
    /// What they become.
    pub wanted: Bounds,
}

/// Another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Exactly which.
    pub version: Version,
    /// What ran before, where the platform knows.
    pub former: Option<Version>,
    /// It is the version before the present one.
    pub back: bool,
}

/// A service cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What is cut.
    pub attachments: Vec<Attachment>,
}

/// A service joined again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejoining {
    /// What is joined.
    pub attachments: Vec<Attachment>,
}

/// The end of a database's session, or of its query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// The database's name.
    pub database: ServiceName,
    /// The session's number.
    pub pid: i32,
    /// When it started: with the number it is this session and no other.
    pub started_at: jiff::Timestamp,
    /// How.
    pub how: End,
}

/// The end of a client's connection to a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientEnd {
    /// The cache's name.
    pub cache: ServiceName,
    /// The client's number.
    pub id: u64,
    /// The server it is connected to, where there are several.
    pub server: Option<String>,
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
            along: self.record.along.clone(),
        }
    }
}
