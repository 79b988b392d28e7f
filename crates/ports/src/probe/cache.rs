//! What can be asked of a cache server: the trait, and what its answers are made of.
//!
//! Times are UTC; `_ms` are milliseconds, `_us` microseconds, `_bytes` bytes, `_percent` 0 to 100.

use std::fmt;

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
    /// What the server is: `Redis` or `Valkey`.
    pub product: String,
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
    /// Connected clients, without replicas.
    pub clients: u64,
    /// `maxclients`.
    pub clients_max: u64,
    /// Clients that wait in a blocking command.
    pub clients_blocked: u64,
    /// Connections refused since the start because of `maxclients`.
    pub rejected: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// The databases that hold keys, by number.
    pub databases: Vec<KeyCount>,
    /// What is kept on the disk, such as `snapshots, append-only file` or `nothing`.
    pub persistence: String,
    /// The newest snapshot since the start (the oldest such of several); `None`: none was made.
    pub last_save_at: Option<Timestamp>,
    /// The last attempt to save failed: writes may be refused.
    pub save_failed: bool,
    /// The last rewrite of the append-only file failed: the file grows until one succeeds.
    pub rewrite_failed: bool,
    /// Replicas that follow, those that are being filled included.
    pub replicas: u64,
    /// Those of them that are being filled; on a replica, 1 while it is itself.
    pub syncing: u64,
    /// On a replica: the link to its master is up, or it is being filled. On a master: all its
    /// replicas acknowledge what they get.
    pub replication_ok: bool,
    /// Largest lag of a replica that is not being filled.
    pub replication_lag_bytes: Option<u64>,
    /// What is wrong or worth a look, one sentence each, worst first.
    pub warnings: Vec<String>,
    /// The servers, the one asked first first.
    pub nodes: Vec<Node>,
}

/// Keys of a database of a server; of a cluster, of all its masters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyCount {
    /// The database's number.
    pub database: u16,
    /// Its keys.
    pub keys: u64,
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
    /// Commands that were large themselves (Valkey's COMMANDLOG, from 8.1 on); `None`: the server
    /// records none.
    pub large_requests: Option<LargeCommands>,
    /// Commands with large replies (as above).
    pub large_replies: Option<LargeCommands>,
    /// What was not answered, each with why, in a sentence; at most 99.
    pub missing: Vec<String>,
}

/// A command on record. Its arguments are left out but for the key: they may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    /// Its name, such as `ZRANGE`.
    pub command: String,
    /// Its first key, where it has one; at most 80 characters.
    pub key: Option<String>,
    /// Further arguments.
    pub more: u64,
    /// When.
    pub at: Timestamp,
    /// The client's address.
    pub client: String,
}

/// `ZRANGE queue:payments +3`.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, " +{more}"),
        }
    }
}

/// A slow command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlowCommand {
    /// Which.
    #[serde(flatten)]
    pub recorded: Recorded,
    /// How long it took.
    pub took_us: u64,
}

/// Commands that are kept for the size of them, or of their replies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LargeCommands {
    /// Beyond this they are kept (the highest of several); `None`: none is, or it is not told.
    pub threshold_bytes: Option<u64>,
    /// The commands, largest first, at most 20.
    pub entries: Vec<LargeCommand>,
}

/// A large command, or one with a large reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LargeCommand {
    /// Which.
    #[serde(flatten)]
    pub recorded: Recorded,
    /// Its size, or its reply's.
    pub bytes: u64,
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
    /// Those whose size is an estimate from some of their elements.
    pub estimates: u64,
    /// The sum of the sizes.
    pub bytes: u64,
    /// All memory that the servers use, for comparison.
    pub used_bytes: u64,
    /// The databases that were looked at.
    pub databases: Vec<u16>,
    /// The biggest, biggest first, at most 20.
    pub biggest: Vec<BigKey>,
    /// Memory by [`prefix`] in the sample, biggest first, at most 20.
    pub by_prefix: Vec<PrefixUse>,
    /// Servers of a cluster that did not answer, or not all, and databases that may not be looked
    /// at, each with why, in a sentence. Where there is one, the answer is not `complete`.
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
    /// `bytes` is an estimate from this many of its elements; `None`: it is exact.
    pub estimated_from: Option<u64>,
    /// Its elements; `None`: it has none, or they are not told.
    pub elements: Option<u64>,
    /// The number of its database.
    pub database: u16,
    /// When it expires, in milliseconds from now; `None`: never.
    pub expires_ms: Option<u64>,
    /// The server told kind, size and expiry. Otherwise (a cluster that is down tells no more than
    /// names) they are `unknown`, 0 and `None`.
    pub described: bool,
}

/// Memory of the keys that begin alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrefixUse {
    /// What [`prefix`] tells; without one, `(no prefix)`.
    pub prefix: String,
    /// Sampled keys.
    pub keys: u64,
    /// Their memory.
    pub bytes: u64,
}

/// Who is connected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clients {
    /// Connected clients, without replicas.
    pub connected: u64,
    /// Replicas that are connected; one that is being filled over a second channel is one.
    pub replicas: u64,
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
    /// `normal`, `pubsub`, `monitor`, `replica` or `master`.
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
    /// The databases that were looked at.
    pub databases: Vec<u16>,
    /// The first of them, at most 50, in alphabetical order.
    pub keys: Vec<BigKey>,
    /// Servers of a cluster that did not answer, or not all, and databases that may not be looked
    /// at, each with why, in a sentence. Where there is one, the answer is not `complete`.
    pub missing: Vec<String>,
}

/// The part of a key that names what it is, not whose: up to its first `:`. `None`: there is no
/// such part, or it looks like somebody's id (`ana@bank.de:cart`, `DE89370400440532013000:balance`):
/// longer than 40 characters, more than three digits, or others than letters, digits and `_.-{}`.
pub fn prefix(key: &str) -> Option<&str> {
    let at = key.find(':')?;
    let digits = key[..at].bytes().filter(u8::is_ascii_digit).count();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-{}".contains(c);
    let names = (1..=40).contains(&at) && digits <= 3 && key[..at].chars().all(plain);
    names.then(|| &key[..=at])
}

/// The key as it may be shown to others: its [`prefix`], or what was typed to find it where that is
/// more, and `…` for the rest.
pub fn masked(key: &str, typed: &str) -> String {
    let shown = prefix(key).unwrap_or_default();
    let is_more = key.starts_with(typed) && typed.len() > shown.len();
    let shown = if is_more { typed } else { shown };
    let rest = if shown.len() < key.len() { "…" } else { "" };
    format!("{shown}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_no_more_is_shown_than_what_it_is() {
        for (key, shown) in [
            ("session:8f3a9c", "session:…"),
            ("user:42:e-mail", "user:…"),
            ("{fx}.v2:EURUSD", "{fx}.v2:…"),
            ("session:", "session:"),
            // Whose it is comes first, or there is nothing but that.
            ("ana@bank.de:cart", "…"),
            ("DE89370400440532013000:balance", "…"),
            ("550e8400-e29b-41d4-a716-446655440000:cart", "…"),
            ("\\xff\\xfe:1", "…"),
            (":1", "…"),
            ("0f2c9a11b", "…"),
            ("token", "…"),
        ] {
            assert_eq!(masked(key, ""), shown, "{key}");
        }
        // Who asks knows what they typed.
        assert_eq!(masked("user:42:e-mail", "user:42:"), "user:42:…");
        assert_eq!(masked("user:42:e-mail", "us"), "user:…");
        assert_eq!(masked("token", "token"), "token");
    }
}
