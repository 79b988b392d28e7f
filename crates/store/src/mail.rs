//! The mails: written beside what they tell of, claimed by one process, sent once.

use std::time::Duration;

use jiff::Timestamp;

use super::writer::Changed;
use super::{Dialect, Store, StoreError, Tx, moment};
use treasury_domain::IncidentId;
use treasury_domain::mail::{Mail, Purpose};
use treasury_domain::timeline::cut;

/// A mail to send now.
#[derive(Debug, Clone, PartialEq)]
pub struct MailRow {
    /// Its row.
    pub id: i64,
    /// The mail.
    pub mail: Mail,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it was put.
    pub created_at: Timestamp,
}

/// How many mails there are that were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// They wait.
    pub waiting: i64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
    /// They will never be sent.
    pub dead: i64,
}

impl Tx {
    /// Wants a mail sent. One of a known key is wanted already: nothing is changed.
    pub async fn mail_put(&mut self, mail: &Mail) -> Result<(), StoreError> {
        let now = self.now.as_microsecond();
        sqlx::query(
            "INSERT INTO mail (key, incident, purpose, mail, state, due_at, created_at) \
             VALUES ($1, $2, $3, $4, 'waiting', $5, $5) ON CONFLICT (key) DO NOTHING",
        )
        .bind(mail.key.clone())
        .bind(mail.incident.map(|id| id.0))
        .bind(mail.purpose.as_str())
        .bind(serde_json::to_string(mail)?)
        .bind(now)
        .execute(self.connection())
        .await?;
        self.changed.mails = true;
        Ok(())
    }

    /// Have there been mails of this purpose about an incident?
    pub async fn mailed(&mut self, id: IncidentId, purpose: Purpose) -> Result<bool, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT id FROM mail WHERE incident = $1 AND purpose = $2 LIMIT 1")
                .bind(id.0)
                .bind(purpose.as_str())
                .fetch_optional(self.connection())
                .await?;
        Ok(row.is_some())
    }

    /// Records that the server has taken a mail. `false`: it is no longer this process's.
    pub async fn mail_sent(&mut self, id: i64, owner: &str) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        self.mail_end(id, owner, "sent", now, None).await
    }

    /// Records that a mail can't ever be sent; it is kept. `false`: as above.
    pub async fn mail_dead(
        &mut self,
        id: i64,
        owner: &str,
        error: &str,
    ) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        self.mail_end(id, owner, "dead", now, Some(cut(error, 500)))
            .await
    }

    async fn mail_end(
        &mut self,
        id: i64,
        owner: &str,
        state: &'static str,
        now: i64,
        error: Option<String>,
    ) -> Result<bool, StoreError> {
        let ended = sqlx::query(
            "UPDATE mail SET state = $3, ended_at = $4, error = $5, lease_until = 0 \
             WHERE id = $1 AND owner = $2 AND state = 'waiting'",
        )
        .bind(id)
        .bind(owner.to_owned())
        .bind(state)
        .bind(now)
        .bind(error)
        .execute(self.connection())
        .await?;
        Ok(ended.rows_affected() == 1)
    }

    /// Records a failed attempt that is to be repeated at `at`. `false`: as above.
    pub async fn mail_later(
        &mut self,
        id: i64,
        owner: &str,
        at: Timestamp,
        error: &str,
    ) -> Result<bool, StoreError> {
        let later = sqlx::query(
            "UPDATE mail SET attempts = attempts + 1, due_at = $3, error = $4, lease_until = 0 \
             WHERE id = $1 AND owner = $2 AND state = 'waiting'",
        )
        .bind(id)
        .bind(owner.to_owned())
        .bind(at.as_microsecond())
        .bind(cut(error, 500))
        .execute(self.connection())
        .await?;
        Ok(later.rows_affected() == 1)
    }

    /// How many mails were not sent.
    pub async fn mail_backlog(&mut self) -> Result<Backlog, StoreError> {
        Ok(backlog(
            sqlx::query_as(BACKLOG).fetch_one(self.connection()).await?,
        ))
    }
}

const BACKLOG: &str = "SELECT CAST(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS BIGINT), \
     MIN(CASE WHEN state = 'waiting' THEN created_at END), \
     CAST(SUM(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) AS BIGINT) \
     FROM mail WHERE state <> 'sent'";

fn backlog((waiting, oldest, dead): (Option<i64>, Option<i64>, Option<i64>)) -> Backlog {
    Backlog {
        waiting: waiting.unwrap_or(0),
        oldest: oldest.map(moment),
        dead: dead.unwrap_or(0),
    }
}

impl Store {
    /// What a former process had leased is due at once, where this one is sure to be alone (SQLite);
    /// elsewhere the lease has to run out.
    pub async fn mails_inherit(&self) -> Result<(), StoreError> {
        if self.dialect() != Dialect::Sqlite {
            return Ok(());
        }
        let free = sqlx::query("UPDATE mail SET lease_until = 0 WHERE state = 'waiting'");
        self.write_one(free, Changed::NOTHING).await
    }

    /// Leases mails that are due, urgent ones first, at most `limit`. Whoever does not say within
    /// `lease` what became of one loses it to another process.
    pub async fn mails_claim(
        &self,
        owner: &str,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<MailRow>, StoreError> {
        let due = sqlx::query(
            "SELECT id FROM mail WHERE state = 'waiting' AND due_at <= $1 AND lease_until <= $1 \
             LIMIT 1",
        );
        if !self.finds(due.bind(self.now().as_microsecond())).await? {
            return Ok(Vec::new());
        }
        let owner = owner.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let now = tx.now.as_microsecond();
                // The conditions stand again outside: another replica may have leased the row
                // between the inner SELECT and the UPDATE.
                let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
                    "UPDATE mail SET owner = $2, lease_until = $3 WHERE id IN (SELECT id \
                     FROM mail WHERE state = 'waiting' AND due_at <= $1 AND lease_until <= $1 \
                     ORDER BY CASE WHEN purpose = 'ask' THEN 0 ELSE 1 END, id LIMIT $4) \
                     AND state = 'waiting' AND lease_until <= $1 \
                     RETURNING id, mail, attempts, created_at",
                )
                .bind(now)
                .bind(owner)
                .bind(now + lease.as_micros() as i64)
                .bind(limit)
                .fetch_all(tx.connection())
                .await?;
                rows.into_iter()
                    .map(|(id, mail, attempts, created_at)| {
                        Ok(MailRow {
                            id,
                            mail: serde_json::from_str(&mail)?,
                            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                            created_at: moment(created_at),
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// When the next mail is due, if one waits.
    pub async fn mail_next(&self) -> Result<Option<Timestamp>, StoreError> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END) \
             FROM mail WHERE state = 'waiting'",
        )
        .fetch_one(self.readers())
        .await?;
        Ok(due.map(moment))
    }

    /// How many mails were not sent.
    pub async fn mail_backlog(&self) -> Result<Backlog, StoreError> {
        Ok(backlog(
            sqlx::query_as(BACKLOG).fetch_one(self.readers()).await?,
        ))
    }

    /// Mails that were not sent, oldest first, with their failed attempts and the last error.
    pub async fn mails_unsent(&self, most: i64) -> Result<Vec<(Mail, u32, String)>, StoreError> {
        let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
            "SELECT mail, attempts, error FROM mail WHERE state <> 'sent' ORDER BY id LIMIT $1",
        )
        .bind(most)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|(mail, attempts, error)| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                Ok((
                    serde_json::from_str(&mail)?,
                    attempts,
                    error.unwrap_or_default(),
                ))
            })
            .collect()
    }
}
