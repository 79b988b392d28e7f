//! What can be asked of a cache server: the trait, and what its answers are made of.
//!
//! Times are UTC; `_ms` are milliseconds, `_us` microseconds, `_bytes` bytes, `_percent` 0 to 100.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProbeError;

/// A cache server, or several, that can be asked how they are. Every call ends within a bounded
/// time, and none of them writes, but for [`Cache::kill`].
#[async_trait]
pub trait Cache: Send + Sync {
    /// The state at a glance.
    async fn summary(&self) -> Result<CacheSummary, ProbeError>;

    /// The slowest recent commands, slowest first.
    async fn slowlog(&self) -> Result<SlowLog, ProbeError>;

    /// The biggest keys of a bounded sample.
    async fn memory(&self) -> Result<BigKeys, ProbeError>;

    /// Who is connected.
    async fn clients(&self) -> Result<Clients, ProbeError>;

    /// Keys that begin with `prefix` (a literal, never a pattern), at most 50, of a bounded scan.
    async fn keys(&self, prefix: &str) -> Result<Keys, ProbeError>;

    /// Closes the connection of a client. Refused (`Unsupported`) for the bot's own and for
    /// replicas and masters. `Ok(false)`: there is no such client any more.
    async fn kill(&self, client: &ClientId) -> Result<bool, ProbeError>;
}

/// How the servers belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// One server, perhaps with replicas.
    Single,
    /// A master that Sentinels watch.
    Sentinel,
    /// A cluster: slots shared by several masters.
    Cluster,
}

/// The state at a glance; of a cluster, sums and worst values over its masters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CacheSummary {
    /// Version of the server, such as `7.0.15`.
    pub version: String,
    /// When it started (the youngest of several).
    pub started_at: Timestamp,
    /// How the servers belong together.
    pub topology: Topology,
    /// `master` or `replica`; of a cluster, `cluster`.
    pub role: String,
    /// Memory in use.
    pub memory_bytes: u64,
    /// `maxmemory`; `None` where there is none.
    pub memory_max_bytes: Option<u64>,
    /// Used as percent of the maximum (the fullest of several).
    pub memory_percent: Option<f64>,
    /// `maxmemory-policy`, such as `allkeys-lru`.
    pub eviction_policy: String,
    /// Resident memory as a multiple of the memory in use; above 1.5 is worth a look.
    pub fragmentation: f64,
    /// Keys thrown out for lack of memory since the start.
    pub evicted: u64,
    /// Reads that found their key since the start; `None` before the first read.
    pub hit_percent: Option<f64>,
    /// Commands a second at this moment.
    pub commands_per_second: f64,
    /// Connected clients.
    pub clients: u64,
    /// `maxclients`.
    pub clients_max: u64,
    /// Clients that wait in a blocking command.
    pub clients_blocked: u64,
    /// Connections refused since the start because of `maxclients`.
    pub rejected: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// What is kept on the disk, such as `snapshots, append-only file` or `nothing`.
    pub persistence: String,
    /// The newest snapshot since the start (the oldest such of several); `None`: none was made.
    pub last_save_at: Option<Timestamp>,
    /// The last attempt to save failed: writes may be refused.
    pub save_failed: bool,
    /// Replicas that follow.
    pub replicas: u64,
    /// On a replica: the link to its master is up. On a master: all its replicas are online.
    pub replication_ok: bool,
    /// Largest lag of a replica.
    pub replication_lag_bytes: Option<u64>,
    /// What is wrong or worth a look, one sentence each, worst first.
    pub warnings: Vec<String>,
    /// The servers, the one asked first first.
    pub nodes: Vec<Node>,
}

/// One server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// `host:port`.
    pub address: String,
    /// `master`, `replica` or `sentinel`.
    pub role: String,
    /// It answered.
    pub up: bool,
    /// Memory in use, when it answered.
    pub memory_bytes: Option<u64>,
    /// Cluster slots it serves, such as `0-5460`; empty outside a cluster.
    pub slots: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// The slowest recent commands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowLog {
    /// Commands slower than this are kept by the server (the highest of several); `None`: it
    /// keeps none, or, without `threshold_known`, it does not tell.
    pub threshold_us: Option<u64>,
    /// The server tells its threshold. A managed one, or one with narrow rights, often does not.
    pub threshold_known: bool,
    /// The commands, slowest first, at most 20.
    pub entries: Vec<SlowCommand>,
    /// Servers of a cluster that did not answer, each with why, in a sentence; at most 33.
    pub missing: Vec<String>,
}

/// A slow command. Its arguments are left out but for the key: they may be secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowCommand {
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub took_us: u64,
    /// The command and its first key, with the number of further arguments, such as
    /// `ZRANGE queue:payments +3`.
    pub command: String,
    /// The client's address.
    pub client: String,
}

/// The biggest keys of a sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BigKeys {
    /// Keys in all.
    pub keys: u64,
    /// Keys whose size was looked at.
    pub sampled: u64,
    /// All keys were looked at.
    pub complete: bool,
    /// The biggest, biggest first, at most 20.
    pub biggest: Vec<BigKey>,
    /// Memory by the part of the key before its first `:`, in the sample, biggest first, at most
    /// 20.
    pub by_prefix: Vec<PrefixUse>,
    /// Servers of a cluster that did not answer, or not all, each with why, in a sentence; at most
    /// 65. Where there is one, the answer is not `complete`.
    pub missing: Vec<String>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BigKey {
    /// The key; bytes that are no text are shown as `\x..`; at most 100 characters.
    pub key: String,
    /// `string`, `hash`, `list` …
    pub kind: String,
    /// Its memory.
    pub bytes: u64,
    /// When it expires, in milliseconds from now; `None`: never.
    pub expires_ms: Option<u64>,
    /// The server told kind, size and expiry. Otherwise (a cluster that is down tells no more than
    /// names) they are `unknown`, 0 and `None`.
    pub described: bool,
}

/// Memory of the keys that begin alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrefixUse {
    /// The part before the first `:`.
    pub prefix: String,
    /// Sampled keys.
    pub keys: u64,
    /// Their memory.
    pub bytes: u64,
}

/// Who is connected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clients {
    /// Connected clients.
    pub connected: u64,
    /// `maxclients`.
    pub max: u64,
    /// By host and name, most first, at most 20.
    pub by_host: Vec<super::database::Count>,
    /// Those with the most buffered output, then the longest idle, at most 20.
    pub list: Vec<Client>,
    /// Servers of a cluster that did not answer, each with why, in a sentence; at most 33.
    pub missing: Vec<String>,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    /// Its number; never used again while the server runs.
    pub id: u64,
    /// The server it is connected to, `host:port`.
    pub server: String,
    /// Its address.
    pub address: String,
    /// What it calls itself; may be empty.
    pub name: String,
    /// How long it has been connected.
    pub age_ms: u64,
    /// How long since its last command.
    pub idle_ms: u64,
    /// Its last command.
    pub command: String,
    /// Output that waits for it to read.
    pub output_bytes: u64,
    /// `normal`, `pubsub`, `replica` or `master`.
    pub kind: String,
    /// It is one of the bot's own.
    pub own: bool,
}

/// Which client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientId {
    /// Its number.
    pub id: u64,
    /// The server it is connected to, `host:port`, where there are several.
    pub server: Option<String>,
}

/// Keys found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Keys {
    /// What they begin with.
    pub prefix: String,
    /// Keys that were looked at.
    pub scanned: u64,
    /// All keys were looked at.
    pub complete: bool,
    /// How many matched among those looked at.
    pub matched: u64,
    /// The first of them, at most 50, in alphabetical order.
    pub keys: Vec<BigKey>,
    /// Servers of a cluster that did not answer, or not all, each with why, in a sentence; at most
    /// 65. Where there is one, the answer is not `complete`.
    pub missing: Vec<String>,
}
