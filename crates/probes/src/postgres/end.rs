//! Ending a session, or its query.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx_core::error::Error;
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;

use super::activity::session;
use super::connect::APPLICATION;
use crate::database::{End, Session};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// How long a session may take to end after it was told to.
const ENDING: Duration = Duration::from_secs(1);

/// What became of ending a session.
pub(super) enum Ended {
    /// Done.
    Yes,
    /// That session is not there, or runs nothing that could be cancelled.
    No,
    /// The bot does not see whose it is.
    Hidden,
    /// It is not for the bot to end.
    Refused(Box<Session>),
    /// It was told to, and is still there.
    Lingers,
    /// Its query was cancelled, and runs on.
    RunsOn(Box<Session>),
}

/// The answer of [`crate::Database::end`].
pub(super) fn outcome(ended: Ended, pid: i32, user: &str) -> Result<bool, ProbeError> {
    Err(match ended {
        Ended::Yes => return Ok(true),
        Ended::No => return Ok(false),
        Ended::Hidden => ProbeError::new(
            Kind::Denied,
            format!("the bot may not see session {pid}"),
            format!("GRANT pg_monitor, pg_signal_backend TO {user}"),
        ),
        Ended::Refused(session) => ProbeError::new(
            Kind::Unsupported,
            if session.own {
                format!("session {pid} is the bot's own")
            } else {
                format!("session {pid} is not a client's but a {}", session.kind)
            },
            "only clients' sessions are ended, never the bot's own, replication or the server's",
        ),
        Ended::RunsOn(session) => {
            let waits = session
                .waits_for
                .map(|what| format!(" (it waits for {what})"));
            ProbeError::new(
                Kind::Failed,
                format!(
                    "the query of session {pid} was told to end but runs on{}",
                    waits.unwrap_or_default()
                ),
                format!(
                    "it ends as soon as it can be interrupted: look again with `db connections`, \
                     or `db terminate {pid}`"
                ),
            )
        }
        Ended::Lingers => ProbeError::new(
            Kind::Failed,
            format!("session {pid} was told to end but is still there"),
            "it ends as soon as it can be interrupted: look again with `db connections`",
        ),
    })
}

pub(super) async fn end(
    server: &mut PgConnection,
    pid: i32,
    started_at: Timestamp,
    how: End,
) -> Result<Ended, Error> {
    let before = match session(server, pid).await? {
        None => return Ok(Ended::No),
        Some(found) if found.state == "hidden" => return Ok(Ended::Hidden),
        Some(found) if found.started_at != started_at => return Ok(Ended::No),
        Some(found) if found.own || found.kind != "client backend" => {
            return Ok(Ended::Refused(Box::new(found)));
        }
        Some(found) => found,
    };
    let (function, only) = match how {
        End::Cancel => ("pg_cancel_backend", "AND state = 'active'"),
        End::Terminate => ("pg_terminate_backend", ""),
    };
    // The guard stands in the same statement as the act.
    let query = format!(
        "SELECT {function}(pid) FROM pg_stat_activity WHERE pid = {pid} \
         AND backend_start = '{started_at}' AND backend_type = 'client backend' {only} \
         AND NOT (application_name = '{APPLICATION}' AND usename = current_user)"
    );
    let done: Option<bool> = query_scalar(AssertSqlSafe(query))
        .fetch_optional(&mut *server)
        .await?;
    if done != Some(true) {
        return Ok(Ended::No);
    }
    // The server answers that a signal was sent, not what became of it.
    let began = Instant::now();
    loop {
        let still = session(server, pid).await?;
        let Some(still) = still.filter(|still| still.started_at == started_at) else {
            return Ok(Ended::Yes);
        };
        let runs_on = still.state == "active" && still.state_since == before.state_since;
        match how {
            End::Cancel if !runs_on => return Ok(Ended::Yes),
            End::Cancel if began.elapsed() >= ENDING => {
                return Ok(Ended::RunsOn(Box::new(still)));
            }
            End::Terminate if began.elapsed() >= ENDING => return Ok(Ended::Lingers),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
