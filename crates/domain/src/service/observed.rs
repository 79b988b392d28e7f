//! What is read of replicas besides their state: logs, resource use, events.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Whose lines could not be read, and why; `None`: nobody's are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
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

/// What happened to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The events, oldest first.
    pub list: Vec<Event>,
    /// The platform remembers no further back than this, which is later than was asked for: before
    /// it there may have been others. `None`: nothing is missing, as far as is known.
    pub reaches: Option<Timestamp>,
    /// What else the platform can't know, such as what happened on other machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl From<Vec<Event>> for Events {
    fn from(list: Vec<Event>) -> Self {
        Self {
            list,
            ..Self::default()
        }
    }
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
