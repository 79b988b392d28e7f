//! The state at a glance, and replication.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::activity::{BY_APPLICATION, BY_STATE, CLIENT, counts, used_and_max};
use super::{clean, count, micros, moment};
use crate::database::{DatabaseSummary, MAX_ROWS, ReplicaLag, Replication, Slot};

/// Transactions until the server refuses writes: half of the 32-bit numbers, see
/// <https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND>.
const WRAPAROUND: f64 = 2_147_483_648.0;

/// The newest position in the log that this server has, primary or standby.
const POSITION: &str = "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                        ELSE pg_current_wal_lsn() END)";

pub(super) async fn summary(server: &mut PgConnection) -> Result<DatabaseSummary, sqlx::Error> {
    let query = format!(
        "SELECT split_part(current_setting('server_version'), ' ', 1) AS version, \
         {started} AS started, NOT pg_is_in_recovery() AS writes, \
         pg_database_size(current_database())::bigint AS size, \
         (SELECT (sum(blks_hit) * 100.0 / nullif(sum(blks_hit) + sum(blks_read), 0))::float8 \
         FROM pg_stat_database) AS hits, \
         (SELECT max(age(datfrozenxid))::bigint FROM pg_database) AS frozen, \
         (SELECT {vacuum} FROM pg_stat_user_tables) AS vacuumed, \
         (SELECT (sum(n_dead_tup) * 100.0 / nullif(sum(n_live_tup) + sum(n_dead_tup), 0))::float8 \
         FROM pg_stat_user_tables) AS dead, \
         (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted) AS blocked",
        started = micros("pg_postmaster_start_time()"),
        vacuum = micros("max(greatest(last_vacuum, last_autovacuum))"),
    );
    let facts = sqlx::query(AssertSqlSafe(query))
        .fetch_one(&mut *server)
        .await?;
    let query = format!(
        "SELECT pid, (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint AS ms \
         FROM pg_stat_activity WHERE {CLIENT} AND xact_start IS NOT NULL \
         AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1"
    );
    let longest = sqlx::query(AssertSqlSafe(query))
        .fetch_optional(&mut *server)
        .await?;
    let (used, max) = used_and_max(server).await?;
    let by_state = counts(server, BY_STATE).await?;
    let by_application = counts(server, BY_APPLICATION).await?;
    let replication = replication(server).await?;
    let worst = replication.replicas.iter().max_by_key(|one| one.lag_bytes);
    let frozen = count(facts.try_get("frozen")?);
    Ok(DatabaseSummary {
        version: clean(&facts.try_get::<String, _>("version")?, 40),
        started_at: moment(facts.try_get("started")?),
        primary: facts.try_get("writes")?,
        connections_used: used,
        connections_max: max,
        connections_percent: used as f64 * 100.0 / (max.max(1)) as f64,
        by_state,
        by_application,
        longest_transaction_ms: longest
            .as_ref()
            .map(|row| row.try_get("ms").map(|ms| count(Some(ms))))
            .transpose()?,
        longest_transaction_pid: longest.map(|row| row.try_get("pid")).transpose()?,
        blocked: count(facts.try_get("blocked")?),
        cache_hit_percent: facts.try_get("hits")?,
        size_bytes: count(facts.try_get("size")?),
        replicas: replication.replicas.len() as u64,
        replication_lag_bytes: worst
            .map(|one| one.lag_bytes)
            .or(replication.replay_lag_bytes),
        replication_lag_ms: worst
            .and_then(|one| one.lag_ms)
            .or(replication.replay_lag_ms),
        wraparound_age: frozen,
        wraparound_percent: frozen as f64 * 100.0 / WRAPAROUND,
        last_vacuum_at: facts
            .try_get::<Option<i64>, _>("vacuumed")?
            .map(|at| moment(Some(at))),
        dead_rows_percent: facts.try_get("dead")?,
    })
}

pub(super) async fn replication(server: &mut PgConnection) -> Result<Replication, sqlx::Error> {
    let primary: bool = sqlx::query_scalar("SELECT NOT pg_is_in_recovery()")
        .fetch_one(&mut *server)
        .await?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT coalesce(application_name, '') AS name, \
         coalesce(host(client_addr), 'local socket') AS client, \
         coalesce(state, 'hidden') AS state, coalesce(sync_state, '') AS sync, \
         pg_wal_lsn_diff({POSITION}, replay_lsn)::bigint AS lag, \
         (extract(epoch FROM replay_lag) * 1000)::bigint AS lag_ms \
         FROM pg_stat_replication ORDER BY 5 DESC NULLS LAST LIMIT {MAX_ROWS}"
    )))
    .fetch_all(&mut *server)
    .await?;
    let replicas: Vec<ReplicaLag> = rows
        .iter()
        .map(|row| {
            let text = |name| row.try_get::<String, _>(name);
            Ok(ReplicaLag {
                name: clean(&text("name")?, 64),
                client: clean(&text("client")?, 64),
                state: text("state")?,
                sync: text("sync")?,
                lag_bytes: count(row.try_get("lag")?),
                lag_ms: row
                    .try_get::<Option<i64>, _>("lag_ms")?
                    .map(|ms| count(Some(ms))),
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT slot_name::text AS name, active, \
         pg_wal_lsn_diff({POSITION}, restart_lsn)::bigint AS kept \
         FROM pg_replication_slots ORDER BY 3 DESC NULLS LAST LIMIT {MAX_ROWS}"
    )))
    .fetch_all(&mut *server)
    .await?;
    let slots = rows
        .iter()
        .map(|row| {
            Ok(Slot {
                name: clean(&row.try_get::<String, _>("name")?, 64),
                active: row.try_get("active")?,
                kept_bytes: row
                    .try_get::<Option<i64>, _>("kept")?
                    .map(|bytes| count(Some(bytes))),
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    let mut told = Replication {
        primary,
        streams_from: None,
        replay_lag_bytes: None,
        replay_lag_ms: None,
        replicas,
        slots,
    };
    if !primary {
        let row = sqlx::query(
            "SELECT (SELECT coalesce(sender_host, 'hidden') || coalesce(':' || sender_port, '') \
             FROM pg_stat_wal_receiver LIMIT 1) AS sender, \
             pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS lag, \
             (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint \
             AS lag_ms",
        )
        .fetch_one(server)
        .await?;
        let lag: Option<i64> = row.try_get("lag")?;
        told.streams_from = row
            .try_get::<Option<String>, _>("sender")?
            .map(|sender| clean(&sender, 100));
        told.replay_lag_bytes = lag.map(|bytes| count(Some(bytes)));
        // On an idle primary the age of the last transaction grows without any lag.
        told.replay_lag_ms = row
            .try_get::<Option<i64>, _>("lag_ms")?
            .filter(|_| lag.is_some_and(|bytes| bytes > 0))
            .map(|ms| count(Some(ms)));
    }
    Ok(told)
}
