//! Connecting, keeping connections, and telling why one can't be had.

use std::str::FromStr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, Semaphore};

use super::{APPLICATION, CONNECTIONS, Postgres, clean};
use crate::{ProbeError, ProbeErrorKind as Kind};

pub(super) fn prepare(name: &str, url: &str, timeout: Duration) -> Result<Postgres, ProbeError> {
    let options = PgConnectOptions::from_str(url).ok();
    // sqlx takes any scheme; its own words about the rest may repeat the URL.
    let options = options
        .filter(|_| url.starts_with("postgres://") || url.starts_with("postgresql://"))
        .ok_or_else(|| {
            ProbeError::new(
                Kind::Unsupported,
                format!("the URL of the database `{name}` is not understood"),
                "write postgres://user@host:port/database",
            )
        })?;
    let ms = timeout.as_millis();
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
    let host = options.get_host();
    let label = if host.starts_with('/') {
        format!("PostgreSQL at {host}")
    } else {
        format!("PostgreSQL at {host}:{}", options.get_port())
    };
    Ok(Postgres {
        label,
        user: options.get_username().to_owned(),
        options,
        timeout,
        kept: Mutex::new(Vec::new()),
        slots: Semaphore::new(CONNECTIONS as usize),
    })
}

/// What a question comes to.
pub(super) type Answer<'c, T> = BoxFuture<'c, Result<T, sqlx::Error>>;

impl Postgres {
    /// Asks over a kept connection or a new one, within the time-out. A connection that did not
    /// answer is not used again.
    pub(super) async fn ask<T: Send>(
        &self,
        question: impl for<'c> Fn(&'c mut PgConnection) -> Answer<'c, T> + Send + Sync,
    ) -> Result<T, ProbeError> {
        let asked = async {
            let Ok(slot) = self.slots.acquire().await else {
                return Err(self.error(&sqlx::Error::PoolClosed));
            };
            if let Some(mut server) = self.kept().await {
                match question(&mut server).await {
                    // It was cut at this moment: once more over a new one.
                    Err(error) if is_broken(&error) => {
                        tracing::debug!(server = self.label, %error, "a kept connection was cut");
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
                    self.label,
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
                    tracing::debug!(server = self.label, %error, "a kept connection was cut");
                }
                Err(_) => tracing::debug!(server = self.label, "a kept connection hangs"),
            }
        }
    }

    async fn keep<T: Send>(
        &self,
        server: PgConnection,
        result: Result<T, sqlx::Error>,
    ) -> Result<T, ProbeError> {
        match result {
            Err(error) if is_broken(&error) => Err(self.error(&error)),
            result => {
                self.kept.lock().await.push(server);
                result.map_err(|error| self.error(&error))
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
                "correct the URL of this database, or mend DNS",
            )
            .because(error));
        }
        PgConnection::connect_with(&self.options)
            .await
            .map_err(|error| self.error(&error))
    }

    /// What an error of the driver means, and what to do about it.
    pub(super) fn error(&self, error: &sqlx::Error) -> ProbeError {
        let (label, user) = (&self.label, &self.user);
        let told = error.to_string();
        let (kind, what, hint) = match error {
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => (
                Kind::Timeout,
                format!("{label} did not answer in time"),
                "a firewall may swallow the packets".to_owned(),
            ),
            sqlx::Error::Io(io) => (
                Kind::Connect,
                format!("{label} refuses the connection ({io})"),
                "is it running, and is this the right host and port? Look at its status and logs"
                    .to_owned(),
            ),
            sqlx::Error::Tls(cause) => (
                Kind::Tls,
                format!(
                    "{label}: no encrypted connection ({})",
                    clean(&cause.to_string(), 200)
                ),
                "set sslmode in the URL (prefer, require, verify-full), or mend its certificate"
                    .to_owned(),
            ),
            sqlx::Error::Database(cause) => {
                let code = cause.code().unwrap_or_default();
                let message = cause
                    .try_downcast_ref::<PgDatabaseError>()
                    .map_or(told.as_str(), PgDatabaseError::message);
                self.refused(&code, &clean(message, 300))
            }
            _ => (
                Kind::Failed,
                format!("{label}: {}", clean(&told, 300)),
                "see the bot's log".to_owned(),
            ),
        };
        tracing::debug!(user, %told, "PostgreSQL");
        ProbeError::new(kind, what, hint)
    }

    /// Which right is missing; the server's code is the same for all.
    fn grant(&self, message: &str) -> String {
        let user = &self.user;
        if message.contains("for database") {
            let database = self.options.get_database().unwrap_or(user);
            format!("GRANT CONNECT ON DATABASE {database} TO {user}")
        } else if message.to_lowercase().contains("superuser") {
            // Since 16 in other words: only roles with the SUPERUSER attribute may.
            "only a superuser may; let one do it in psql".to_owned()
        } else {
            format!("GRANT pg_monitor, pg_signal_backend TO {user}")
        }
    }

    /// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn refused(&self, code: &str, message: &str) -> (Kind, String, String) {
        let (label, user) = (&self.label, &self.user);
        match code {
            "28P01" | "28000" => (
                Kind::Authenticate,
                format!("{label} does not let the user \"{user}\" in: {message}"),
                "check the password in the bot's environment or password_file, and pg_hba.conf"
                    .to_owned(),
            ),
            "3D000" => (
                Kind::NotFound,
                format!("{label}: {message}"),
                "correct the database's name in the URL".to_owned(),
            ),
            "57P01" | "57P02" | "57P03" => (
                Kind::Starting,
                format!("{label} is starting, stopping or recovering: {message}"),
                "wait a little; if it stays, look at its logs".to_owned(),
            ),
            "53300" => (
                Kind::Full,
                format!("{label} has no free connection: {message}"),
                format!(
                    "find who holds them (`db connections` as soon as one is free), restart what \
                     leaks them; let the bot run on, so that it keeps a connection of its own, or \
                     GRANT pg_use_reserved_connections TO {user} (PostgreSQL 16 and later)"
                ),
            ),
            "42501" => (
                Kind::Denied,
                format!("{label}: {message}"),
                self.grant(message),
            ),
            "57014" => (
                Kind::Timeout,
                format!("{label} took too long for this question: {message}"),
                "it is overloaded: look at its stats".to_owned(),
            ),
            "55P03" => (
                Kind::Timeout,
                format!("{label}: this question waits for a lock: {message}"),
                "see `db locks`".to_owned(),
            ),
            "08P01" if message.contains("options") => (
                Kind::Unsupported,
                format!("{label}: {message}"),
                "point the URL at the server itself, not at a connection pooler".to_owned(),
            ),
            _ => (
                Kind::Failed,
                format!("{label} answered: {message} ({code})"),
                "see its logs".to_owned(),
            ),
        }
    }
}

/// The connection itself is of no use any more.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => true,
        // Ended by an operator, a crash or a shutdown.
        sqlx::Error::Database(cause) => cause
            .code()
            .is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")),
        _ => false,
    }
}
