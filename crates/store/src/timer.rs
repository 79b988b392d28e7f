//! What is to be done later, once, by whichever process is there.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::instance::free;
use super::writer::Changed;
use super::{Store, StoreError, Tx, moment};

/// A timer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerRow {
    /// Its row.
    pub id: i64,
    /// What it is for. A subject has one timer of each kind.
    pub kind: String,
    /// What it is about, such as a conversation.
    pub subject: String,
    /// When it was due.
    pub due_at: Timestamp,
    /// What else is to be known, JSON.
    pub payload: String,
}

/// A process that claims a timer and then forgets it, such as by a panic, claims it again after this.
const LEASE: jiff::SignedDuration = jiff::SignedDuration::from_secs(90);

impl Tx {
    /// Sets a timer. One that is set already goes off at the earlier of both times.
    pub async fn timer_set(
        &mut self,
        kind: &str,
        subject: &str,
        due_at: Timestamp,
        payload: String,
    ) -> Result<(), StoreError> {
        let known = "UPDATE SET due_at = CASE WHEN timer.due_at < excluded.due_at \
             THEN timer.due_at ELSE excluded.due_at END, payload = excluded.payload";
        self.timer_put(kind, subject, due_at, payload, known).await
    }

    /// Sets a timer, unless it is set already.
    pub async fn timer_begin(
        &mut self,
        kind: &str,
        subject: &str,
        due_at: Timestamp,
        payload: String,
    ) -> Result<(), StoreError> {
        self.timer_put(kind, subject, due_at, payload, "NOTHING")
            .await
    }

    async fn timer_put(
        &mut self,
        kind: &str,
        subject: &str,
        due_at: Timestamp,
        payload: String,
        known: &'static str,
    ) -> Result<(), StoreError> {
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO timer (kind, subject, due_at, payload) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (kind, subject) DO {known}"
        )))
        .bind(kind.to_owned())
        .bind(subject.to_owned())
        .bind(due_at.as_microsecond())
        .bind(payload)
        .execute(self.connection())
        .await?;
        self.changed.timers = true;
        Ok(())
    }

    /// Has a timer go off now, if it is set.
    pub async fn timer_hasten(&mut self, kind: &str, subject: &str) -> Result<(), StoreError> {
        let now = self.now.as_microsecond();
        sqlx::query(
            "UPDATE timer SET due_at = $3 WHERE kind = $1 AND subject = $2 AND due_at > $3",
        )
        .bind(kind.to_owned())
        .bind(subject.to_owned())
        .bind(now)
        .execute(self.connection())
        .await?;
        self.changed.timers = true;
        Ok(())
    }

    /// Locks a timer, if it is set: until the end of the transaction it does not go off.
    pub async fn timer_lock(&mut self, kind: &str, subject: &str) -> Result<(), StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("SELECT id FROM timer WHERE kind = $1 AND subject = $2{lock}");
        sqlx::query(AssertSqlSafe(text))
            .bind(kind.to_owned())
            .bind(subject.to_owned())
            .fetch_optional(self.connection())
            .await?;
        Ok(())
    }

    /// Whether a timer is set.
    pub async fn timer_is_set(&mut self, kind: &str, subject: &str) -> Result<bool, StoreError> {
        let text = "SELECT id FROM timer WHERE kind = $1 AND subject = $2";
        let id: Option<i64> = sqlx::query_scalar(text)
            .bind(kind.to_owned())
            .bind(subject.to_owned())
            .fetch_optional(self.connection())
            .await?;
        Ok(id.is_some())
    }

    /// Removes a timer, if it is set.
    pub async fn timer_unset(&mut self, kind: &str, subject: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM timer WHERE kind = $1 AND subject = $2")
            .bind(kind.to_owned())
            .bind(subject.to_owned())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Takes a timer that has gone off, within the transaction that does what it is for; gives its
    /// payload, which may have been set anew since it was claimed. `None`: it was done already, or
    /// set to another time: then nothing may be done.
    pub async fn timer_take(&mut self, timer: &TimerRow) -> Result<Option<String>, StoreError> {
        let take = "DELETE FROM timer WHERE id = $1 AND due_at = $2 RETURNING payload";
        Ok(sqlx::query_scalar(take)
            .bind(timer.id)
            .bind(timer.due_at.as_microsecond())
            .fetch_optional(self.connection())
            .await?)
    }
}

impl Store {
    /// Claims timers that are due, for as long as their owner lives; at most `most`.
    pub async fn timers_due(&self, owner: &str, most: i64) -> Result<Vec<TimerRow>, StoreError> {
        let free = free(self.dialect());
        let due = format!("SELECT id FROM timer WHERE due_at <= $1 AND {free}");
        let owner = owner.to_owned();
        let first = sqlx::query(AssertSqlSafe(format!("{due} LIMIT 1")))
            .bind(self.now().as_microsecond())
            .bind(owner.clone());
        if !self.finds(first).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            Box::pin(async move {
                let lease = tx.now.checked_add(LEASE).unwrap_or(tx.now);
                let rows: Vec<(i64, String, String, i64, String)> =
                    sqlx::query_as(AssertSqlSafe(format!(
                        "UPDATE timer SET owner = $2, lease_until = $3 \
                         WHERE id IN ({due} ORDER BY due_at LIMIT $4) AND {free} \
                         RETURNING id, kind, subject, due_at, payload"
                    )))
                    .bind(tx.now.as_microsecond())
                    .bind(owner)
                    .bind(lease.as_microsecond())
                    .bind(most)
                    .fetch_all(tx.connection())
                    .await?;
                let row = |(id, kind, subject, due_at, payload)| TimerRow {
                    id,
                    kind,
                    subject,
                    due_at: moment(due_at),
                    payload,
                };
                Ok(rows.into_iter().map(row).collect())
            })
        })
        .await
    }

    /// Gives a claimed timer back: whoever is first claims it again after `pause`.
    pub async fn timer_later(
        &self,
        timer: &TimerRow,
        owner: &str,
        pause: jiff::SignedDuration,
    ) -> Result<(), StoreError> {
        let until = self.now().checked_add(pause).unwrap_or(self.now());
        let later = "UPDATE timer SET owner = NULL, lease_until = $1 WHERE id = $2 AND owner = $3";
        let later = sqlx::query(later)
            .bind(until.as_microsecond())
            .bind(timer.id)
            .bind(owner.to_owned());
        self.write_one(later, Changed::NOTHING).await?;
        Ok(())
    }

    /// Keeps a claimed timer for longer: what it is for takes its time. `false`: it is no longer ours.
    pub async fn timer_keep(&self, timer: &TimerRow, owner: &str) -> Result<bool, StoreError> {
        let (timer, owner) = (timer.clone(), owner.to_owned());
        self.write_single(move |tx| {
            Box::pin(async move {
                let lease = tx.now.checked_add(LEASE).unwrap_or(tx.now);
                let keep = "UPDATE timer SET lease_until = $1 WHERE id = $2 AND due_at = $3 \
                            AND owner = $4";
                let kept = sqlx::query(keep)
                    .bind(lease.as_microsecond())
                    .bind(timer.id)
                    .bind(timer.due_at.as_microsecond())
                    .bind(owner)
                    .execute(tx.connection())
                    .await?;
                Ok(kept.rows_affected() > 0)
            })
        })
        .await
    }

    /// The payload of a timer, if it is set.
    pub async fn timer_payload(
        &self,
        kind: &str,
        subject: &str,
    ) -> Result<Option<String>, StoreError> {
        let payload =
            sqlx::query_scalar("SELECT payload FROM timer WHERE kind = $1 AND subject = $2")
                .bind(kind.to_owned())
                .bind(subject.to_owned())
                .fetch_optional(self.readers())
                .await?;
        Ok(payload)
    }

    /// When the next timer is due; `None` when none is set.
    pub async fn timer_next(&self) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END FROM timer \
             ORDER BY CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END LIMIT 1",
        )
        .fetch_optional(self.readers())
        .await?;
        Ok(next.map(moment))
    }
}
