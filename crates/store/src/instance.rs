//! The processes on one database: which are alive, and what those that are not have left behind.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, FromRow};

use super::writer::Changed;
use super::{DEAD_AFTER, Dialect, Store, StoreError};

/// What is begun less than this before others may take this process for dead is not begun.
const SPARE: Duration = Duration::from_secs(2);

/// Long dead: nothing of theirs can be unfinished any more.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The last heartbeat of this process that the database has taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    began: Instant,
    /// No two have been so far apart since.
    unbroken_since: Timestamp,
}

impl Heartbeat {
    fn is_good(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.began) + SPARE < DEAD_AFTER
    }
}

/// Selects the processes that are alive.
pub(super) fn alive(dialect: Dialect) -> String {
    format!(
        "SELECT id FROM instance WHERE heartbeat_at >= {} - {}",
        dialect.clock(),
        DEAD_AFTER.as_micros()
    )
}

/// Whether a row may be claimed at `$1`, the time of the process `$2`: nobody has it, it was given back,
/// or its owner is dead. A living owner, however slow, is not robbed; only what it lost itself, such as
/// by a panic, it claims again after the lease.
pub(super) fn free(dialect: Dialect) -> String {
    format!(
        "((lease_until <= $1 AND (owner IS NULL OR owner = $2 OR lease_until = 0)) \
         OR (owner <> $2 AND owner NOT IN ({})))",
        alive(dialect)
    )
}

impl Store {
    /// Makes this process known, before it claims anything. On SQLite, where only one process may serve,
    /// those that served before are known to be dead.
    pub async fn instance_start(&self, id: &str, serves: bool) -> Result<(), StoreError> {
        let gone = if serves && self.dialect() == Dialect::Sqlite {
            "DELETE FROM instance WHERE kind = 'serve'".to_owned()
        } else {
            let (clock, age) = (self.dialect().clock(), FORGOTTEN_AFTER.as_micros());
            format!("DELETE FROM instance WHERE heartbeat_at < {clock} - {age}")
        };
        self.write_one(sqlx::query(AssertSqlSafe(gone)), Changed::NOTHING)
            .await?;
        self.instance_heartbeat(id, serves).await
    }

    /// Says that this process is alive.
    pub async fn instance_heartbeat(&self, id: &str, serves: bool) -> Result<(), StoreError> {
        let began = Instant::now();
        let beat = format!(
            "INSERT INTO instance (id, kind, heartbeat_at) VALUES ($1, $2, {}) \
             ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at",
            self.dialect().clock()
        );
        let beat = sqlx::query(AssertSqlSafe(beat))
            .bind(id.to_owned())
            .bind(if serves { "serve" } else { "visit" });
        match self.dialect() {
            Dialect::Sqlite => {
                self.write_urgent(|tx| {
                    Box::pin(async move {
                        beat.execute(tx.connection()).await?;
                        Ok(())
                    })
                })
                .await?;
            }
            // It waits for no write: a process under load is not a dead one.
            Dialect::Postgres => {
                let beaten = beat.execute(self.readers()).await;
                beaten.map_err(|error| self.failed(error.into()))?;
            }
        }
        let now = self.now();
        let mut heartbeat = self.heartbeat();
        let unbroken_since = match *heartbeat {
            None => Timestamp::MIN,
            Some(before) if before.is_good(began) => before.unbroken_since,
            Some(_) => now,
        };
        *heartbeat = Some(Heartbeat {
            began,
            unbroken_since,
        });
        Ok(())
    }

    /// Whether the database took a heartbeat of this process so lately.
    pub fn has_beaten_within(&self, time: Duration) -> bool {
        let last = *self.heartbeat();
        last.is_some_and(|last| last.began.elapsed() < time)
    }

    /// Whether what this process claimed at this moment is surely still its own, and will be for a while:
    /// no other can have taken it for dead since. To be asked right before what can't be taken back,
    /// because a process may be halted, or cut off from the database, at any time. A process that never
    /// said that it lives has nobody to fear.
    pub fn is_still_held(&self, claimed_at: Timestamp) -> bool {
        self.heartbeat()
            .is_none_or(|one| one.is_good(Instant::now()) && one.unbroken_since <= claimed_at)
    }

    /// This process ends; its unfinished work may be taken over at once.
    pub async fn instance_stop(&self, id: &str) -> Result<(), StoreError> {
        let gone = sqlx::query("DELETE FROM instance WHERE id = $1").bind(id.to_owned());
        self.write_one(gone, Changed::NOTHING).await?;
        Ok(())
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
        let alive = alive(self.dialect());
        let orphans = format!("{unfinished} AND owner <> $1 AND owner NOT IN ({alive})");
        let orphan = format!("SELECT id FROM {table} WHERE {orphans} LIMIT 1");
        let owner = owner.to_owned();
        let orphan = sqlx::query(AssertSqlSafe(orphan)).bind(owner.clone());
        if !self.finds(orphan).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            Box::pin(async move {
                Ok(sqlx::query_as(AssertSqlSafe(format!(
                    "UPDATE {table} SET owner = $1 WHERE {orphans} RETURNING {columns}"
                )))
                .bind(owner)
                .fetch_all(tx.connection())
                .await?)
            })
        })
        .await
    }
}
