//! What an error of a server means, and what to do about it.

use sqlx_core::error::Error;
use sqlx_postgres::{PgConnectOptions, PgDatabaseError};

use super::rows::clean;
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Whose errors they are: what their texts name.
pub(super) struct ErrorContext {
    /// `PostgreSQL at host:port`.
    pub(super) label: String,
    pub(super) user: String,
    database: String,
}

impl ErrorContext {
    /// Of the server that these options lead to.
    pub(super) fn of(options: &PgConnectOptions) -> Self {
        let (host, user) = (options.get_host(), options.get_username());
        Self {
            label: if host.starts_with('/') {
                format!("PostgreSQL at {host}")
            } else {
                format!("PostgreSQL at {host}:{}", options.get_port())
            },
            user: user.to_owned(),
            database: options.get_database().unwrap_or(user).to_owned(),
        }
    }

    /// What an error of the driver means, and what to do about it.
    pub(super) fn error(&self, error: &Error) -> ProbeError {
        let label = &self.label;
        let text = error.to_string();
        tracing::debug!(user = self.user, %text, "PostgreSQL");
        let (kind, what, hint) = match error {
            Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => (
                Kind::Timeout,
                format!("{label} did not answer in time"),
                "a firewall may swallow the packets",
            ),
            Error::Io(io) => (
                Kind::Connect,
                format!("{label} refuses the connection ({io})"),
                "is it running, and is this the right host and port? Look at its status and logs",
            ),
            Error::Tls(cause) => (
                Kind::Tls,
                format!(
                    "{label}: no encrypted connection ({})",
                    clean(&cause.to_string(), 200)
                ),
                "set sslmode in the URL (prefer, require, verify-full), or fix its certificate",
            ),
            Error::Database(cause) => {
                let cause_there = cause.try_downcast_ref::<PgDatabaseError>();
                let message = cause_there.map_or(text.as_str(), PgDatabaseError::message);
                // The reason often stands there alone.
                let detail = cause_there.and_then(PgDatabaseError::detail);
                let message = match detail {
                    Some(detail) => format!("{}: {}", clean(message, 300), clean(detail, 300)),
                    None => clean(message, 300),
                };
                return self.refused(&cause.code().unwrap_or_default(), &message);
            }
            _ => (
                Kind::Failed,
                format!("{label}: {}", clean(&text, 300)),
                "see the bot's log",
            ),
        };
        ProbeError::new(kind, what, hint)
    }

    /// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn refused(&self, code: &str, message: &str) -> ProbeError {
        let Self { label, user, .. } = self;
        let (grant, reserve);
        let (kind, what, hint) = match code {
            "28P01" | "28000" => (
                Kind::Authenticate,
                format!("{label} does not let the user \"{user}\" in: {message}"),
                "check the password in the bot's environment or password_file, and pg_hba.conf",
            ),
            "3D000" => (
                Kind::NotFound,
                format!("{label}: {message}"),
                "correct the database's name in the URL",
            ),
            "57P03" if message.contains("Hot standby mode is disabled") => (
                Kind::Unsupported,
                format!("{label} is a standby that answers nobody: {message}"),
                "set hot_standby = on there, or ask its primary",
            ),
            "57P01" | "57P02" | "57P03" => (
                Kind::Starting,
                format!("{label} is starting, stopping or recovering: {message}"),
                "wait a little; if it stays, look at its logs",
            ),
            "53300" if message.contains("connections for role") => {
                reserve = format!("ALTER ROLE {user} CONNECTION LIMIT -1, or a higher one");
                let what =
                    format!("{label} lets no more sessions of the bot's own user in: {message}");
                (Kind::Denied, what, reserve.as_str())
            }
            "53300" if message.contains("connections for database") => {
                let database = &self.database;
                reserve = format!(
                    "find who holds them, or ALTER DATABASE {database} CONNECTION LIMIT -1"
                );
                let what = format!("{label} lets nobody else into the database: {message}");
                (Kind::Full, what, reserve.as_str())
            }
            "53300" if message.contains("SUPERUSER") => (
                Kind::Full,
                format!("{label} has no free connection but for superusers: {message}"),
                "let a superuser look who holds them, and restart what leaks them",
            ),
            "53300" => {
                reserve = format!(
                    "find who holds them (`db connections` as soon as one is free), restart what \
                     leaks them; let the bot run on, so that it keeps a connection of its own, or \
                     GRANT pg_use_reserved_connections TO {user} (PostgreSQL 16 and later)"
                );
                let what = format!("{label} has no free connection: {message}");
                (Kind::Full, what, reserve.as_str())
            }
            "42501" => {
                grant = self.grant(message);
                (Kind::Denied, format!("{label}: {message}"), grant.as_str())
            }
            "57014" => (
                Kind::Timeout,
                format!("{label} took too long for this question: {message}"),
                "it is overloaded: look at its stats",
            ),
            "55P03" => (
                Kind::Timeout,
                format!("{label}: this question waits for a lock: {message}"),
                "see `db locks`",
            ),
            "08P01" if message.contains("options") => (
                Kind::Unsupported,
                format!("{label}: {message}"),
                "point the URL at the server itself, not at a connection pooler",
            ),
            _ => (
                Kind::Failed,
                format!("{label} answered: {message} ({code})"),
                "see its logs",
            ),
        };
        ProbeError::new(kind, what, hint)
    }

    /// Which right is missing; the server's code is the same for all.
    fn grant(&self, message: &str) -> String {
        let Self { user, database, .. } = self;
        if message.contains("for database") {
            format!("GRANT CONNECT ON DATABASE {database} TO {user}")
        } else if message.to_lowercase().contains("superuser") {
            // Since 16 in other words: only roles with the SUPERUSER attribute may.
            "only a superuser may; let one do it in psql".to_owned()
        } else {
            format!("GRANT pg_monitor, pg_signal_backend TO {user}")
        }
    }
}

/// The connection itself is of no use any more.
pub(super) fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Protocol(_) | Error::Tls(_) => true,
        // Ended by an operator, a crash or a shutdown.
        Error::Database(cause) => cause
            .code()
            .is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are those of PostgreSQL 16 to 18, with their DETAIL behind a colon.
    #[test]
    fn the_detail_decides_what_is_advised() {
        let options: PgConnectOptions = "postgres://bot@10.0.0.5:5432/treasury".parse().unwrap();
        let context = ErrorContext::of(&options);
        for (code, message, kind, advice) in [
            (
                "57P03",
                "the database system is not accepting connections: Hot standby mode is disabled.",
                Kind::Unsupported,
                "hot_standby = on",
            ),
            (
                "57P03",
                "the database system is starting up",
                Kind::Starting,
                "wait a little",
            ),
            (
                "42501",
                "permission denied to terminate process: Only roles with the SUPERUSER attribute \
                 may terminate processes of roles with the SUPERUSER attribute.",
                Kind::Denied,
                "only a superuser may",
            ),
            (
                "53300",
                "remaining connection slots are reserved for roles with the SUPERUSER attribute",
                Kind::Full,
                "let a superuser look",
            ),
            (
                "53300",
                "remaining connection slots are reserved for roles with privileges of the \
                 \"pg_use_reserved_connections\" role",
                Kind::Full,
                "GRANT pg_use_reserved_connections TO bot",
            ),
            (
                "53300",
                "too many connections for role \"bot\"",
                Kind::Denied,
                "ALTER ROLE bot CONNECTION LIMIT",
            ),
            (
                "53300",
                "too many connections for database \"treasury\"",
                Kind::Full,
                "ALTER DATABASE treasury CONNECTION LIMIT",
            ),
        ] {
            let error = context.refused(code, message);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.hint.contains(advice), "{error}");
        }
    }
}
