//! Connecting and keeping connections.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx_core::connection::{ConnectOptions, Connection};
use sqlx_core::error::Error;
use sqlx_postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{Mutex, Semaphore};

use super::fault::{ErrorContext, is_broken};
use super::rows::clean;
use crate::{ProbeError, ProbeErrorKind as Kind};

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
    options: PgConnectOptions,
    context: ErrorContext,
    timeout: Duration,
    kept: Mutex<Vec<PgConnection>>,
    slots: Semaphore,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.context.label)
    }
}

/// What a question comes to.
pub(super) type Answer<'c, T> = BoxFuture<'c, Result<T, Error>>;

impl Postgres {
    /// Checks the URL. Nothing is connected yet.
    pub fn new(config: &Config) -> Result<Self, ProbeError> {
        let url = config.url.expose_secret();
        let options: Option<PgConnectOptions> = url.parse().ok();
        // The driver takes any scheme; its own words about the rest may repeat the URL.
        let options = options
            .filter(|_| url.starts_with("postgres://") || url.starts_with("postgresql://"))
            .ok_or_else(|| {
                ProbeError::new(
                    Kind::Unsupported,
                    format!(
                        "the URL of the database `{}` is not understood",
                        config.name
                    ),
                    "write postgres://user@host:port/database",
                )
            })?;
        let ms = config.timeout.as_millis();
        let options = options
            .application_name(APPLICATION)
            .options([
                ("default_transaction_read_only", "on".to_owned()),
                // The server gives up before we do: then the connection can be kept.
                ("statement_timeout", (ms * 3 / 4).to_string()),
                ("lock_timeout", (ms / 2).to_string()),
                ("idle_in_transaction_session_timeout", (ms * 2).to_string()),
            ])
            .disable_statement_logging();
        Ok(Self {
            context: ErrorContext::of(&options),
            options,
            timeout: config.timeout,
            kept: Mutex::new(Vec::new()),
            slots: Semaphore::new(CONNECTIONS as usize),
        })
    }

    /// Its address, its host, and the name of the database.
    pub(super) fn names(&self) -> Vec<String> {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let database = self.options.get_database();
        let database = database.unwrap_or(self.options.get_username());
        vec![
            format!("{host}:{port}"),
            host.to_owned(),
            database.to_owned(),
        ]
    }

    /// Who the bot is to the server.
    pub(super) fn user(&self) -> &str {
        &self.context.user
    }

    /// Asks over a kept connection or a new one, within the time-out. A connection that did not
    /// answer is not used again.
    pub(super) async fn ask<T: Send>(
        &self,
        question: impl for<'c> Fn(&'c mut PgConnection) -> Answer<'c, T> + Send + Sync,
    ) -> Result<T, ProbeError> {
        let asked = async {
            let Ok(slot) = self.slots.acquire().await else {
                return Err(self.context.error(&Error::PoolClosed));
            };
            if let Some(mut server) = self.kept().await {
                match question(&mut server).await {
                    // It was cut at this moment: once more over a new one.
                    Err(error) if is_broken(&error) => {
                        tracing::debug!(server = self.context.label, %error, "a kept connection was cut");
                    }
                    result => return self.keep(server, result).await,
                }
            }
            let full = match self.connect().await {
                Ok(mut server) => {
                    let result = question(&mut server).await;
                    return self.keep(server, result).await;
                }
                Err(error) if error.kind == Kind::Full => error,
                Err(error) => return Err(error),
            };
            // Another question may hold the only connection that we have: after it, over that one.
            drop(slot);
            let Ok(_all) = self.slots.acquire_many(CONNECTIONS).await else {
                return Err(full);
            };
            let Some(mut server) = self.kept().await else {
                return Err(full);
            };
            let result = question(&mut server).await;
            self.keep(server, result).await
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(result) => result,
            Err(_) => Err(ProbeError::new(
                Kind::Timeout,
                format!(
                    "{} did not answer within {} s",
                    self.context.label,
                    self.timeout.as_secs_f32()
                ),
                "it hangs, is overloaded, or a firewall swallows the packets: look at its \
                 status, stats and logs",
            )),
        }
    }

    /// A kept connection that answers. One that a firewall or a failover has silently cut off would
    /// otherwise cost the whole time-out.
    async fn kept(&self) -> Option<PgConnection> {
        loop {
            let mut server = self.kept.lock().await.pop()?;
            match tokio::time::timeout(self.timeout / 4, server.ping()).await {
                Ok(Ok(())) => return Some(server),
                Ok(Err(error)) => {
                    tracing::debug!(server = self.context.label, %error, "a kept connection was cut");
                }
                Err(_) => tracing::debug!(server = self.context.label, "a kept connection hangs"),
            }
        }
    }

    async fn keep<T: Send>(
        &self,
        server: PgConnection,
        result: Result<T, Error>,
    ) -> Result<T, ProbeError> {
        match result {
            Err(error) if is_broken(&error) => Err(self.context.error(&error)),
            result => {
                self.kept.lock().await.push(server);
                result.map_err(|error| self.context.error(&error))
            }
        }
    }

    async fn connect(&self) -> Result<PgConnection, ProbeError> {
        let host = self.options.get_host();
        // Asked first on its own: the driver does not tell a missing name from a refusal.
        if !host.starts_with('/')
            && let Err(error) = tokio::net::lookup_host((host, self.options.get_port())).await
        {
            return Err(ProbeError::new(
                Kind::Resolve,
                format!("the host name `{}` has no address", clean(host, 100)),
                "correct the URL of this database, or fix DNS",
            )
            .because(error));
        }
        PgConnection::connect_with(&self.options)
            .await
            .map_err(|error| self.context.error(&error))
    }
}
