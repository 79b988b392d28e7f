//! How a server is reached, by us and by its programs.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx_core::connection::{ConnectOptions, Connection};
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tokio::process::Command;
use url::Url;

use super::child::bare;
use super::programs::Programs;
use crate::Fault;

/// Where a server is, and how long its locks are waited for.
#[derive(Clone, Debug)]
pub struct Config {
    /// `postgres://user:password@host:port/database?sslmode=…`
    pub url: SecretString,
    /// The longest wait for a table's lock: whoever changes a table queues behind us meanwhile.
    pub lock_wait: Duration,
    pub programs: Programs,
}

/// A database on a server.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    environment: Vec<(&'static str, String)>,
    pub(super) lock_wait: Duration,
    pub(super) programs: Programs,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.label())
    }
}

impl Server {
    /// # Errors
    /// The URL is not understood; nothing of it is repeated.
    pub fn new(config: Config) -> Result<Self, Fault> {
        let not_understood =
            || Fault::Refused("write the URL as postgres://user@host:port/database".to_owned());
        let url = config.url.expose_secret();
        let options: PgConnectOptions = url.parse().map_err(|_| not_understood())?;
        let url = Url::parse(url).map_err(|_| not_understood())?;
        let options = options.disable_statement_logging();
        let mut environment = vec![("PGSSLMODE", ssl_mode(options.get_ssl_mode()).to_owned())];
        let asked = url.query_pairs();
        for (key, variable) in [
            ("sslrootcert", "PGSSLROOTCERT"),
            ("sslcert", "PGSSLCERT"),
            ("sslkey", "PGSSLKEY"),
        ] {
            if let Some((_, value)) = asked.clone().find(|(name, _)| name == key) {
                environment.push((variable, value.into_owned()));
            }
        }
        if let Some(password) = url.password() {
            environment.push(("PGPASSWORD", decoded(password)));
        }
        Ok(Self {
            options,
            environment,
            lock_wait: config.lock_wait,
            programs: config.programs,
        })
    }

    /// Another database of the same server.
    pub fn with_database(&self, name: &str) -> Self {
        Self {
            options: self.options.clone().database(name),
            ..self.clone()
        }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        let database = self.options.get_database();
        database.unwrap_or(self.options.get_username())
    }

    /// `host:port/database`.
    pub fn label(&self) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!("{host}:{port}/{}", self.database())
    }

    /// A session of our own.
    pub(super) async fn connect(&self, application: &str) -> Result<PgConnection, Fault> {
        let options = self.options.clone().application_name(application);
        let refused = |why: String| Fault::Refused(format!("{}: {why}", self.label()));
        let connected = PgConnection::connect_with(&options);
        match tokio::time::timeout(Duration::from_secs(20), connected).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused("no answer within 20 s".to_owned())),
        }
    }

    /// One value of text.
    pub(super) async fn one(session: &mut PgConnection, sql: &str) -> Result<String, Fault> {
        let asked = query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(session);
        asked.await.map_err(refused)
    }

    /// A program of a suite, which comes in as we do. The password is in its environment, which only its
    /// user can read, not among its arguments.
    pub(super) fn program(&self, folder: &Path, name: &str) -> Command {
        let mut program = bare(&folder.join(name));
        program
            .envs(self.environment.iter().cloned())
            .env("PGPORT", self.options.get_port().to_string())
            .env("PGUSER", self.options.get_username())
            .env("PGDATABASE", self.database());
        match self.options.get_socket() {
            Some(socket) => program.env("PGHOST", socket),
            None => program.env("PGHOST", self.options.get_host()),
        };
        program
    }
}

pub(super) fn refused(error: sqlx_core::Error) -> Fault {
    Fault::Refused(format!("PostgreSQL: {error}"))
}

fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}
