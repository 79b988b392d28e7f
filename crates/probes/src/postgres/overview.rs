//! The state at a glance, replication, and what takes the room on the disk.

use serde_json::{Map, Value, json};
use sqlx_core::error::Error;
use sqlx_core::query_scalar::query_scalar;
use sqlx_postgres::PgConnection;

use super::activity::{CLIENT, by_application, by_state, used_and_max};
use super::rows::{list, ms_since, row};
use crate::database::{DatabaseSummary, MAX_ROWS, Replication, Sizes};

/// Transactions until the server refuses writes: half of the 32-bit numbers, see
/// <https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND>.
const WRAPAROUND: u64 = 1 << 31;

/// The newest position in the log that this server has, primary or standby.
const POSITION: &str = "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                        ELSE pg_current_wal_lsn() END)";

pub(super) async fn summary(server: &mut PgConnection) -> Result<DatabaseSummary, Error> {
    let query = format!(
        "SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
         pg_postmaster_start_time() AS started_at, NOT pg_is_in_recovery() AS primary,
         used AS connections_used, max AS connections_max,
         used * 100.0 / greatest(max, 1) AS connections_percent,
         {by_state} AS by_state, {by_application} AS by_application,
         longest.ms AS longest_transaction_ms, longest.pid AS longest_transaction_pid,
         (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) AS blocked,
         (SELECT sum(blks_hit) * 100.0 / nullif(sum(blks_hit) + sum(blks_read), 0)
         FROM pg_stat_database) AS cache_hit_percent,
         pg_database_size(current_database()) AS size_bytes,
         frozen AS wraparound_age, frozen * 100.0 / {WRAPAROUND} AS wraparound_percent,
         tables.* FROM {used_and_max} AS places
         CROSS JOIN (SELECT max(age(datfrozenxid)) AS frozen FROM pg_database) AS oldest
         CROSS JOIN (SELECT max(greatest(last_vacuum, last_autovacuum)) AS last_vacuum_at,
         sum(n_dead_tup) * 100.0 / nullif(sum(n_live_tup) + sum(n_dead_tup), 0)
         AS dead_rows_percent FROM pg_stat_user_tables) AS tables
         LEFT JOIN (SELECT pid, {ms} AS ms FROM pg_stat_activity WHERE {CLIENT}
         AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
         ORDER BY xact_start LIMIT 1) AS longest ON true",
        by_state = by_state(),
        by_application = by_application(),
        used_and_max = used_and_max(),
        ms = ms_since("xact_start"),
    );
    let mut facts: Map<String, Value> = row(server, &query).await?;
    let replication = replication(server).await?;
    let worst = replication.replicas.iter().max_by_key(|one| one.lag_bytes);
    let bytes = worst.map(|one| one.lag_bytes);
    let ms = worst.and_then(|one| one.lag_ms);
    facts.extend([
        ("replicas".to_owned(), json!(replication.replicas.len())),
        (
            "replication_lag_bytes".to_owned(),
            json!(bytes.or(replication.replay_lag_bytes)),
        ),
        (
            "replication_lag_ms".to_owned(),
            json!(ms.or(replication.replay_lag_ms)),
        ),
    ]);
    serde_json::from_value(facts.into()).map_err(|error| Error::Decode(error.into()))
}

pub(super) async fn replication(server: &mut PgConnection) -> Result<Replication, Error> {
    // On an idle primary the age of the last transaction grows without any lag.
    let query = format!(
        "SELECT NOT pg_is_in_recovery() AS primary, streams_from, lag AS replay_lag_bytes,
         CASE WHEN lag > 0 THEN {replay_ms} END AS replay_lag_ms,
         {replicas} AS replicas, {slots} AS slots FROM (SELECT
         (SELECT coalesce(sender_host, 'hidden') || coalesce(':' || sender_port, '')
         FROM pg_stat_wal_receiver LIMIT 1) AS streams_from, CASE WHEN pg_is_in_recovery() THEN
         {lag} END AS lag) AS standby",
        replay_ms = ms_since("pg_last_xact_replay_timestamp()"),
        lag = behind("pg_last_wal_receive_lsn()", "pg_last_wal_replay_lsn()"),
        replicas = list(&format!(
            "SELECT coalesce(application_name, '') AS name,
             coalesce(host(client_addr), 'local socket') AS client,
             coalesce(state, 'hidden') AS state, coalesce(sync_state, '') AS sync,
             coalesce({lag}, 0) AS lag_bytes,
             (extract(epoch FROM replay_lag) * 1000)::bigint AS lag_ms
             FROM pg_stat_replication ORDER BY {lag} DESC NULLS LAST LIMIT {MAX_ROWS}",
            lag = behind(POSITION, "replay_lsn"),
        )),
        slots = list(&format!(
            "SELECT slot_name::text AS name, active, {kept} AS kept_bytes
             FROM pg_replication_slots ORDER BY 3 DESC NULLS LAST LIMIT {MAX_ROWS}",
            kept = behind(POSITION, "restart_lsn"),
        )),
    );
    row(server, &query).await
}

/// Bytes from one position in the log to a later one; null when one of them is not known.
fn behind(newest: &str, position: &str) -> String {
    let bytes = format!("pg_wal_lsn_diff({newest}, {position})");
    format!("CASE WHEN {bytes} < 0 THEN 0 ELSE {bytes}::bigint END")
}

pub(super) async fn sizes(server: &mut PgConnection) -> Result<Sizes, Error> {
    let wal = query_scalar("SELECT sum(size)::bigint FROM pg_ls_waldir()");
    let wal: Option<i64> = match wal.fetch_one(&mut *server).await {
        Ok(bytes) => bytes,
        // Only for pg_monitor: the rest is told all the same.
        Err(Error::Database(_)) => None,
        Err(error) => return Err(error),
    };
    // The size of a database that one may not connect to is refused, and measuring a table that is
    // locked exclusively would wait for the lock: its bytes are those that the last vacuum or
    // analyze found.
    let query = format!(
        "SELECT {databases} AS databases, {tables} AS tables, {wal} AS wal_bytes",
        databases = list(&format!(
            "SELECT datname::text AS name, pg_database_size(oid) AS bytes FROM pg_database
             WHERE datallowconn AND (has_database_privilege(oid, 'CONNECT')
             OR pg_has_role('pg_read_all_stats', 'MEMBER')) ORDER BY 2 DESC LIMIT {MAX_ROWS}"
        )),
        tables = list(&format!(
            "WITH locked AS MATERIALIZED (SELECT coalesce(i.indrelid, l.relation) AS relid
             FROM pg_locks l LEFT JOIN pg_index i ON i.indexrelid = l.relation
             WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
             SELECT schemaname || '.' || relname AS name,
             CASE WHEN free THEN coalesce(pg_total_relation_size(relid), 0)
             ELSE coalesce({known}, 0) + coalesce({indexes}, 0) END AS bytes,
             CASE WHEN free THEN coalesce(pg_indexes_size(relid), 0)
             ELSE coalesce({indexes}, 0) END AS index_bytes, n_live_tup AS rows,
             coalesce(n_dead_tup * 100.0 / nullif(n_live_tup + n_dead_tup, 0), 0) AS dead_percent,
             greatest(last_vacuum, last_autovacuum) AS last_vacuum_at
             FROM (SELECT *, relid NOT IN (SELECT relid FROM locked) AS free
             FROM pg_stat_user_tables) AS t ORDER BY 2 DESC LIMIT {MAX_ROWS}",
            known =
                pages("oid IN (t.relid, (SELECT reltoastrelid FROM pg_class WHERE oid = t.relid))"),
            indexes = pages("oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = t.relid)"),
        )),
        wal = wal.map_or("NULL::bigint".to_owned(), |bytes| bytes.to_string()),
    );
    row(server, &query).await
}

/// Bytes of these relations by their recorded pages.
fn pages(which: &str) -> String {
    format!(
        "(SELECT sum(relpages::bigint * current_setting('block_size')::bigint)::bigint
         FROM pg_class WHERE {which})"
    )
}
