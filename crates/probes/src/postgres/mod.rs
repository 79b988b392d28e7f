//! PostgreSQL, asked over a few read-only connections of its own.

mod activity;
mod connect;
mod locks;
mod mask;
mod overview;
mod storage;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{Mutex, Semaphore};

use super::ProbeError;
use super::database::{
    Connections, Database, DatabaseSummary, End, Locks, Replication, Session, Sizes, SlowQueries,
};

pub use mask::mask;

/// Connections that are kept and used at the same time. One kept from before still answers when
/// the server has no free one.
const CONNECTIONS: u32 = 2;

/// What the bot calls itself.
pub(super) const APPLICATION: &str = "treasury-bot";

/// Where and how a server is asked.
#[derive(Debug)]
pub struct Config {
    /// The database's name in the configuration.
    pub name: String,
    /// `postgres://user:password@host:port/database?sslmode=…`
    pub url: SecretString,
    /// The longest that any question may take.
    pub timeout: Duration,
}

/// A PostgreSQL server.
pub struct Postgres {
    /// `PostgreSQL at host:port`.
    label: String,
    user: String,
    options: PgConnectOptions,
    timeout: Duration,
    kept: Mutex<Vec<PgConnection>>,
    slots: Semaphore,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)
    }
}

impl Postgres {
    /// Checks the URL. Nothing is connected yet.
    pub fn new(config: &Config) -> Result<Self, ProbeError> {
        connect::prepare(&config.name, config.url.expose_secret(), config.timeout)
    }
}

/// Microseconds since 1970 of a timestamp with time zone, as SQL.
fn micros(expression: &str) -> String {
    format!("(extract(epoch FROM {expression}) * 1000000)::bigint")
}

/// A moment out of such a column; the epoch where the server hides it.
fn moment(micros: Option<i64>) -> Timestamp {
    Timestamp::from_microsecond(micros.unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A count out of SQL, which knows no unsigned numbers.
fn count(number: Option<i64>) -> u64 {
    number.unwrap_or(0).max(0) as u64
}

/// Texts that clients choose: without control characters, at most `most` bytes.
fn clean(text: &str, most: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    treasury_domain::timeline::cut(&text, most)
}

#[async_trait]
impl Database for Postgres {
    async fn summary(&self) -> Result<DatabaseSummary, ProbeError> {
        self.ask(|server| Box::pin(overview::summary(server))).await
    }

    async fn connections(&self) -> Result<Connections, ProbeError> {
        self.ask(|server| Box::pin(activity::connections(server)))
            .await
    }

    async fn locks(&self) -> Result<Locks, ProbeError> {
        self.ask(|server| Box::pin(locks::locks(server))).await
    }

    async fn slow(&self) -> Result<SlowQueries, ProbeError> {
        self.ask(|server| Box::pin(activity::slow(server, self.user.clone())))
            .await
    }

    async fn replication(&self) -> Result<Replication, ProbeError> {
        self.ask(|server| Box::pin(overview::replication(server)))
            .await
    }

    async fn size(&self) -> Result<Sizes, ProbeError> {
        self.ask(|server| Box::pin(storage::sizes(server))).await
    }

    async fn session(&self, pid: i32) -> Result<Session, ProbeError> {
        let found = self
            .ask(|server| Box::pin(activity::session(server, pid)))
            .await?;
        found.ok_or_else(|| activity::unknown(pid))
    }

    async fn end(&self, pid: i32, started_at: Timestamp, how: End) -> Result<bool, ProbeError> {
        activity::end(self, pid, started_at, how).await
    }
}
