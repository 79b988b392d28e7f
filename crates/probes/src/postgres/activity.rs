//! Sessions: who is connected, and what takes time.

use sqlx_core::error::Error;
use sqlx_core::query_as::query_as;
use sqlx_core::query_scalar::query_scalar;
use sqlx_postgres::PgConnection;

use super::connect::APPLICATION;
use super::rows::{clean, list, ms_since, row, rows};
use crate::database::{Connections, MAX_ROWS, Session, SlowQueries, SlowQuery};

/// A session of a client. What the bot may not see of others is null, their kind too.
pub(super) const CLIENT: &str =
    "(backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL))";

/// The columns of a [`Session`].
pub(super) fn session_columns() -> String {
    format!(
        "pid, coalesce(backend_start, 'epoch') AS started_at,
         coalesce(usename::text, '') AS user, coalesce(datname::text, '') AS database,
         coalesce(application_name, '') AS application,
         coalesce(host(client_addr) || ':' || client_port, '') AS client,
         coalesce(state, CASE WHEN backend_type IS NULL THEN 'hidden' ELSE '' END) AS state,
         state_change AS state_since,
         {age} AS transaction_ms,
         CASE WHEN state = 'active'
         THEN wait_event_type || ': ' || wait_event END AS waits_for,
         coalesce(query, '') AS query, coalesce(backend_type, 'client backend') AS kind,
         (application_name = '{APPLICATION}' AND usename = current_user) IS TRUE AS own",
        age = ms_since("xact_start"),
    )
}

/// Clients counted by an expression, most first.
fn counts(by: &str) -> String {
    list(&format!(
        "SELECT {by} AS name, count(*) AS count FROM pg_stat_activity WHERE {CLIENT}
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_ROWS}"
    ))
}

/// Clients by state.
pub(super) fn by_state() -> String {
    counts("coalesce(state, CASE WHEN backend_type IS NULL THEN 'hidden' ELSE 'other' END)")
}

/// Clients by application.
pub(super) fn by_application() -> String {
    counts("coalesce(nullif(application_name, ''), usename::text, '')")
}

/// Connections in use, and how many ordinary users can have: `used` and `max`.
pub(super) fn used_and_max() -> String {
    format!(
        "(SELECT (SELECT count(*) FROM pg_stat_activity WHERE {CLIENT}) AS used,
         greatest(current_setting('max_connections')::bigint
         - current_setting('superuser_reserved_connections')::bigint
         - coalesce(current_setting('reserved_connections', true), '0')::bigint, 0) AS max)"
    )
}

pub(super) async fn connections(server: &mut PgConnection) -> Result<Connections, Error> {
    let query = format!(
        "SELECT used, max, {by_state} AS by_state, {by_application} AS by_application,
         {by_client} AS by_client, {by_user} AS by_user, {oldest} AS oldest
         FROM {used_and_max} AS places",
        by_state = by_state(),
        by_application = by_application(),
        by_client = counts("coalesce(host(client_addr), 'local socket')"),
        by_user = counts("coalesce(usename::text, '') || '@' || coalesce(datname::text, '')"),
        oldest = list(&format!(
            "SELECT {} FROM pg_stat_activity WHERE {CLIENT}
             ORDER BY xact_start NULLS LAST, state_change NULLS LAST LIMIT {MAX_ROWS}",
            session_columns()
        )),
        used_and_max = used_and_max(),
    );
    row(server, &query).await
}

/// The sessions of these numbers that are there.
pub(super) async fn sessions(
    server: &mut PgConnection,
    pids: &[i32],
) -> Result<Vec<Session>, Error> {
    let query = format!(
        "SELECT {} FROM pg_stat_activity WHERE pid = ANY('{{{}}}')",
        session_columns(),
        pids.iter()
            .map(i32::to_string)
            .collect::<Vec<_>>()
            .join(","),
    );
    rows(server, &query).await
}

pub(super) async fn session(server: &mut PgConnection, pid: i32) -> Result<Option<Session>, Error> {
    Ok(sessions(server, &[pid]).await?.pop())
}

/// By statistics where there are any, otherwise by what runs.
pub(super) async fn slow(server: &mut PgConnection, user: String) -> Result<SlowQueries, Error> {
    let grant = || format!("Queries of other users are hidden: GRANT pg_monitor TO {user}");
    let schema: Option<String> = query_scalar(
        "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n \
         ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements'",
    )
    .fetch_optional(&mut *server)
    .await?;
    let missing = match schema {
        None => "CREATE EXTENSION pg_stat_statements for totals".to_owned(),
        Some(schema) => match statistics(server, &schema).await {
            Ok((queries, twice)) => {
                let hidden = |one: &SlowQuery| one.query.contains("insufficient privilege");
                let grant = queries.iter().any(hidden).then(grant);
                let hints: Vec<String> = twice
                    .then(|| TWICE.to_owned())
                    .into_iter()
                    .chain(grant)
                    .collect();
                return Ok(SlowQueries {
                    from_statistics: true,
                    hint: (!hints.is_empty()).then(|| hints.join(". ")),
                    queries,
                });
            }
            // Not preloaded, or not for this user.
            Err(Error::Database(error)) => clean(error.message(), 200),
            Err(error) => return Err(error),
        },
    };
    let query = format!(
        "SELECT query, coalesce(usename::text, '') AS user, coalesce(datname::text, '') AS database,
         1 AS calls, pid,
         ms AS total_ms, ms AS mean_ms,
         coalesce(ms * 100.0 / nullif(sum(ms) OVER (), 0), 0) AS share_percent
         FROM (SELECT *, coalesce({ms}, 0) AS ms FROM pg_stat_activity WHERE {CLIENT} AND state = 'active'
         AND pid <> pg_backend_pid() ORDER BY query_start NULLS LAST LIMIT {MAX_ROWS}) AS running",
        ms = ms_since("query_start"),
    );
    let queries = rows(&mut *server, &query).await?;
    let hidden: bool = query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IS NULL \
         AND datid IS NOT NULL)",
    )
    .fetch_one(server)
    .await?;
    let mut hint = format!("What runs now; no statistics ({missing})");
    if hidden {
        hint = format!("{hint}. {}", grant());
    }
    Ok(SlowQueries {
        from_statistics: false,
        hint: Some(hint),
        queries,
    })
}

/// Before version 14 the server does not tell what ran within a function.
const TWICE: &str = "What runs within a function counts for itself and for the function, since this \
                     server tracks both and does not tell them apart (before PostgreSQL 14)";

/// The queries, and whether some of their time is counted twice.
async fn statistics(
    server: &mut PgConnection,
    schema: &str,
) -> Result<(Vec<SlowQuery>, bool), Error> {
    let (version, all): (i32, bool) = query_as(
        "SELECT current_setting('server_version_num')::int, \
         current_setting('pg_stat_statements.track', true) IS NOT DISTINCT FROM 'all'",
    )
    .fetch_one(&mut *server)
    .await?;
    // Renamed in version 13.
    let exec = if version >= 130_000 { "_exec" } else { "" };
    // With `track = all`, what runs within a function is part of the function's time, too.
    let once = if version >= 140_000 {
        "WHERE s.toplevel"
    } else {
        ""
    };
    let query = format!(
        "SELECT coalesce(s.query, '') AS query, coalesce(r.rolname::text, '') AS user,
         coalesce(d.datname::text, '') AS database, s.calls,
         s.total{exec}_time AS total_ms, s.mean{exec}_time AS mean_ms,
         coalesce(100 * s.total{exec}_time / nullif(sum(s.total{exec}_time) OVER (), 0), 0)
         AS share_percent
         FROM {schema}.pg_stat_statements s LEFT JOIN pg_roles r ON r.oid = s.userid
         LEFT JOIN pg_database d ON d.oid = s.dbid {once} ORDER BY s.total{exec}_time DESC LIMIT {MAX_ROWS}"
    );
    Ok((rows(server, &query).await?, all && once.is_empty()))
}
