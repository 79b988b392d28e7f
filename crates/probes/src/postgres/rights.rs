//! What the bot may see and do at a server.

use jiff::Timestamp;
use serde::Deserialize;
use sqlx_core::error::Error;
use sqlx_postgres::PgConnection;

use super::connect::Postgres;
use super::rows::row;
use crate::ProbeError;

/// What the bot may see and do at a server.
#[derive(Debug, Clone, Deserialize)]
pub struct Rights {
    /// Version of the server, such as `15.18`.
    pub version: String,
    /// Who the bot is there.
    pub user: String,
    /// It sees sessions and statistics of all users (`pg_monitor`).
    pub monitors: bool,
    /// It may cancel and end sessions of others (`pg_signal_backend`).
    pub signals: bool,
    /// The server's clock at the moment of the answer.
    pub clock: Timestamp,
}

impl Postgres {
    /// Asks what the bot may do; nothing is changed.
    pub async fn rights(&self) -> Result<Rights, ProbeError> {
        self.ask(|server| Box::pin(rights(server))).await
    }
}

async fn rights(server: &mut PgConnection) -> Result<Rights, Error> {
    let query = "SELECT current_setting('server_version') AS version, current_user::text AS user,
         pg_has_role(current_user, 'pg_monitor', 'USAGE') AS monitors,
         pg_has_role(current_user, 'pg_signal_backend', 'USAGE') AS signals,
         clock_timestamp() AS clock";
    row(server, query).await
}
