//! The state at a glance, replication, and what takes the room on the disk.

use serde_json::{Map, Value, json};
use sqlx_core::error::Error;
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;

use super::activity::{CLIENT, by_application, by_state, used_and_max};
use super::rows::{list, ms_since, row};
use crate::database::{DatabaseSummary, MAX_ROWS, Replication, Sizes};

/// A system table is worth a line from this size on, bytes: such as that of large objects. Those of an
/// empty database have 1 MiB each.
const LARGE: u64 = 8 << 20;

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
         used * 100.0 / greatest(max, 1) AS connections_percent, {rights_lack} AS rights_lack,
         (SELECT count(*) FROM pg_stat_activity WHERE {CLIENT}
         AND datname = current_database()) AS database_used,
         (SELECT datconnlimit FROM pg_database WHERE datname = current_database()
         AND datconnlimit >= 0) AS database_limit,
         {prepared} AS prepared, {HELD_BACK} AS held_back, {vacuums} AS vacuums,
         {by_state} AS by_state, {by_application} AS by_application,
         longest.ms AS longest_transaction_ms, longest.pid AS longest_transaction_pid,
         (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) AS blocked,
         (SELECT sum(blks_hit) * 100.0 / nullif(sum(blks_hit) + sum(blks_read), 0)
         FROM pg_stat_database) AS cache_hit_percent,
         pg_database_size(current_database()) AS size_bytes,
         frozen AS wraparound_age, frozen * 100.0 / {WRAPAROUND} AS wraparound_percent,
         multi * 100.0 / {WRAPAROUND} AS multixact_percent,
         tables.* FROM {used_and_max} AS places
         CROSS JOIN (SELECT max(age(datfrozenxid)) AS frozen,
         max(mxid_age(datminmxid)) AS multi FROM pg_database) AS oldest
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
        rights_lack = rights_lack(),
        prepared = list(&prepared()),
        vacuums = list(VACUUMS),
    );
    let mut facts: Map<String, Value> = row(server, &query).await?;
    let replication = replication(server).await?;
    let applying = || replication.replicas.iter().filter(|one| one.applies);
    let worst = applying().max_by_key(|one| one.lag_bytes);
    let bytes = worst.and_then(|one| one.lag_bytes);
    let ms = worst.and_then(|one| one.lag_ms);
    let receivers = replication.replicas.len() - applying().count();
    for (name, value) in [
        ("replicas", json!(applying().count())),
        ("receivers", json!(receivers)),
        (
            "replication_lag_bytes",
            json!(bytes.or(replication.replay_lag_bytes)),
        ),
        (
            "replication_lag_ms",
            json!(ms.or(replication.replay_lag_ms)),
        ),
        ("streams_from", json!(replication.streams_from)),
        ("replay_paused", json!(replication.replay_paused)),
        ("slots", json!(replication.slots)),
    ] {
        facts.insert(name.to_owned(), value);
    }
    serde_json::from_value(facts.into()).map_err(|error| Error::Decode(error.into()))
}

pub(super) async fn replication(server: &mut PgConnection) -> Result<Replication, Error> {
    // On an idle primary the age of the last transaction grows without any lag.
    let query = format!(
        "SELECT NOT pg_is_in_recovery() AS primary, streams_from, lag AS replay_lag_bytes,
         CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS replay_paused,
         CASE WHEN lag > 0 THEN {replay_ms} END AS replay_lag_ms,
         {replicas} AS replicas, {slots} AS slots FROM (SELECT
         streams_from, CASE WHEN streams_from IS NOT NULL THEN {lag} END AS lag FROM
         (SELECT (SELECT coalesce(sender_host, 'hidden') || coalesce(':' || sender_port, '')
         FROM pg_stat_wal_receiver WHERE status IS NULL OR status = 'streaming' LIMIT 1)
         AS streams_from) AS receiver) AS standby",
        replay_ms = ms_since("pg_last_xact_replay_timestamp()"),
        lag = behind("pg_last_wal_receive_lsn()", "pg_last_wal_replay_lsn()"),
        replicas = list(&format!(
            "SELECT coalesce(application_name, '') AS name,
             coalesce(host(client_addr), 'local socket') AS client,
             coalesce(state, 'hidden') AS state, coalesce(sync_state, '') AS sync,
             state IS NULL OR (state <> 'backup' AND replay_lsn IS NOT NULL) AS applies,
             {lag} AS lag_bytes,
             (extract(epoch FROM replay_lag) * 1000)::bigint AS lag_ms
             FROM pg_stat_replication ORDER BY {lag} DESC NULLS LAST LIMIT {MAX_ROWS}",
            lag = behind(POSITION, "replay_lsn"),
        )),
        slots = list(&format!(
            "SELECT name, active, synced, lost, CASE WHEN lost IS NULL THEN {kept} END AS kept_bytes
             FROM (SELECT slot_name::text AS name, active, restart_lsn,
             coalesce((s.one ->> 'synced')::boolean, false) AS synced,
             CASE WHEN s.one ->> 'wal_status' = 'lost' OR s.one ->> 'invalidation_reason' IS NOT NULL
             THEN coalesce(s.one ->> 'invalidation_reason', 'lost') END AS lost
             FROM (SELECT *, to_jsonb(slot) AS one FROM pg_replication_slots AS slot) AS s) AS slots
             ORDER BY lost IS NULL, 5 DESC NULLS LAST LIMIT {MAX_ROWS}",
            kept = behind(POSITION, "restart_lsn"),
        )),
    );
    row(server, &query).await
}

/// What would let the bot see the sessions of others; null when it may.
pub(super) fn rights_lack() -> &'static str {
    "CASE WHEN NOT pg_has_role('pg_read_all_stats', 'USAGE')
     THEN 'GRANT pg_monitor TO ' || quote_ident(current_user) END"
}

/// Prepared transactions, the oldest first.
pub(super) fn prepared() -> String {
    format!(
        "SELECT gid, owner::text AS owner, database::text AS database, {} AS age_ms
         FROM pg_prepared_xacts ORDER BY prepared LIMIT {MAX_ROWS}",
        ms_since("prepared")
    )
}

/// Those of this database by name.
pub(super) const VACUUMS: &str = "SELECT pid, CASE WHEN datname = current_database() THEN relid::regclass::text \
                       ELSE relid::text END AS table, coalesce(phase, 'hidden') AS phase, \
                       heap_blks_scanned * 100.0 / nullif(heap_blks_total, 0) AS scanned_percent \
                       FROM pg_stat_progress_vacuum WHERE relid IS NOT NULL ORDER BY pid LIMIT 20";

/// Whatever has to see the oldest rows: vacuum removes none that it might see. A session's snapshot is
/// as old as the oldest transaction that was open when it began, so that of others comes first.
const HELD_BACK: &str = "(SELECT to_jsonb(one) FROM (
     SELECT 'session ' || pid AS by, age(backend_xmin) AS transactions, 2 AS rank
     FROM pg_stat_activity
     WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type <> 'walsender'
     UNION ALL SELECT 'prepared transaction ' || gid, age(transaction), 1 FROM pg_prepared_xacts
     UNION ALL SELECT 'slot ' || slot_name, age(xmin), 1 FROM pg_replication_slots
     WHERE xmin IS NOT NULL
     UNION ALL SELECT 'slot ' || slot_name || ' (system tables)', age(catalog_xmin), 1
     FROM pg_replication_slots WHERE catalog_xmin IS NOT NULL
     UNION ALL SELECT 'standby ' || application_name, age(backend_xmin), 1 FROM pg_stat_replication
     WHERE backend_xmin IS NOT NULL ORDER BY 2 DESC, 3 LIMIT 1) AS one)";

/// Bytes from one position in the log to a later one; null when one of them is not known.
fn behind(newest: &str, position: &str) -> String {
    let bytes = format!("pg_wal_lsn_diff({newest}, {position})");
    format!("CASE WHEN {bytes} < 0 THEN 0 ELSE {bytes}::bigint END")
}

pub(super) async fn sizes(server: &mut PgConnection) -> Result<Sizes, Error> {
    let wal = files(server, "pg_ls_waldir()").await?;
    let temporary = files(server, "pg_ls_tmpdir()").await?;
    let query = format!(
        "SELECT {databases} AS databases, {tables} AS tables, {wal} AS wal_bytes,
         {temporary} AS temporary_bytes",
        // The size of a database that one may not connect to is refused.
        databases = list(&format!(
            "SELECT datname::text AS name, pg_database_size(oid) AS bytes FROM pg_database
             WHERE datallowconn AND (has_database_privilege(oid, 'CONNECT')
             OR pg_has_role('pg_read_all_stats', 'MEMBER')) ORDER BY 2 DESC LIMIT {MAX_ROWS}"
        )),
        tables = list(&tables()),
    );
    row(server, &query).await
}

/// Bytes of the files that a function lists, as SQL; null where only pg_monitor may call it: the rest
/// is told all the same.
async fn files(server: &mut PgConnection, list: &str) -> Result<String, Error> {
    let sum = AssertSqlSafe(format!("SELECT coalesce(sum(size), 0)::bigint FROM {list}"));
    match query_scalar(sum).fetch_one(&mut *server).await {
        Ok(bytes) => Ok(i64::to_string(&bytes)),
        Err(Error::Database(_)) => Ok("NULL::bigint".to_owned()),
        Err(error) => Err(error),
    }
}

/// The largest tables; one with partitions as the sum of them. Measuring a table that is locked
/// exclusively would wait for the lock: its bytes are those that the last vacuum or analyze found.
fn tables() -> String {
    format!(
        "WITH locked AS MATERIALIZED (SELECT coalesce(i.indrelid, l.relation) AS relid
         FROM pg_locks l LEFT JOIN pg_index i ON i.indexrelid = l.relation
         WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())),
         parts AS (SELECT coalesce(pg_partition_root(relid), relid) AS root, relid,
         CASE WHEN free THEN coalesce(pg_total_relation_size(relid), 0)
         ELSE coalesce({known}, 0) + coalesce({indexes}, 0) END AS bytes,
         CASE WHEN free THEN coalesce(pg_indexes_size(relid), 0)
         ELSE coalesce({indexes}, 0) END AS index_bytes,
         CASE WHEN pg_is_in_recovery() THEN (SELECT reltuples::bigint FROM pg_class
         WHERE oid = relid AND reltuples >= 0) ELSE n_live_tup END AS rows,
         n_live_tup, n_dead_tup, greatest(last_vacuum, last_autovacuum) AS last_vacuum_at
         FROM (SELECT *, relid NOT IN (SELECT relid FROM locked) AS free
         FROM pg_stat_all_tables WHERE relid >= 16384 AND schemaname !~ '^pg_toast'
         OR relid < 16384 AND pg_relation_size(relid) >= {LARGE}) AS t)
         SELECT n.nspname || '.' || c.relname AS name, sum(bytes)::bigint AS bytes,
         sum(index_bytes)::bigint AS index_bytes, sum(rows)::bigint AS rows,
         CASE WHEN NOT pg_is_in_recovery() THEN
         coalesce(sum(n_dead_tup) * 100.0 / nullif(sum(n_live_tup + n_dead_tup), 0), 0) END
         AS dead_percent, max(last_vacuum_at) AS last_vacuum_at,
         count(*) FILTER (WHERE p.relkind <> 'p' AND p.oid <> root) AS partitions
         FROM parts JOIN pg_class c ON c.oid = root JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_class p ON p.oid = parts.relid
         GROUP BY n.nspname, c.relname ORDER BY 2 DESC LIMIT {MAX_ROWS}",
        known = pages("oid IN (t.relid, (SELECT reltoastrelid FROM pg_class WHERE oid = t.relid))"),
        indexes = pages("oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = t.relid)"),
    )
}

/// Bytes of these relations by their recorded pages.
fn pages(which: &str) -> String {
    format!(
        "(SELECT sum(relpages::bigint * current_setting('block_size')::bigint)::bigint
         FROM pg_class WHERE {which})"
    )
}
