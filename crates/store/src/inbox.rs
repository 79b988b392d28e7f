//! The inbox: requests, once each, and the processes that work on them.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::instance::alive;
use super::{Dialect, Store, StoreError, Tx, readable};
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

/// What `$1` may take up: nobody has, or its owner is dead.
fn untaken(dialect: Dialect) -> String {
    let alive = alive(dialect);
    format!("state <> 'done' AND (state = 'new' OR (owner <> $1 AND owner NOT IN ({alive})))")
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
    pub async fn inbox_waits(&self, owner: &str) -> Result<bool, StoreError> {
        let waiting = format!(
            "SELECT id FROM inbox WHERE {} LIMIT 1",
            untaken(self.dialect())
        );
        let waiting = sqlx::query(AssertSqlSafe(waiting)).bind(owner.to_owned());
        self.finds(waiting).await
    }

    /// Takes up waiting requests, oldest first, and those of dead processes.
    pub async fn claim(&self, owner: &str, limit: i64) -> Result<Vec<Claimed>, StoreError> {
        let (free, owner) = (untaken(self.dialect()), owner.to_owned());
        self.write_single(move |tx| {
            Box::pin(async move {
                let skip = tx.dialect.skip_locked();
                let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
                    "UPDATE inbox SET state = 'working', owner = $1, attempts = attempts + 1 \
                     WHERE id IN (SELECT id FROM inbox WHERE {free} ORDER BY id LIMIT $2{skip}) \
                     RETURNING id, request, received_at, attempts"
                )))
                .bind(owner)
                .bind(limit)
                .fetch_all(tx.connection())
                .await?;
                let claim = |(id, request, received_at, attempts): (i64, String, i64, i64)| {
                    Ok(Claimed {
                        id,
                        request: serde_json::from_str(&request)?,
                        received_at: super::moment(received_at),
                        attempts,
                    })
                };
                let mut claimed = readable(rows.into_iter().map(|row| (row.0, claim(row))));
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
}

impl Tx {
    /// The request is answered; of it only the key is kept, by which it is known when it comes again.
    /// [`StoreError::Lost`]: by another process, or it will be; nothing of this one's answer may be kept.
    pub async fn inbox_done(&mut self, id: i64, owner: &str) -> Result<(), StoreError> {
        let now = self.now.as_microsecond();
        let done = sqlx::query(
            "UPDATE inbox SET state = 'done', done_at = $1, request = '' \
             WHERE id = $2 AND owner = $3 AND state = 'working'",
        )
        .bind(now)
        .bind(id)
        .bind(owner.to_owned())
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Lost);
        }
        Ok(())
    }
}
