//! Services and what a platform tells of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a service in the configuration and in chat, such as `frontend`.
///
/// Lower-case letters, digits, `-`, `_` and `.`; at most 63 bytes; starts with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

/// Why a text is not a service name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a service name: use 1 to 63 lower-case letters, digits, `-`, `_` or `.`, starting with a letter or digit"
)]
pub struct InvalidServiceName(String);

impl ServiceName {
    /// Checks the text and makes a name of it.
    pub fn parse(text: &str) -> Result<Self, InvalidServiceName> {
        let good = !text.is_empty()
            && text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidServiceName(text.chars().take(80).collect()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceName {
    type Error = InvalidServiceName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of the service catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name in chat.
    pub name: ServiceName,
    /// Where it runs.
    pub target: Target,
    /// Fewest replicas that `scale` allows.
    pub min_replicas: u32,
    /// Most replicas that `scale` allows.
    pub max_replicas: u32,
    /// An address that answers 2xx when the service is well, asked after a restart.
    pub health_url: Option<String>,
    /// The addresses that `check` asks.
    pub check: Vec<String>,
    /// The services that it stands on: when they fail, it fails too.
    pub depends_on: Vec<ServiceName>,
    /// Names for `graph`, each with what Prometheus is asked (PromQL).
    pub metrics: BTreeMap<String, String>,
    /// Where it counts its own answers.
    pub metrics_page: Option<MetricsPage>,
}

/// A page in Prometheus' text format with a counter of requests by status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    /// Its address.
    pub url: String,
    /// The counter; `None`: the first of the usual names that is there.
    pub counter: Option<String>,
    /// The label with the status; `None`: the first of the usual names that is there.
    pub label: Option<String>,
    /// Labels that counters of this service have, on a page of several services.
    pub only: BTreeMap<String, String>,
}

/// Where a service runs, in the words of its platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "lowercase")]
pub enum Target {
    /// All containers with these Compose labels.
    Compose {
        /// Which engine, by its name in the configuration; the default one where `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// Label `com.docker.compose.project`.
        project: String,
        /// Label `com.docker.compose.service`.
        service: String,
    },
    /// The one container of this name.
    Container {
        /// See `Compose`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// The container's name without the leading slash.
        name: String,
    },
    /// A service of a Swarm, asked of one of its managers.
    Swarm {
        /// See `Compose`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// The service's name in the Swarm, such as `treasury_frontend`.
        service: String,
    },
    /// A workload of a Kubernetes cluster.
    Kubernetes {
        /// Which cluster, by its name in the configuration; the only or inferred one where `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
        /// Its namespace.
        namespace: String,
        /// What it is.
        kind: WorkloadKind,
        /// Its name there.
        name: String,
    },
    /// A service of the simulated stack.
    Simulated {
        /// Its name there.
        name: String,
    },
}

/// What keeps the pods of a service on Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl WorkloadKind {
    /// The word of the configuration and of `kubectl`: `deployment`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

/// One installation of a platform; the catalogue finds a service's driver by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlatformKey {
    /// A Docker engine, by its name in the configuration; the default one where `None`.
    Docker(Option<String>),
    /// The Swarm that this engine is a manager of.
    Swarm(Option<String>),
    /// A cluster, by its name in the configuration.
    Kubernetes(Option<String>),
    /// The simulated stack.
    Simulated,
}

impl fmt::Display for PlatformKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A Swarm is reached where its engine is.
            Self::Docker(None) | Self::Swarm(None) => f.write_str("Docker"),
            Self::Docker(Some(engine)) | Self::Swarm(Some(engine)) => {
                write!(f, "Docker engine {engine}")
            }
            Self::Kubernetes(None) => f.write_str("Kubernetes"),
            Self::Kubernetes(Some(cluster)) => write!(f, "Kubernetes cluster {cluster}"),
            Self::Simulated => f.write_str("the simulated stack"),
        }
    }
}

impl Target {
    /// Which installation of a platform this is on.
    pub fn platform(&self) -> PlatformKey {
        match self {
            Self::Compose { engine, .. } | Self::Container { engine, .. } => {
                PlatformKey::Docker(engine.clone())
            }
            Self::Swarm { engine, .. } => PlatformKey::Swarm(engine.clone()),
            Self::Kubernetes { cluster, .. } => PlatformKey::Kubernetes(cluster.clone()),
            Self::Simulated { .. } => PlatformKey::Simulated,
        }
    }
}

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

/// A service as its platform sees it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its replicas, ordered by name (numbers in numeric order).
    pub replicas: Vec<Replica>,
    /// What the platform says of the service as a whole, a line each, such as
    /// `desired 3, ready 2, updated 3, available 2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
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

/// Between which numbers of replicas a platform scales a service by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// Which log lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The newest this many lines after filtering, 1 to 500, over all replicas.
    pub lines: usize,
    /// Only lines at or after this time.
    pub since: Option<Timestamp>,
    /// Only lines that contain this text, case-insensitive. Never a pattern, never a shell word.
    pub grep: Option<String>,
    /// The run before the last restart, where the platform keeps it.
    pub previous: bool,
    /// Which container of a replica that has several; the service's own where `None`.
    pub container: Option<String>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When the platform took it up.
    pub at: Option<Timestamp>,
    /// Name of the replica that wrote it.
    pub replica: String,
    /// Written to standard error.
    pub stderr: bool,
    /// The text without control characters or the line end; at most [`LogLine::MAX_BYTES`] bytes.
    pub text: String,
}

impl LogLine {
    /// A longer line is cut here, with `…` as its last character.
    pub const MAX_BYTES: usize = 2_000;
}

/// The lines found, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Logs {
    /// The lines, merged over the replicas in time order.
    pub lines: Vec<LogLine>,
    /// Older matching lines exist that the limits left out.
    pub truncated: bool,
}

/// Resource use of one replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaStats {
    /// Name of the replica.
    pub replica: String,
    /// CPU in percent of one core (200 = two cores busy).
    pub cpu_percent: f64,
    /// Memory in use without the page cache that can be dropped, bytes.
    pub memory_bytes: u64,
    /// Memory limit, bytes; `None` where there is none.
    pub memory_limit_bytes: Option<u64>,
    /// Received over the network since start, bytes; 0 where the platform counts only processor and
    /// memory, as in those that follow.
    pub network_rx_bytes: u64,
    /// Sent over the network since start, bytes.
    pub network_tx_bytes: u64,
    /// Read from block devices since start, bytes.
    pub block_read_bytes: u64,
    /// Written to block devices since start, bytes.
    pub block_write_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl ReplicaStats {
    /// Memory in use as percent of the limit.
    pub fn memory_percent(&self) -> Option<f64> {
        self.memory_limit_bytes
            .filter(|limit| *limit > 0)
            .map(|limit| self.memory_bytes as f64 * 100.0 / limit as f64)
    }
}

/// The newest samples of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStats {
    /// When the oldest of these samples was taken.
    pub taken_at: Timestamp,
    /// One sample a running replica.
    pub replicas: Vec<ReplicaStats>,
    /// Which replicas have none, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Its running query is cancelled, the session stays.
    Cancel,
    /// The session is closed, its transaction rolled back.
    Terminate,
}

/// Something that happened to a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Name of the replica.
    pub replica: String,
    /// The platform's word for it, such as `start`, `die`, `oom`, `health_status: unhealthy`.
    pub what: String,
    /// Further facts, such as `exit code 137`.
    pub detail: Option<String>,
}

/// The recorded intent that a change carries out. A driver that can leave a mark at the platform
/// marks the change with it, and so can tell later whether it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its identity: unique for ever, the same when it is carried out again after a crash. At most
    /// 63 letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// When it was recorded.
    pub since: Timestamp,
    /// The run and step that it belongs to, if any: `7/restart-api`.
    pub step: Option<String>,
}

impl Intent {
    /// An intent that belongs to no run.
    pub fn new(id: impl Into<String>, since: Timestamp) -> Self {
        Self {
            id: id.into(),
            since,
            step: None,
        }
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

/// What became of a replica that was to be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaOutcome {
    /// Its process started anew after the mark was taken.
    Restarted,
    /// The platform has been told and is at it.
    UnderWay,
    /// Nothing has happened to it.
    Untouched,
    /// It is gone.
    Gone,
}

/// What a service runs or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// What the platform calls it, exact and unchanging: an image id, a revision number.
    pub id: String,
    /// Image reference for people, such as `treasury/api:1.4.2`.
    pub image: String,
    /// Since when it ran, where the platform knows.
    pub since: Option<Timestamp>,
    /// In what it differs from the present one besides the image, without values:
    /// `env LOG_LEVEL`, `resources`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// One join between a replica and the rest of the world, such as its membership of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The platform's identifier of the replica.
    pub id: String,
    /// Name of the replica.
    pub replica: String,
    /// What it is joined to, for people, such as `network treasury_default`.
    pub to: String,
    /// What the driver needs to make it again exactly; nobody else reads it.
    pub detail: serde_json::Value,
}

/// Something kept of a replica before it is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A file name, such as `treasury-api-1.logs.txt`.
    pub name: String,
    /// The text, at most [`Evidence::MAX_BYTES`] bytes; the newest part where it was longer.
    pub text: String,
}

impl Evidence {
    /// Most bytes of one piece.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// The newest part of a text.
    pub fn newest(name: String, mut text: String) -> Self {
        let surplus = text.len().saturating_sub(Self::MAX_BYTES);
        text.drain(..text.ceil_char_boundary(surplus));
        Self { name, text }
    }
}

/// A step of progress that a driver reports while it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub done: u32,
    /// Steps in all.
    pub total: u32,
    /// One line, such as `treasury-frontend-2: waiting until healthy`.
    pub line: String,
}

/// How long a driver may take for the parts of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between asking a process to stop and killing it.
    pub stop: Duration,
    /// Until a replica must be running and healthy.
    pub healthy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stop: Duration::from_secs(10),
            healthy: Duration::from_secs(120),
        }
    }
}

/// Replicas by service, as text for people: `healthy 2/3`.
pub fn well_text(status: &ServiceStatus) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_checked() {
        for good in ["frontend", "api-2", "9lives", "a.b_c"] {
            assert_eq!(
                ServiceName::parse(good).map(String::from),
                Ok(good.to_owned())
            );
        }
        for bad in ["", "-x", "Frontend", "a b", "a;rm", "ä", &"x".repeat(64)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }
}
