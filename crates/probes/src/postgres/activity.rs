//! Sessions: who is connected, what runs, ending one.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::{APPLICATION, Postgres, clean, count, mask, micros, moment};
use crate::database::{Connections, Count, End, MAX_ROWS, Session, SlowQueries, SlowQuery};
use crate::{ProbeError, ProbeErrorKind};

/// A session of a client. What the bot may not see of others is null, their kind too.
pub(super) const CLIENT: &str =
    "(backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL))";

/// How long a session may take to end after it was told to.
const ENDING: Duration = Duration::from_secs(1);

/// The columns that [`session_of`] reads.
pub(super) fn session_columns() -> String {
    format!(
        "pid, {started} AS started, coalesce(usename::text, '') AS usename, \
         coalesce(datname::text, '') AS datname, \
         coalesce(application_name, '') AS application, \
         coalesce(host(client_addr) || ':' || client_port, '') AS client, \
         coalesce(state, CASE WHEN backend_type IS NULL THEN 'hidden' ELSE '' END) AS state, \
         {changed} AS changed, \
         (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint AS xact_ms, \
         CASE WHEN state = 'active' AND wait_event_type <> 'Client' \
         THEN wait_event_type || ': ' || wait_event END AS waits, \
         coalesce(query, '') AS query, \
         coalesce(backend_type, 'client backend') AS kind, \
         (application_name = '{APPLICATION}' AND usename = current_user) IS TRUE AS own",
        started = micros("backend_start"),
        changed = micros("state_change"),
    )
}

pub(super) fn session_of(row: &PgRow) -> Result<Session, sqlx::Error> {
    let text = |name| row.try_get::<String, _>(name);
    Ok(Session {
        pid: row.try_get("pid")?,
        started_at: moment(row.try_get("started")?),
        user: clean(&text("usename")?, 64),
        database: clean(&text("datname")?, 64),
        application: clean(&text("application")?, 64),
        client: clean(&text("client")?, 64),
        state: clean(&text("state")?, 40),
        state_since: row
            .try_get::<Option<i64>, _>("changed")?
            .map(|at| moment(Some(at))),
        transaction_ms: row
            .try_get::<Option<i64>, _>("xact_ms")?
            .map(|ms| count(Some(ms))),
        waits_for: row
            .try_get::<Option<String>, _>("waits")?
            .map(|wait| clean(&wait, 64)),
        query: mask(&text("query")?),
        kind: clean(&text("kind")?, 40),
        own: row.try_get("own")?,
    })
}

/// Counts by an expression, most first.
pub(super) async fn counts(
    server: &mut PgConnection,
    by: &'static str,
) -> Result<Vec<Count>, sqlx::Error> {
    let query = format!(
        "SELECT {by} AS name, count(*) AS n FROM pg_stat_activity WHERE {CLIENT} \
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_ROWS}"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(server).await?;
    rows.iter()
        .map(|row| {
            Ok(Count {
                name: clean(&row.try_get::<String, _>("name")?, 64),
                count: count(row.try_get("n")?),
            })
        })
        .collect()
}

/// Connections in use, and how many ordinary users can have.
pub(super) async fn used_and_max(server: &mut PgConnection) -> Result<(u64, u64), sqlx::Error> {
    let query = format!(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE {CLIENT}) AS used, \
         current_setting('max_connections')::bigint \
         - current_setting('superuser_reserved_connections')::bigint \
         - coalesce(current_setting('reserved_connections', true), '0')::bigint AS max"
    );
    let row = sqlx::query(AssertSqlSafe(query)).fetch_one(server).await?;
    Ok((count(row.try_get("used")?), count(row.try_get("max")?)))
}

pub(super) const BY_STATE: &str =
    "coalesce(state, CASE WHEN backend_type IS NULL THEN 'hidden' ELSE 'other' END)";
pub(super) const BY_APPLICATION: &str = "coalesce(nullif(application_name, ''), usename::text, '')";

pub(super) async fn connections(server: &mut PgConnection) -> Result<Connections, sqlx::Error> {
    let (used, max) = used_and_max(server).await?;
    let query = format!(
        "SELECT {} FROM pg_stat_activity WHERE {CLIENT} \
         ORDER BY xact_start NULLS LAST, state_change NULLS LAST LIMIT {MAX_ROWS}",
        session_columns()
    );
    Ok(Connections {
        used,
        max,
        by_state: counts(server, BY_STATE).await?,
        by_application: counts(server, BY_APPLICATION).await?,
        by_client: counts(server, "coalesce(host(client_addr), 'local socket')").await?,
        by_user: counts(
            server,
            "coalesce(usename::text, '') || '@' || coalesce(datname::text, '')",
        )
        .await?,
        oldest: sessions(server, query).await?,
    })
}

async fn sessions(server: &mut PgConnection, query: String) -> Result<Vec<Session>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(server).await?;
    rows.iter().map(session_of).collect()
}

pub(super) async fn session(
    server: &mut PgConnection,
    pid: i32,
) -> Result<Option<Session>, sqlx::Error> {
    let query = format!(
        "SELECT {} FROM pg_stat_activity WHERE pid = $1",
        session_columns()
    );
    let row = sqlx::query(AssertSqlSafe(query))
        .bind(pid)
        .fetch_optional(server)
        .await?;
    row.as_ref().map(session_of).transpose()
}

pub(super) fn unknown(pid: i32) -> ProbeError {
    ProbeError::new(
        ProbeErrorKind::NotFound,
        format!("there is no session {pid}"),
        "it has ended, or the number is wrong: see `db connections`",
    )
}

/// By statistics where there are any, otherwise by what runs.
pub(super) async fn slow(
    server: &mut PgConnection,
    user: String,
) -> Result<SlowQueries, sqlx::Error> {
    let schema: Option<String> = sqlx::query_scalar(
        "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n \
         ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements'",
    )
    .fetch_optional(&mut *server)
    .await?;
    let missing = match schema {
        None => "CREATE EXTENSION pg_stat_statements for totals".to_owned(),
        Some(schema) => match statistics(server, &schema).await {
            Ok(queries) => {
                let hidden = queries
                    .iter()
                    .any(|one| one.query.contains("insufficient privilege"));
                return Ok(SlowQueries {
                    from_statistics: true,
                    hint: hidden.then(|| grant(&user)),
                    queries,
                });
            }
            // Not preloaded, or not for this user.
            Err(sqlx::Error::Database(error)) => clean(error.message(), 200),
            Err(error) => return Err(error),
        },
    };
    let query = format!(
        "SELECT {} FROM pg_stat_activity WHERE {CLIENT} AND pid <> pg_backend_pid() \
         AND (state = 'active' OR state IS NULL) ORDER BY query_start NULLS LAST LIMIT {MAX_ROWS}",
        session_columns().replace("state_change", "query_start")
    );
    let running = sessions(&mut *server, query).await?;
    let hidden = running.iter().any(|session| session.state == "hidden");
    // By the server's clock: ours may differ.
    let now = format!("SELECT {}", micros("clock_timestamp()"));
    let now = sqlx::query_scalar(AssertSqlSafe(now))
        .fetch_one(server)
        .await?;
    let now = moment(now);
    let times: Vec<(Session, f64)> = running
        .into_iter()
        .filter(|session| session.state == "active")
        .map(|session| {
            let since = session.state_since.unwrap_or(now);
            let ms = now.duration_since(since).as_millis_f64().max(0.0);
            (session, ms)
        })
        .collect();
    let total: f64 = times.iter().map(|(_, ms)| ms).sum();
    let queries = times.into_iter().map(|(session, ms)| SlowQuery {
        query: session.query,
        user: session.user,
        calls: 1,
        total_ms: ms,
        mean_ms: ms,
        share_percent: if total > 0.0 { ms * 100.0 / total } else { 0.0 },
        pid: Some(session.pid),
    });
    Ok(SlowQueries {
        from_statistics: false,
        hint: Some(if hidden {
            format!("What runs now; no statistics ({missing}). {}", grant(&user))
        } else {
            format!("What runs now; no statistics ({missing})")
        }),
        queries: queries.collect(),
    })
}

fn grant(user: &str) -> String {
    format!("Queries of other users are hidden: GRANT pg_monitor TO {user}")
}

async fn statistics(
    server: &mut PgConnection,
    schema: &str,
) -> Result<Vec<SlowQuery>, sqlx::Error> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut *server)
        .await?;
    // Renamed in version 13.
    let exec = if version >= 130_000 { "_exec" } else { "" };
    let query = format!(
        "SELECT s.query, coalesce(r.rolname::text, '') AS usename, s.calls::bigint AS calls, \
         s.total{exec}_time AS total, s.mean{exec}_time AS mean, \
         coalesce(100 * s.total{exec}_time / nullif(sum(s.total{exec}_time) OVER (), 0), 0) AS share \
         FROM {schema}.pg_stat_statements s LEFT JOIN pg_roles r ON r.oid = s.userid \
         ORDER BY s.total{exec}_time DESC LIMIT {MAX_ROWS}"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(server).await?;
    rows.iter()
        .map(|row| {
            Ok(SlowQuery {
                query: mask(
                    &row.try_get::<Option<String>, _>("query")?
                        .unwrap_or_default(),
                ),
                user: clean(&row.try_get::<String, _>("usename")?, 64),
                calls: count(row.try_get("calls")?),
                total_ms: row.try_get("total")?,
                mean_ms: row.try_get("mean")?,
                share_percent: row.try_get("share")?,
                pid: None,
            })
        })
        .collect()
}

/// What became of ending a session.
enum Ended {
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
}

/// See [`crate::Database::end`].
pub(super) async fn end(
    database: &Postgres,
    pid: i32,
    started_at: Timestamp,
    how: End,
) -> Result<bool, ProbeError> {
    // One question, so that one time-out bounds all of it.
    let ended = database
        .ask(move |server| Box::pin(try_end(server, pid, started_at, how)))
        .await?;
    let (kind, what, hint) = match ended {
        Ended::Yes => return Ok(true),
        Ended::No => return Ok(false),
        Ended::Hidden => (
            ProbeErrorKind::Denied,
            format!("the bot may not see session {pid}"),
            format!("GRANT pg_monitor, pg_signal_backend TO {}", database.user),
        ),
        Ended::Refused(session) => (
            ProbeErrorKind::Unsupported,
            if session.own {
                format!("session {pid} is the bot's own")
            } else {
                format!("session {pid} is not a client's but a {}", session.kind)
            },
            "only clients' sessions are ended, never the bot's own, replication or the server's"
                .to_owned(),
        ),
        Ended::Lingers => (
            ProbeErrorKind::Failed,
            format!("session {pid} was told to end but is still there"),
            "it ends as soon as it can be interrupted: look again with `db connections`".to_owned(),
        ),
    };
    Err(ProbeError::new(kind, what, hint))
}

async fn try_end(
    server: &mut PgConnection,
    pid: i32,
    started_at: Timestamp,
    how: End,
) -> Result<Ended, sqlx::Error> {
    let Some(found) = session(server, pid).await? else {
        return Ok(Ended::No);
    };
    if found.state == "hidden" {
        return Ok(Ended::Hidden);
    }
    if found.started_at != started_at {
        return Ok(Ended::No);
    }
    if found.own || found.kind != "client backend" {
        return Ok(Ended::Refused(Box::new(found)));
    }
    let (function, only) = match how {
        End::Cancel => ("pg_cancel_backend", "AND state = 'active'"),
        End::Terminate => ("pg_terminate_backend", ""),
    };
    // The guard stands in the same statement as the act.
    let query = format!(
        "SELECT {function}(pid) FROM pg_stat_activity WHERE pid = $1 AND {} = $2 \
         AND backend_type = 'client backend' {only} \
         AND NOT (application_name = '{APPLICATION}' AND usename = current_user)",
        micros("backend_start")
    );
    let told: Option<bool> = sqlx::query_scalar(AssertSqlSafe(query))
        .bind(pid)
        .bind(started_at.as_microsecond())
        .fetch_optional(&mut *server)
        .await?;
    if told != Some(true) {
        return Ok(Ended::No);
    }
    if how == End::Cancel {
        return Ok(Ended::Yes);
    }
    let began = Instant::now();
    while began.elapsed() < ENDING {
        let still = session(server, pid).await?;
        if still.is_none_or(|still| still.started_at != started_at) {
            return Ok(Ended::Yes);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Ended::Lingers)
}
