//! PostgreSQL, asked over a few read-only connections of its own.

mod activity;
mod connect;
mod end;
mod fault;
mod locks;
mod mask;
mod overview;
mod rights;
mod rows;

use async_trait::async_trait;
use jiff::Timestamp;

use super::database::{
    Connections, Database, DatabaseSummary, End, Locks, Replication, Session, Sizes, SlowQueries,
};
use super::{ProbeError, ProbeErrorKind};

pub use connect::{Config, Postgres};
pub use mask::mask;
pub use rights::Rights;

#[async_trait]
impl Database for Postgres {
    fn also_called(&self) -> Vec<String> {
        self.names()
    }

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
        self.ask(|server| Box::pin(activity::slow(server, self.user().to_owned())))
            .await
    }

    async fn replication(&self) -> Result<Replication, ProbeError> {
        self.ask(|server| Box::pin(overview::replication(server)))
            .await
    }

    async fn size(&self) -> Result<Sizes, ProbeError> {
        self.ask(|server| Box::pin(overview::sizes(server))).await
    }

    async fn session(&self, pid: i32) -> Result<Session, ProbeError> {
        let found = self
            .ask(|server| Box::pin(activity::session(server, pid)))
            .await?;
        found.ok_or_else(|| {
            ProbeError::new(
                ProbeErrorKind::NotFound,
                format!("there is no session {pid}"),
                "it has ended, or the number is wrong: see `db connections`",
            )
        })
    }

    async fn end(&self, pid: i32, started_at: Timestamp, how: End) -> Result<bool, ProbeError> {
        // One question, so that one time-out bounds all of it.
        let ended = self
            .ask(|server| Box::pin(end::end(server, pid, started_at, how)))
            .await?;
        end::outcome(ended, pid, self.user())
    }
}
