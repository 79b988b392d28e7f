//! What takes the room on the disk.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::{clean, count, micros, moment};
use crate::database::{MAX_ROWS, Named, Sizes, TableSize};

pub(super) async fn sizes(server: &mut PgConnection) -> Result<Sizes, sqlx::Error> {
    // The size of a database that one may not connect to is refused.
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT datname::text AS name, pg_database_size(oid)::bigint AS bytes FROM pg_database \
         WHERE datallowconn AND (has_database_privilege(oid, 'CONNECT') \
         OR pg_has_role('pg_read_all_stats', 'MEMBER')) ORDER BY 2 DESC LIMIT {MAX_ROWS}"
    )))
    .fetch_all(&mut *server)
    .await?;
    let databases = rows
        .iter()
        .map(|row| {
            Ok(Named {
                name: clean(&row.try_get::<String, _>("name")?, 64),
                bytes: count(row.try_get("bytes")?),
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    // Measuring a table that is locked exclusively would wait for the lock.
    let query = format!(
        "WITH locked AS MATERIALIZED (SELECT coalesce(i.indrelid, l.relation) AS relid \
         FROM pg_locks l LEFT JOIN pg_index i ON i.indexrelid = l.relation \
         WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) \
         SELECT schemaname || '.' || relname AS name, \
         CASE WHEN free THEN pg_total_relation_size(relid)::bigint \
         ELSE {known} + coalesce({indexes}, 0) END AS bytes, \
         CASE WHEN free THEN pg_indexes_size(relid)::bigint ELSE {indexes} END AS indexes, \
         n_live_tup::bigint AS rows, \
         coalesce(n_dead_tup * 100.0 / nullif(n_live_tup + n_dead_tup, 0), 0)::float8 AS dead, \
         {vacuumed} AS vacuumed FROM (SELECT *, relid NOT IN (SELECT relid FROM locked) AS free \
         FROM pg_stat_user_tables) AS t ORDER BY 2 DESC NULLS LAST LIMIT {MAX_ROWS}",
        // As the last vacuum or analyze found them.
        known = pages("oid IN (t.relid, (SELECT reltoastrelid FROM pg_class WHERE oid = t.relid))"),
        indexes = pages("oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = t.relid)"),
        vacuumed = micros("greatest(last_vacuum, last_autovacuum)")
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .fetch_all(&mut *server)
        .await?;
    let tables = rows
        .iter()
        .map(|row| {
            Ok(TableSize {
                name: clean(&row.try_get::<String, _>("name")?, 128),
                bytes: count(row.try_get("bytes")?),
                index_bytes: count(row.try_get("indexes")?),
                rows: count(row.try_get("rows")?),
                dead_percent: row.try_get("dead")?,
                last_vacuum_at: row
                    .try_get::<Option<i64>, _>("vacuumed")?
                    .map(|at| moment(Some(at))),
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    let wal = sqlx::query_scalar::<_, Option<i64>>("SELECT sum(size)::bigint FROM pg_ls_waldir()")
        .fetch_one(server)
        .await;
    let wal_bytes = match wal {
        Ok(bytes) => bytes.map(|bytes| count(Some(bytes))),
        // Only for pg_monitor: the rest is told all the same.
        Err(sqlx::Error::Database(_)) => None,
        Err(error) => return Err(error),
    };
    Ok(Sizes {
        databases,
        tables,
        wal_bytes,
    })
}

/// Bytes of these relations by their recorded pages.
fn pages(which: &str) -> String {
    format!(
        "(SELECT sum(relpages::bigint * current_setting('block_size')::bigint)::bigint \
         FROM pg_class WHERE {which})"
    )
}
