//! Notifications: written beside what they report, claimed by one process, sent once.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::instance::free;
use super::{Store, StoreError, Tx, moment};
use treasury_domain::IncidentId;
use treasury_domain::notification::{Channel, Notification, Purpose};
use treasury_domain::timeline::cut;

/// A notification to send now.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationRow {
    /// Its row.
    pub id: i64,
    /// The notification.
    pub notification: Notification,
    /// When it was claimed, by the clock of the process that did.
    pub claimed_at: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it was put.
    pub created_at: Timestamp,
}

/// How many notifications there are that were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// They wait.
    pub waiting: i64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
    /// They will never be sent.
    pub dead: i64,
}

/// What became of an attempt to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It was taken.
    Sent,
    /// It can never be sent, and why; it is kept.
    Dead(String),
    /// It failed, and why; it is to be repeated then.
    Later(Timestamp, String),
}

impl Tx {
    /// Wants a notification sent. One of a known key is wanted already: nothing is changed.
    pub async fn notification_put(&mut self, wanted: &Notification) -> Result<(), StoreError> {
        self.notification_put_for(wanted, self.now).await
    }

    /// The same, not before a moment. Its age counts from then.
    pub async fn notification_put_for(
        &mut self,
        wanted: &Notification,
        due: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO notification \
             (key, channel, incident, purpose, record, state, due_at, created_at, conversation) \
             VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $6, $7) ON CONFLICT (key) DO NOTHING",
        )
        .bind(wanted.key.clone())
        .bind(wanted.to.channel().as_str().into_owned())
        .bind(wanted.incident.map(|id| id.0))
        .bind(wanted.purpose.as_str())
        .bind(serde_json::to_string(wanted)?)
        .bind(due.as_microsecond())
        .bind(wanted.ack.as_ref().map(|ack| ack.conversation.clone()))
        .execute(self.connection())
        .await?;
        self.changed.notifications = true;
        Ok(())
    }

    /// Forgets what asks for an acknowledgement of this conversation and was not sent yet. Gives what
    /// was sent (`true`), or may have been, the newest first. `for_good`: they are not asked for again.
    pub async fn notifications_forget(
        &mut self,
        conversation: &str,
        for_good: bool,
    ) -> Result<Vec<(Notification, bool)>, StoreError> {
        sqlx::query(
            "UPDATE notification SET state = 'cancelled', ended_at = $2 \
             WHERE conversation = $1 AND state = 'waiting'",
        )
        .bind(conversation.to_owned())
        .bind(self.now.as_microsecond())
        .execute(self.connection())
        .await?;
        // One with an owner was claimed, and may have got out.
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT record, state FROM notification WHERE conversation = $1 \
             AND (state = 'sent' OR owner IS NOT NULL) ORDER BY id DESC",
        )
        .bind(conversation.to_owned())
        .fetch_all(self.connection())
        .await?;
        if for_good {
            sqlx::query("UPDATE notification SET conversation = NULL WHERE conversation = $1")
                .bind(conversation.to_owned())
                .execute(self.connection())
                .await?;
        }
        let records = rows
            .iter()
            .map(|(record, state)| Ok((serde_json::from_str(record)?, state == "sent")));
        records.collect()
    }

    /// Have there been notifications of this purpose about an incident?
    pub async fn was_notified(
        &mut self,
        id: IncidentId,
        purpose: Purpose,
    ) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT id FROM notification WHERE incident = $1 AND purpose = $2 LIMIT 1",
        )
        .bind(id.0)
        .bind(purpose.as_str())
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Records what became of an attempt. `false`: the notification is no longer this process's.
    pub async fn notification_attempted(
        &mut self,
        id: i64,
        owner: &str,
        attempt: &Attempt,
    ) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        let (state, failed, due_at, ended_at, error) = match attempt {
            Attempt::Sent => ("sent", 0_i64, None, Some(now), None),
            Attempt::Dead(error) => ("dead", 0, None, Some(now), Some(error)),
            Attempt::Later(at, error) => {
                ("waiting", 1, Some(at.as_microsecond()), None, Some(error))
            }
        };
        let recorded = sqlx::query(
            "UPDATE notification SET state = $3, attempts = attempts + $4, \
             due_at = COALESCE($5, due_at), ended_at = $6, error = $7, lease_until = 0 \
             WHERE id = $1 AND owner = $2 AND state = 'waiting'",
        )
        .bind(id)
        .bind(owner.to_owned())
        .bind(state)
        .bind(failed)
        .bind(due_at)
        .bind(ended_at)
        .bind(error.map(|error| cut(error, 500)))
        .execute(self.connection())
        .await?;
        Ok(recorded.rows_affected() == 1)
    }

    /// How many notifications of a channel were not sent.
    pub async fn notification_backlog(&mut self, channel: &Channel) -> Result<Backlog, StoreError> {
        let row = sqlx::query_as(BACKLOG)
            .bind(channel.as_str().into_owned())
            .fetch_one(self.connection())
            .await?;
        Ok(backlog(row))
    }
}

const BACKLOG: &str = "SELECT CAST(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS BIGINT), \
     MIN(CASE WHEN state = 'waiting' THEN created_at END), \
     CAST(SUM(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) AS BIGINT) \
     FROM notification WHERE state IN ('waiting', 'dead') AND channel = $1";

fn backlog((waiting, oldest, dead): (Option<i64>, Option<i64>, Option<i64>)) -> Backlog {
    Backlog {
        waiting: waiting.unwrap_or(0),
        oldest: oldest.map(moment),
        dead: dead.unwrap_or(0),
    }
}

impl Store {
    /// Claims a channel's notifications that are due, urgent ones first, at most `limit`, for as long as
    /// their owner lives. What it says nothing of within `lease` it claims again.
    pub async fn notifications_claim(
        &self,
        channel: &Channel,
        owner: &str,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<NotificationRow>, StoreError> {
        let free = free(self.dialect());
        let due = format!(
            "SELECT id FROM notification WHERE channel = $3 AND state = 'waiting' \
             AND due_at <= $1 AND {free}"
        );
        let (owner, channel) = (owner.to_owned(), channel.as_str().into_owned());
        let first = sqlx::query(AssertSqlSafe(format!("{due} LIMIT 1")))
            .bind(self.now().as_microsecond())
            .bind(owner.clone())
            .bind(channel.clone());
        if !self.finds(first).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            Box::pin(async move {
                let now = tx.now.as_microsecond();
                // The conditions stand again outside: another replica may have claimed the row
                // between the inner SELECT and the UPDATE.
                let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
                    "UPDATE notification SET owner = $2, lease_until = $4 WHERE id IN ({due} \
                     ORDER BY CASE WHEN purpose = 'escalation' THEN 0 ELSE 1 END, id LIMIT $5) \
                     AND state = 'waiting' AND {free} \
                     RETURNING id, record, attempts, created_at"
                )))
                .bind(now)
                .bind(owner)
                .bind(channel)
                .bind(now + lease.as_micros() as i64)
                .bind(limit)
                .fetch_all(tx.connection())
                .await?;
                rows.into_iter()
                    .map(|(id, record, attempts, created_at)| {
                        Ok(NotificationRow {
                            id,
                            claimed_at: tx.now,
                            notification: serde_json::from_str(&record)?,
                            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                            created_at: moment(created_at),
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// When the next notification of a channel is due, if one waits.
    pub async fn notification_next(
        &self,
        channel: &Channel,
    ) -> Result<Option<Timestamp>, StoreError> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END) \
             FROM notification WHERE channel = $1 AND state = 'waiting'",
        )
        .bind(channel.as_str().into_owned())
        .fetch_one(self.readers())
        .await?;
        Ok(due.map(moment))
    }

    /// How many notifications of a channel were not sent.
    pub async fn notification_backlog(&self, channel: &Channel) -> Result<Backlog, StoreError> {
        let row = sqlx::query_as(BACKLOG)
            .bind(channel.as_str().into_owned())
            .fetch_one(self.readers())
            .await?;
        Ok(backlog(row))
    }

    /// Notifications that were not sent, oldest first, with their failed attempts and the last
    /// error.
    pub async fn notifications_unsent(
        &self,
        most: i64,
    ) -> Result<Vec<(Notification, u32, String)>, StoreError> {
        let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
            "SELECT record, attempts, error FROM notification WHERE state IN ('waiting', 'dead') \
             ORDER BY id LIMIT $1",
        )
        .bind(most)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|(record, attempts, error)| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                Ok((
                    serde_json::from_str(&record)?,
                    attempts,
                    error.unwrap_or_default(),
                ))
            })
            .collect()
    }
}
