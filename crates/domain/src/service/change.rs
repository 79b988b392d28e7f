//! Changes of a service: what is wanted, what proves that it was done, what is kept of before.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dependant::Dependant;

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

/// How a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Its running query is cancelled, the session stays.
    Cancel,
    /// The session is closed, its transaction rolled back.
    Terminate,
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
    /// What hangs on the service, in the order in which it is brought along.
    pub along: Vec<Dependant>,
}

impl Intent {
    /// An intent that belongs to no run.
    pub fn new(id: impl Into<String>, since: Timestamp) -> Self {
        Self {
            id: id.into(),
            since,
            step: None,
            along: Vec::new(),
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
