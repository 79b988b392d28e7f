//! The inbox: requests, once each, and the processes that work on them.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, FromRow};

use super::writer::Changed;
use super::{DEAD_AFTER, Store, StoreError, Tx};
use treasury_domain::Request;

/// Whether a request was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Recorded now.
    New,
    /// The same key was recorded before.
    Duplicate,
}

/// A request taken up by a process.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its row.
    pub id: i64,
    /// What is asked.
    pub request: Request,
    /// When it was recorded.
    pub received_at: Timestamp,
    /// How often it was taken up, this time included.
    pub attempts: i64,
}

/// Rows of processes that are alive at the time bound to `$1` (the oldest good heartbeat).
pub(super) const ALIVE: &str = "SELECT id FROM instance WHERE heartbeat_at >= $1";

pub(super) fn oldest_good_heartbeat(now: Timestamp) -> i64 {
    now.as_microsecond() - DEAD_AFTER.as_micros() as i64
}

impl Tx {
    /// Records a request, unless its key is known; see [`Store::accept`].
    pub async fn inbox_put(
        &mut self,
        request: &Request,
        owner: Option<String>,
    ) -> Result<Accepted, StoreError> {
        let state = if owner.is_some() { "working" } else { "new" };
        // Run to its end: what follows a first row that is read is the commit, and may fail.
        let put = sqlx::query(
            "INSERT INTO inbox (key, received_at, request, state, owner) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO NOTHING",
        )
        .bind(request.key.clone())
        .bind(self.now.as_microsecond())
        .bind(serde_json::to_string(request)?)
        .bind(state)
        .bind(owner)
        .execute(self.connection())
        .await?;
        let is_new = put.rows_affected() > 0;
        self.changed.inbox |= is_new;
        Ok(if is_new {
            Accepted::New
        } else {
            Accepted::Duplicate
        })
    }
}

impl Store {
    /// Records a request durably, unless its key is known. With `owner` it is that process's own and
    /// no other takes it up while that one lives.
    pub async fn accept(
        &self,
        request: Request,
        owner: Option<String>,
    ) -> Result<Accepted, StoreError> {
        self.write_urgent(move |tx| Box::pin(async move { tx.inbox_put(&request, owner).await }))
            .await
    }

    /// Whether requests wait, or are left by dead processes.
    pub async fn inbox_waits(&self) -> Result<bool, StoreError> {
        let waiting = sqlx::query(AssertSqlSafe(format!(
            "SELECT id FROM inbox WHERE state <> 'done' AND (state = 'new' OR owner NOT IN ({ALIVE})) LIMIT 1"
        )));
        self.finds(waiting.bind(oldest_good_heartbeat(self.now())))
            .await
    }

    /// Takes up waiting requests, oldest first, and those of dead processes.
    pub async fn claim(&self, owner: &str, limit: i64) -> Result<Vec<Claimed>, StoreError> {
        let owner = owner.to_owned();
        self.write_single(move |tx| {
            Box::pin(async move {
                let skip = tx.dialect.skip_locked();
                let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
                    "UPDATE inbox SET state = 'working', owner = $2, attempts = attempts + 1 \
                         WHERE id IN (SELECT id FROM inbox WHERE state <> 'done' \
                         AND (state = 'new' OR owner NOT IN ({ALIVE})) ORDER BY id LIMIT $3{skip}) \
                         RETURNING id, request, received_at, attempts"
                )))
                .bind(oldest_good_heartbeat(tx.now))
                .bind(owner)
                .bind(limit)
                .fetch_all(tx.connection())
                .await?;
                let mut claimed = rows
                    .into_iter()
                    .map(|(id, request, received_at, attempts)| {
                        Ok(Claimed {
                            id,
                            request: serde_json::from_str(&request)?,
                            received_at: super::moment(received_at),
                            attempts,
                        })
                    })
                    .collect::<Result<Vec<_>, StoreError>>()?;
                claimed.sort_by_key(|claim| claim.id);
                Ok(claimed)
            })
        })
        .await
    }

    /// The request of this key as this process's own work.
    pub async fn claim_own(&self, key: &str) -> Result<Option<Claimed>, StoreError> {
        let row: Option<(i64, String, i64, i64)> = sqlx::query_as(
            "SELECT id, request, received_at, attempts FROM inbox WHERE key = $1 AND state <> 'done'",
        )
        .bind(key.to_owned())
        .fetch_optional(self.readers())
        .await?;
        row.map(|(id, request, received_at, attempts)| {
            Ok(Claimed {
                id,
                request: serde_json::from_str(&request)?,
                received_at: super::moment(received_at),
                attempts: attempts + 1,
            })
        })
        .transpose()
    }

    /// How many requests wait or are worked on.
    pub async fn inbox_depth(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT COUNT(*) FROM inbox WHERE state <> 'done'")
                .fetch_one(self.readers())
                .await?,
        )
    }

    /// Makes this process known. On SQLite, where only one process may serve, those that served
    /// before are known to be dead.
    pub async fn instance_start(&self, id: &str, serves: bool) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                if serves && tx.dialect == super::Dialect::Sqlite {
                    sqlx::query("DELETE FROM instance WHERE kind = 'serve'")
                        .execute(tx.connection())
                        .await?;
                    // What they had claimed is free at once.
                    for table in ["outbox", "timer"] {
                        sqlx::query(AssertSqlSafe(format!(
                            "UPDATE {table} SET lease_until = 0 WHERE lease_until > 0"
                        )))
                        .execute(tx.connection())
                        .await?;
                    }
                }
                sqlx::query("INSERT INTO instance (id, kind, heartbeat_at) VALUES ($1, $2, $3)")
                    .bind(id)
                    .bind(if serves { "serve" } else { "visit" })
                    .bind(tx.now.as_microsecond())
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Says that this process is alive.
    pub async fn instance_heartbeat(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query("UPDATE instance SET heartbeat_at = $1 WHERE id = $2")
                    .bind(tx.now.as_microsecond())
                    .bind(id)
                    .execute(tx.connection())
                    .await?;
                // Long dead: nothing of theirs can be unfinished any more.
                sqlx::query("DELETE FROM instance WHERE heartbeat_at < $1")
                    .bind(tx.now.as_microsecond() - 3_600_000_000)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// This process ends; its unfinished work may be taken over at once.
    pub async fn instance_stop(&self, id: &str) -> Result<(), StoreError> {
        let gone = sqlx::query("DELETE FROM instance WHERE id = $1").bind(id.to_owned());
        self.write_one(gone, Changed::NOTHING).await
    }

    /// Takes over the unfinished rows of dead processes. `unfinished`: what marks those of a table.
    pub(super) async fn take_over<R>(
        &self,
        owner: &str,
        table: &'static str,
        unfinished: &'static str,
        columns: &'static str,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> FromRow<'r, AnyRow> + Send + Unpin + 'static,
    {
        let orphans = format!("{unfinished} AND owner NOT IN ({ALIVE})");
        let orphan = format!("SELECT id FROM {table} WHERE {orphans} LIMIT 1");
        let orphan = sqlx::query(AssertSqlSafe(orphan)).bind(oldest_good_heartbeat(self.now()));
        if !self.finds(orphan).await? {
            return Ok(Vec::new());
        }
        let owner = owner.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                Ok(sqlx::query_as(AssertSqlSafe(format!(
                    "UPDATE {table} SET owner = $2 WHERE {orphans} RETURNING {columns}"
                )))
                .bind(oldest_good_heartbeat(tx.now))
                .bind(owner)
                .fetch_all(tx.connection())
                .await?)
            })
        })
        .await
    }
}

impl Tx {
    /// The request is answered.
    pub async fn inbox_done(&mut self, id: i64) -> Result<(), StoreError> {
        let now = self.now.as_microsecond();
        sqlx::query("UPDATE inbox SET state = 'done', done_at = $1 WHERE id = $2")
            .bind(now)
            .bind(id)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
