//! What takes the room on the disk.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::{clean, count, micros, moment};
use crate::probe::database::{MAX_ROWS, Named, Sizes, TableSize};

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
    let query = format!(
        "SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid)::bigint AS bytes, \
         pg_indexes_size(relid)::bigint AS indexes, n_live_tup::bigint AS rows, \
         coalesce(n_dead_tup * 100.0 / nullif(n_live_tup + n_dead_tup, 0), 0)::float8 AS dead, \
         {} AS vacuumed FROM pg_stat_user_tables ORDER BY 2 DESC NULLS LAST LIMIT {MAX_ROWS}",
        micros("greatest(last_vacuum, last_autovacuum)")
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
