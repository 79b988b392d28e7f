//! What can be asked of a database server: the trait, and what its answers are made of.
//!
//! Times are UTC; `_ms` are milliseconds, `_bytes` bytes, `_percent` 0 to 100. Query texts have
//! their literals masked (`?`) and are at most [`MAX_QUERY`] characters long.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProbeError;
pub use treasury_domain::service::End;

/// Longest query text of an answer, characters.
pub const MAX_QUERY: usize = 300;
/// Most rows of a list in an answer.
pub const MAX_ROWS: usize = 20;

/// A database server that can be asked how it is. Every call ends within a bounded time.
#[async_trait]
pub trait Database: Send + Sync {
    /// What alerts may call it besides: its address, its host, the database's own name.
    fn also_called(&self) -> Vec<String> {
        Vec::new()
    }

    /// The state at a glance.
    async fn summary(&self) -> Result<DatabaseSummary, ProbeError>;

    /// Who is connected.
    async fn connections(&self) -> Result<Connections, ProbeError>;

    /// Who blocks whom.
    async fn locks(&self) -> Result<Locks, ProbeError>;

    /// The queries that take the most time.
    async fn slow(&self) -> Result<SlowQueries, ProbeError>;

    /// Replication from and to this server.
    async fn replication(&self) -> Result<Replication, ProbeError>;

    /// What takes the room on the disk.
    async fn size(&self) -> Result<Sizes, ProbeError>;

    /// One session; `NotFound` when there is none of this number.
    async fn session(&self, pid: i32) -> Result<Session, ProbeError>;

    /// Cancels the query of a session, or ends the session. It acts only on the very session that
    /// started at `started_at`: numbers are used again. Refused (`Unsupported`) for the bot's own
    /// sessions, for replication and for the server's own processes.
    ///
    /// `Ok(false)`: that session is no longer there (or, for a cancel, runs nothing any more).
    async fn end(&self, pid: i32, started_at: Timestamp, how: End) -> Result<bool, ProbeError>;
}

/// A name and how many there are of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// The state at a glance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseSummary {
    /// What would let the bot see the sessions of others, such as `GRANT pg_monitor TO bot`. While it
    /// lacks, what is open, waits or is behind is not known, and connections are at most so many.
    pub rights_lack: Option<String>,
    /// Version of the server, such as `15.18`.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// It takes writes; `false` on a standby.
    pub primary: bool,
    /// Client connections in use.
    pub connections_used: u64,
    /// Connections that ordinary users can have (`max_connections` less the reserved ones).
    pub connections_max: u64,
    /// Used as percent of the maximum; may pass 100 when reserved ones are in use.
    pub connections_percent: f64,
    /// Client connections to the connected database …
    pub database_used: u64,
    /// … and how many it may have (`CONNECTION LIMIT`), if that is limited.
    pub database_limit: Option<u64>,
    /// Connections by state (`active`, `idle`, `idle in transaction` …), most first.
    pub by_state: Vec<Count>,
    /// Connections by application, most first.
    pub by_application: Vec<Count>,
    /// Transactions that are prepared (two-phase commit), the oldest first: they outlive sessions.
    pub prepared: Vec<Prepared>,
    /// Age of the oldest open transaction of a client.
    pub longest_transaction_ms: Option<u64>,
    /// Its session.
    pub longest_transaction_pid: Option<i32>,
    /// Sessions that wait for a lock.
    pub blocked: u64,
    /// Blocks found in the buffer cache, of all databases since the statistics began; `None`
    /// before anything was read.
    pub cache_hit_percent: Option<f64>,
    /// Size of the connected database.
    pub size_bytes: u64,
    /// Replicas that stream from this server and apply what they get.
    pub replicas: u64,
    /// Others that stream from it: backups, and programs that only keep its log.
    pub receivers: u64,
    /// On a standby: where it streams from; `None` when it does not stream.
    pub streams_from: Option<String>,
    /// On a standby: somebody has paused it.
    pub replay_paused: bool,
    /// Replication slots.
    pub slots: Vec<Slot>,
    /// Largest lag: of a replica behind this primary, or of this standby behind what it has received.
    /// `None`: there is none, or it is not known.
    pub replication_lag_bytes: Option<u64>,
    /// The same in time, where it is known.
    pub replication_lag_ms: Option<u64>,
    /// Transactions since the oldest unfrozen one, largest of all databases.
    pub wraparound_age: u64,
    /// The same as percent of the 2³¹ at which the server refuses writes.
    pub wraparound_percent: f64,
    /// The same of multixacts, which rows have that several transactions locked.
    pub multixact_percent: f64,
    /// What keeps vacuum from removing dead rows, the oldest.
    pub held_back: Option<HeldBack>,
    /// Vacuums that run now.
    pub vacuums: Vec<Vacuum>,
    /// The newest vacuum of any table, by hand or by itself; `None`: never, or on a standby, which
    /// does not know.
    pub last_vacuum_at: Option<Timestamp>,
    /// Dead rows as percent of all rows of user tables.
    pub dead_rows_percent: Option<f64>,
}

/// A transaction that was prepared and waits to be committed or rolled back, by
/// `COMMIT PREPARED 'gid'` or `ROLLBACK PREPARED 'gid'` in its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prepared {
    /// Its name.
    pub gid: String,
    /// Who prepared it; they or a superuser can end it.
    pub owner: String,
    /// Where.
    pub database: String,
    /// For how long.
    pub age_ms: u64,
}

/// What keeps vacuum from removing dead rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldBack {
    /// Such as `session 4711`, `slot archive`.
    pub by: String,
    /// How many transactions have begun since what it still has to see.
    pub transactions: u64,
}

/// A vacuum that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vacuum {
    /// Its session.
    pub pid: i32,
    /// Its table; a number in other databases.
    pub table: String,
    /// Such as `scanning heap`.
    pub phase: String,
    /// Of the table's blocks that it has looked at.
    pub scanned_percent: Option<f64>,
}

/// Who is connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// Client connections in use.
    pub used: u64,
    /// Connections that ordinary users can have.
    pub max: u64,
    /// By state, most first.
    pub by_state: Vec<Count>,
    /// By application, most first.
    pub by_application: Vec<Count>,
    /// By client address, most first.
    pub by_client: Vec<Count>,
    /// By user and database (`user@database`), most first.
    pub by_user: Vec<Count>,
    /// The sessions with the oldest transactions, then the oldest idle ones, at most [`MAX_ROWS`].
    pub oldest: Vec<Session>,
}

/// One session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The number of its process.
    pub pid: i32,
    /// When it connected; with the number it means this session and no other.
    pub started_at: Timestamp,
    /// Its user.
    pub user: String,
    /// Its database.
    pub database: String,
    /// What it calls itself.
    pub application: String,
    /// Its address; empty for a local socket.
    pub client: String,
    /// `active`, `idle`, `idle in transaction` …
    pub state: String,
    /// Since when it is in this state.
    pub state_since: Option<Timestamp>,
    /// Age of its transaction, if one is open.
    pub transaction_ms: Option<u64>,
    /// What it waits for while it is active, such as `Lock: transactionid`, `Client: ClientWrite`;
    /// `None` when it does not wait.
    pub waits_for: Option<String>,
    /// Its current or last query, literals masked.
    pub query: String,
    /// `client backend`, `walsender`, `autovacuum worker` …
    pub kind: String,
    /// It is one of the bot's own.
    pub own: bool,
}

/// Who blocks whom, as a tree flattened depth first: each root (which waits for nobody) is
/// followed by those who wait for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Locks {
    /// Sessions that wait for a lock.
    pub blocked: u64,
    /// The numbers of the sessions at the roots: ending these frees the others.
    pub roots: Vec<i32>,
    /// The prepared transactions at the roots: no session, so only SQL ends them.
    pub prepared: Vec<Prepared>,
    /// Vacuums that run now, while somebody waits.
    pub vacuums: Vec<Vacuum>,
    /// The tree, at most [`MAX_ROWS`] sessions.
    pub tree: Vec<Blocked>,
    /// Sessions that were left out.
    pub left_out: u64,
}

/// A session in the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// How deep in the tree; a root is at 0.
    pub depth: u32,
    /// The session it waits for, 0 for a prepared transaction; `None` for a root.
    pub blocked_by: Option<i32>,
    /// How long it has waited; `None` for a root.
    pub waits_ms: Option<u64>,
    /// The lock it waits for, such as `RowExclusiveLock on payments`; empty for a root.
    pub lock: String,
    /// The session; of a prepared transaction a number of 0, and its name as the application's.
    pub session: Session,
}

/// The queries that take the most time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowQueries {
    /// `pg_stat_statements`: totals since its last reset. Otherwise what runs at this moment.
    pub from_statistics: bool,
    /// Why there are no statistics, and what to do.
    pub hint: Option<String>,
    /// The queries, worst first, at most [`MAX_ROWS`].
    pub queries: Vec<SlowQuery>,
}

/// A query that takes time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowQuery {
    /// Its text, literals masked.
    pub query: String,
    /// Its user.
    pub user: String,
    /// Its database.
    pub database: String,
    /// How often it ran; 1 for one that is running.
    pub calls: u64,
    /// Time of all calls.
    pub total_ms: f64,
    /// Mean time of a call; for a running one, its time so far.
    pub mean_ms: f64,
    /// Share of the time of all queries.
    pub share_percent: f64,
    /// The session that runs it, when it is running.
    pub pid: Option<i32>,
}

/// Replication from and to this server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replication {
    /// It takes writes.
    pub primary: bool,
    /// On a standby: the primary it streams from, such as `10.0.0.5:5432`, and `None` when it does
    /// not stream.
    pub streams_from: Option<String>,
    /// On a standby: somebody has paused it.
    pub replay_paused: bool,
    /// On a standby: received but not yet applied; `None` when it does not stream, as then nobody
    /// knows how far behind it is.
    pub replay_lag_bytes: Option<u64>,
    /// On a standby: age of the newest applied transaction (rises on an idle primary as well; then
    /// `replay_lag_bytes` is 0 and this is `None`).
    pub replay_lag_ms: Option<u64>,
    /// On a primary: who streams from it.
    pub replicas: Vec<ReplicaLag>,
    /// Replication slots.
    pub slots: Vec<Slot>,
}

/// A server that streams from this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaLag {
    /// What it calls itself.
    pub name: String,
    /// Its address.
    pub client: String,
    /// `streaming`, `catchup` …
    pub state: String,
    /// `async`, `sync`, `quorum` …
    pub sync: String,
    /// It applies what it gets; a backup, or a program that only keeps the log, does not.
    pub applies: bool,
    /// Written here and not yet applied there; `None`: it does not say.
    pub lag_bytes: Option<u64>,
    /// The same in time, where it is known.
    pub lag_ms: Option<u64>,
}

/// A replication slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Somebody uses it.
    pub active: bool,
    /// A copy of the primary's, on a standby.
    pub synced: bool,
    /// What it needs is gone: whoever used it has to be made anew. The server's reason, or `lost`.
    pub lost: Option<String>,
    /// Log that is kept for it on the disk.
    pub kept_bytes: Option<u64>,
}

/// What takes the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sizes {
    /// All databases, largest first.
    pub databases: Vec<Named>,
    /// Tables of the connected database with indexes and toast, largest first, at most
    /// [`MAX_ROWS`].
    pub tables: Vec<TableSize>,
    /// Write-ahead log on the disk, if the bot may see it.
    pub wal_bytes: Option<u64>,
    /// Temporary files of queries that run, if the bot may see them.
    pub temporary_bytes: Option<u64>,
}

/// A name and its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// The size of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableSize {
    /// `schema.table`.
    pub name: String,
    /// With indexes and toast. Of a table that is locked exclusively: as its last vacuum or analyze
    /// found it, so 0 when there was none.
    pub bytes: u64,
    /// Indexes alone.
    pub index_bytes: u64,
    /// Rows, estimated; `None`: nobody has counted yet.
    pub rows: Option<u64>,
    /// Dead rows as percent of all; `None` on a standby, which does not know.
    pub dead_percent: Option<f64>,
    /// Its newest vacuum.
    pub last_vacuum_at: Option<Timestamp>,
    /// Of a table with partitions, how many; all the rest is then their sum.
    pub partitions: u64,
}
