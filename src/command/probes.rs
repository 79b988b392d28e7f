//! The words that ask a database or a cache.

use clap::Subcommand;
use jiff::Timestamp;

/// What can be asked of a database.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DbCommand {
    /// Show the state of the database at a glance
    Summary,
    /// Show who is connected to the database
    Connections,
    /// Show who blocks whom in the database
    Locks,
    /// Show the queries that take the most time
    Slow,
    /// Show how far replicas of the database are behind
    Replication,
    /// Show what takes the room on the database's disk
    Size,
    /// Cancel the running query of a session; the session stays
    Cancel {
        /// The session's number
        #[arg(value_parser = pid)]
        pid: i32,
        /// When that session started: what makes the number mean this very session
        #[arg(long, hide = true)]
        started: Option<Timestamp>,
    },
    /// End a session and roll its transaction back
    Terminate {
        /// The session's number
        #[arg(value_parser = pid)]
        pid: i32,
        /// When that session started: what makes the number mean this very session
        #[arg(long, hide = true)]
        started: Option<Timestamp>,
    },
}

/// What can be asked of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CacheCommand {
    /// Show the state of the cache at a glance
    Summary,
    /// Show the biggest keys of a sample
    Memory,
    /// Show the slowest recent commands
    Slowlog,
    /// Show who is connected to the cache
    Clients,
    /// Show keys that begin with a text
    Keys {
        /// What they begin with, as it is: no pattern
        prefix: String,
    },
    /// Close the connection of a client
    Kill {
        /// The client's number
        client: u64,
        /// The server it is connected to, where there are several: `host:port`
        #[arg(long, value_name = "HOST:PORT")]
        server: Option<String>,
    },
}

fn pid(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| "write the number of a session, as `db connections` shows it".to_owned())
}
