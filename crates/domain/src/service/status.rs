//! Replicas as a platform sees them now.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaState {
    /// The process runs.
    Running,
    /// Made, never started.
    Created,
    /// The platform is restarting it now.
    Restarting,
    /// Frozen by an operator.
    Paused,
    /// It ended.
    Exited,
    /// The platform can't bring it to an end or to life.
    Dead,
    /// Its machine does not answer: whether it runs is not known.
    Unknown,
}

/// What the health check says of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// The last check passed.
    Healthy,
    /// Checks fail.
    Unhealthy,
    /// Within its start period.
    Starting,
    /// There is no health check.
    Unchecked,
}

/// One container, pod or task of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// The platform's identifier, stable over a restart in place (a container id).
    pub id: String,
    /// The name people know, such as `treasury-frontend-1`.
    pub name: String,
    /// What it is doing.
    pub state: ReplicaState,
    /// What its health check says.
    pub health: Health,
    /// When the process last started; changes with every restart.
    pub started_at: Option<Timestamp>,
    /// When the process last ended, if it is not running.
    pub finished_at: Option<Timestamp>,
    /// How often the platform restarted it by itself.
    pub restarts: u64,
    /// Exit code of the last end, if it has ended.
    pub exit_code: Option<i64>,
    /// The kernel ended it for lack of memory.
    pub oom_killed: bool,
    /// Most memory that it may use, bytes; `None` where there is no limit or none is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Image reference it runs.
    pub image: String,
    /// The machine it is on, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The platform's word for what ails it, such as `CrashLoopBackOff` or `OOMKilled 2 min ago`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Replica {
    /// Running, and not failing a health check.
    pub fn is_well(&self) -> bool {
        self.state == ReplicaState::Running
            && matches!(self.health, Health::Healthy | Health::Unchecked)
    }
}

/// What a replica's identity and start time were before an action; the proof of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaMark {
    /// The platform's identifier.
    pub id: String,
    /// Name of the replica.
    pub name: String,
    /// When its process had started.
    pub started_at: Option<Timestamp>,
}

impl From<&Replica> for ReplicaMark {
    fn from(replica: &Replica) -> Self {
        Self {
            id: replica.id.clone(),
            name: replica.name.clone(),
            started_at: replica.started_at,
        }
    }
}

/// A service as its platform sees it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its replicas, ordered by name (numbers in numeric order).
    pub replicas: Vec<Replica>,
    /// What the platform says of the service as a whole, a line each, such as
    /// `desired 3, ready 2, updated 3, available 2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// What is wrong besides its replicas, a line each, such as a machine that is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// It is to have no replicas, and has none.
    #[serde(default)]
    pub scaled_to_none: bool,
}

impl ServiceStatus {
    /// How many replicas are well.
    pub fn well(&self) -> usize {
        self.replicas.iter().filter(|r| r.is_well()).count()
    }

    /// There is at least one replica and all are well.
    pub fn is_well(&self) -> bool {
        !self.replicas.is_empty() && self.well() == self.replicas.len()
    }
}

/// Replicas by service, as text for people: `healthy 2/3`.
pub fn well_text(status: &ServiceStatus) -> String {
    if status.scaled_to_none {
        return "scaled to 0, nothing is to run".to_owned();
    }
    let word = if status
        .replicas
        .iter()
        .any(|r| r.health != Health::Unchecked)
    {
        "healthy"
    } else {
        "running"
    };
    format!("{word} {}/{}", status.well(), status.replicas.len())
}

/// Distinct images of the replicas with their counts.
pub fn images(status: &ServiceStatus) -> BTreeMap<&str, usize> {
    let mut images = BTreeMap::new();
    for replica in &status.replicas {
        *images.entry(replica.image.as_str()).or_insert(0) += 1;
    }
    images
}
