//! Removing what is over, and giving the room back.
//!
//! A table is walked by an index, a page at a time, outside of any write; what of a page is over and
//! needed by nobody is then removed by its key in a write of its own. So nobody waits long for it, and
//! nothing is counted or read in full within a write. What is needed is the caller's to say.

use sqlx::{AssertSqlSafe, Row};

use super::{Dialect, Store, StoreError, Tx};
use jiff::Timestamp;

/// What is removed once it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prunable {
    /// Alerts that are resolved.
    Alerts,
    /// Conversations without alerts.
    Conversations,
    /// What is known of a group whose conversation is gone.
    Groups,
    /// Questions that were answered, or not in time.
    Questions,
    /// Silences that have ended.
    Silences,
    /// Runs that have ended, with their steps.
    Runs,
    /// Notifications that were sent, given up or called off.
    Notifications,
    /// Messages that were delivered, given up, or shown in a terminal.
    Messages,
    /// Requests that were answered.
    Requests,
}

/// Where a walk has got to: the key of the last row that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Its number, or the moment it is sorted by; µs.
    pub number: i64,
    /// Its name.
    pub name: String,
}

/// A row that may be over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub place: Place,
    /// It is over since before the moment asked about.
    pub is_over: bool,
    /// What tells who needs it: a key, or its record.
    pub about: String,
}

/// A page of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its rows in order.
    pub rows: Vec<Candidate>,
    /// Nothing that follows can be over.
    pub is_last: bool,
}

impl Prunable {
    /// All, in the order in which they are removed: what needs others before these.
    pub const ALL: [Self; 9] = [
        Self::Alerts,
        Self::Conversations,
        Self::Groups,
        Self::Questions,
        Self::Silences,
        Self::Runs,
        Self::Notifications,
        Self::Messages,
        Self::Requests,
    ];

    /// The table.
    pub fn table(self) -> &'static str {
        match self {
            Self::Alerts => "alert",
            Self::Conversations => "conversation",
            Self::Groups => "alert_group",
            Self::Questions => "question",
            Self::Silences => "silence",
            Self::Runs => "run",
            Self::Notifications => "notification",
            Self::Messages => "outbox",
            Self::Requests => "inbox",
        }
    }

    /// Its rows have names; others have numbers.
    fn has_names(self) -> bool {
        !matches!(
            self,
            Self::Runs | Self::Notifications | Self::Messages | Self::Requests
        )
    }
}

impl Store {
    /// The rows after a place, at most `most`, with whether each was over before that moment.
    pub async fn prunable(
        &self,
        what: Prunable,
        before: Timestamp,
        after: &Place,
        most: i64,
    ) -> Result<Page, StoreError> {
        // Number, name, when it began (0: they are in no order of that), whether it was over before
        // `$1`, about what it is; of `$2` rows after the place `$3`, `$4`.
        let text = match what {
            Prunable::Alerts => {
                "SELECT changed_at, fingerprint, changed_at, CASE WHEN firing = 0 AND \
                 changed_at < $1 AND COALESCE(silenced_until, 0) < $1 THEN 1 ELSE 0 END, \
                 conversation FROM alert WHERE (changed_at, fingerprint) > ($3, $4) \
                 ORDER BY changed_at, fingerprint LIMIT $2"
            }
            Prunable::Conversations => {
                "SELECT 0, key, 0, CASE WHEN $1 > $3 THEN 1 ELSE 0 END, record FROM conversation \
                 WHERE key > $4 ORDER BY key LIMIT $2"
            }
            Prunable::Groups => {
                "SELECT 0, name, 0, CASE WHEN $1 > $3 THEN 1 ELSE 0 END, \
                 COALESCE(conversation, '') FROM alert_group WHERE name > $4 ORDER BY name LIMIT $2"
            }
            Prunable::Questions => {
                "SELECT 0, token, 0, CASE WHEN state <> 'open' AND expires_at < $1 AND $3 = 0 \
                 THEN 1 ELSE 0 END, '' FROM question WHERE token > $4 ORDER BY token LIMIT $2"
            }
            Prunable::Silences => {
                "SELECT 0, id, 0, CASE WHEN ended = 1 AND $1 > $3 THEN 1 ELSE 0 END, record \
                 FROM silence WHERE id > $4 ORDER BY id LIMIT $2"
            }
            Prunable::Runs => {
                "SELECT id, '', started_at, CASE WHEN state <> 'running' AND ended_at < $1 THEN 1 \
                 ELSE 0 END, start FROM run WHERE id > $3 ORDER BY id LIMIT $2"
            }
            Prunable::Notifications => {
                "SELECT id, '', created_at, CASE WHEN state <> 'waiting' AND ended_at < $1 THEN 1 \
                 ELSE 0 END, COALESCE('incident:' || CAST(incident AS TEXT), conversation, '') \
                 FROM notification WHERE id > $3 ORDER BY id LIMIT $2"
            }
            Prunable::Messages => {
                "SELECT id, '', created_at, CASE WHEN state <> 'waiting' AND due_at < $1 THEN 1 \
                 ELSE 0 END, key FROM outbox WHERE id > $3 ORDER BY id LIMIT $2"
            }
            Prunable::Requests => {
                "SELECT id, '', received_at, CASE WHEN state = 'done' AND done_at < $1 THEN 1 \
                 ELSE 0 END, key FROM inbox WHERE id > $3 ORDER BY id LIMIT $2"
            }
        };
        let mut query = sqlx::query(text)
            .bind(before.as_microsecond())
            .bind(most)
            .bind(after.number);
        if what.has_names() {
            query = query.bind(after.name.clone());
        }
        let found = query.fetch_all(self.readers()).await?;
        let mut page = Page {
            is_last: (found.len() as i64) < most,
            rows: Vec::with_capacity(found.len()),
        };
        for row in found {
            if row.try_get::<i64, _>(2)? >= before.as_microsecond() {
                page.is_last = true;
                break;
            }
            page.rows.push(Candidate {
                place: Place {
                    number: row.try_get(0)?,
                    name: row.try_get(1)?,
                },
                is_over: row.try_get::<i64, _>(3)? == 1,
                about: row.try_get(4)?,
            });
        }
        Ok(page)
    }

    /// The keys of the messages that silences keep up to date which have not ended.
    pub async fn silences_told(&self) -> Result<Vec<String>, StoreError> {
        let records: Vec<String> =
            sqlx::query_scalar("SELECT record FROM silence WHERE ended = 0 LIMIT 10000")
                .fetch_all(self.readers())
                .await?;
        let key = |record: &String| {
            let silence: treasury_domain::alert::Silence = serde_json::from_str(record)?;
            Ok(silence.answer.key)
        };
        records.iter().map(key).collect()
    }

    /// Whether a run that was begun by this key goes on.
    pub async fn run_goes_on(&self, key: &str) -> Result<bool, StoreError> {
        let running = sqlx::query("SELECT id FROM run WHERE key = $1 AND state = 'running'");
        self.finds(running.bind(key.to_owned())).await
    }

    /// Gives up to `pages` unused pages of a file of SQLite back to the disk; how many are left
    /// unused. `None`: the file was made without the means to (`auto_vacuum`), or it is PostgreSQL,
    /// which uses the room again by itself.
    pub async fn give_back(&self, pages: u32) -> Result<Option<u64>, StoreError> {
        if self.dialect() != Dialect::Sqlite {
            return Ok(None);
        }
        let (mode, free): (i64, i64) = sqlx::query_as(
            "SELECT CAST(auto_vacuum AS BIGINT), CAST(freelist_count AS BIGINT) \
             FROM pragma_auto_vacuum(), pragma_freelist_count()",
        )
        .fetch_one(self.readers())
        .await?;
        if mode == 0 {
            return Ok(None);
        }
        if free > 0 {
            self.write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    let step = format!("PRAGMA incremental_vacuum({pages})");
                    sqlx::query(AssertSqlSafe(step))
                        .fetch_all(tx.connection())
                        .await?;
                    Ok(())
                })
            })
            .await?;
        }
        Ok(Some(free.unsigned_abs().saturating_sub(u64::from(pages))))
    }

    /// Brings what is written into the file of SQLite itself, which becomes as small as it can be.
    /// Nobody is kept from writing meanwhile.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        if self.dialect() == Dialect::Sqlite {
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
                .fetch_all(self.readers())
                .await?;
        }
        Ok(())
    }
}

impl Tx {
    /// Removes these rows, as far as they are still over; how many it were.
    pub async fn prune(
        &mut self,
        what: Prunable,
        before: Timestamp,
        rows: &[Candidate],
    ) -> Result<u64, StoreError> {
        // What is over has to be so still, since `$1`; a conversation that was written meanwhile is
        // needed.
        let text = match what {
            Prunable::Alerts => {
                "DELETE FROM alert WHERE fingerprint = $2 AND firing = 0 AND changed_at < $1"
            }
            Prunable::Conversations => {
                "DELETE FROM conversation WHERE key = $2 AND record = $3 AND $1 > 0 \
                 AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.conversation = conversation.key)"
            }
            Prunable::Groups => {
                "DELETE FROM alert_group WHERE name = $2 AND $1 > 0 AND NOT EXISTS \
                 (SELECT 1 FROM conversation c WHERE c.key = alert_group.conversation)"
            }
            Prunable::Questions => {
                "DELETE FROM question WHERE token = $2 AND state <> 'open' AND expires_at < $1"
            }
            Prunable::Silences => "DELETE FROM silence WHERE id = $2 AND ended = 1 AND $1 > 0",
            Prunable::Runs => {
                "DELETE FROM run WHERE id = $2 AND state <> 'running' AND ended_at < $1"
            }
            Prunable::Notifications => {
                "DELETE FROM notification WHERE id = $2 AND state <> 'waiting' AND ended_at < $1"
            }
            Prunable::Messages => {
                "DELETE FROM outbox WHERE id = $2 AND state <> 'waiting' AND due_at < $1"
            }
            Prunable::Requests => {
                "DELETE FROM inbox WHERE id = $2 AND state = 'done' AND done_at < $1"
            }
        };
        let mut removed = 0;
        for row in rows {
            let mut query = sqlx::query(text).bind(before.as_microsecond());
            query = if what.has_names() {
                query.bind(row.place.name.clone())
            } else {
                query.bind(row.place.number)
            };
            if what == Prunable::Conversations {
                query = query.bind(row.about.clone());
            }
            let gone = query.execute(self.connection()).await?.rows_affected();
            if gone > 0 && what == Prunable::Runs {
                for text in [
                    "DELETE FROM run_step WHERE run = $1",
                    "DELETE FROM run_event WHERE run = $1",
                ] {
                    let of_run = sqlx::query(text).bind(row.place.number);
                    of_run.execute(self.connection()).await?;
                }
            }
            removed += gone;
        }
        Ok(removed)
    }
}
