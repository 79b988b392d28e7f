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

/// How a table is walked: `$1` is the moment before which a row has to be over, `$2` how many rows are
/// read, `$3` (and `$4`) the place after which.
struct Walk {
    table: &'static str,
    key: &'static str,
    /// Number, name, when it began (0: not in order of that), whether it is over, about what it is.
    columns: &'static str,
    after: &'static str,
    /// What has to be so when it is removed; `$1` as above.
    still: &'static str,
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
        self.walk().table
    }

    fn walk(self) -> Walk {
        let by_id = |table, columns, still| Walk {
            table,
            key: "id",
            columns,
            after: "id > $3",
            still,
        };
        match self {
            Self::Alerts => Walk {
                table: "alert",
                key: "fingerprint",
                columns: "changed_at, fingerprint, changed_at, CASE WHEN firing = 0 AND \
                          changed_at < $1 AND COALESCE(silenced_until, 0) < $1 THEN 1 ELSE 0 END, \
                          conversation",
                after: "(changed_at, fingerprint) > ($3, $4)",
                still: "firing = 0 AND changed_at < $1",
            },
            Self::Conversations => Walk {
                table: "conversation",
                key: "key",
                columns: "0, key, 0, 1, record",
                after: "key > $4 AND $3 = 0",
                still: "$1 > 0 AND NOT EXISTS \
                        (SELECT 1 FROM alert WHERE alert.conversation = conversation.key)",
            },
            Self::Groups => Walk {
                table: "alert_group",
                key: "name",
                columns: "0, name, 0, 1, COALESCE(conversation, '')",
                after: "name > $4 AND $3 = 0",
                still: "$1 > 0 AND NOT EXISTS (SELECT 1 FROM conversation c \
                        WHERE c.key = alert_group.conversation)",
            },
            Self::Questions => Walk {
                table: "question",
                key: "token",
                columns: "0, token, 0, CASE WHEN state <> 'open' AND expires_at < $1 THEN 1 ELSE 0 \
                          END, ''",
                after: "token > $4 AND $3 = 0",
                still: "state <> 'open' AND expires_at < $1",
            },
            Self::Silences => Walk {
                table: "silence",
                key: "id",
                columns: "0, id, 0, CAST(ended AS INTEGER), record",
                after: "id > $4 AND $3 = 0",
                still: "ended = 1 AND $1 > 0",
            },
            Self::Runs => by_id(
                "run",
                "id, '', started_at, CASE WHEN state <> 'running' AND ended_at < $1 THEN 1 ELSE 0 \
                 END, start",
                "state <> 'running' AND ended_at < $1",
            ),
            Self::Notifications => by_id(
                "notification",
                "id, '', created_at, CASE WHEN state <> 'waiting' AND ended_at < $1 THEN 1 ELSE 0 \
                 END, COALESCE('incident:' || CAST(incident AS TEXT), conversation, '')",
                "state <> 'waiting' AND ended_at < $1",
            ),
            Self::Messages => by_id(
                "outbox",
                "id, '', created_at, CASE WHEN state <> 'waiting' AND due_at < $1 THEN 1 ELSE 0 \
                 END, key",
                "state <> 'waiting' AND due_at < $1",
            ),
            Self::Requests => by_id(
                "inbox",
                "id, '', received_at, CASE WHEN state = 'done' AND done_at < $1 THEN 1 ELSE 0 END, \
                 key",
                "state = 'done' AND done_at < $1",
            ),
        }
    }

    /// In which order it is walked: by number, or by name.
    fn by_name(self) -> bool {
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
        let walk = what.walk();
        let order = match what {
            Prunable::Alerts => "changed_at, fingerprint",
            _ => walk.key,
        };
        let text = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {order} LIMIT $2",
            walk.columns, walk.table, walk.after
        );
        let mut query = sqlx::query(AssertSqlSafe(text))
            .bind(before.as_microsecond())
            .bind(most)
            .bind(after.number);
        if what.by_name() {
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
        let walk = what.walk();
        let mut removed = 0;
        for row in rows {
            // A conversation that is written while this is decided is needed.
            let same = match what {
                Prunable::Conversations => " AND record = $3",
                _ => "",
            };
            let text = format!(
                "DELETE FROM {} WHERE {} = $2 AND {}{same}",
                walk.table, walk.key, walk.still
            );
            let mut query = sqlx::query(AssertSqlSafe(text)).bind(before.as_microsecond());
            query = match what.by_name() {
                true => query.bind(row.place.name.clone()),
                false => query.bind(row.place.number),
            };
            if !same.is_empty() {
                query = query.bind(row.about.clone());
            }
            let gone = query.execute(self.connection()).await?.rows_affected();
            if gone > 0 && what == Prunable::Runs {
                for table in ["run_step", "run_event"] {
                    let of_run = format!("DELETE FROM {table} WHERE run = $1");
                    sqlx::query(AssertSqlSafe(of_run))
                        .bind(row.place.number)
                        .execute(self.connection())
                        .await?;
                }
            }
            removed += gone;
        }
        Ok(removed)
    }
}
