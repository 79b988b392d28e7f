//! Alerts, and the conversations that report them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Dialect, Store, StoreError, Tx, moment};
use treasury_domain::alert::{AlertRecord, Conversation, Muted};

/// The columns that [`alert`] reads.
pub(super) const RECORD: &str = "conversation, record, heard_at";

/// An alert's conversation, and what is known of it.
pub(super) fn alert(
    (key, record, heard_at): (String, String, i64),
) -> Result<(String, AlertRecord), StoreError> {
    let mut record: AlertRecord = serde_json::from_str(&record)?;
    let heard_at = Some(moment(heard_at)).filter(|_| heard_at > 0);
    record.tracked.heard_at = record.tracked.heard_at.max(heard_at);
    Ok((key, record))
}

/// How many rows or values one statement has: few texts, so that each is prepared once.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// Places for this many rows of so many values: `($1, $2), ($3, $4)`.
fn places(rows: usize, values: usize) -> String {
    let mut text = String::new();
    for at in 0..rows * values {
        text.push_str(match (at % values, at) {
            (0, 0) => "(",
            (0, _) => "), (",
            _ => ", ",
        });
        text.push('$');
        text.push_str(&(at + 1).to_string());
    }
    text + ")"
}

/// A list, in pieces that one statement takes.
fn pieces<T>(mut list: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= list.len())?;
        let (piece, rest) = list.split_at(size);
        list = rest;
        Some(piece)
    })
}

/// Texts, in pieces for one `IN` each: the last one is said again until the size fits.
fn sets(list: &[String]) -> impl Iterator<Item = Vec<String>> {
    list.chunks(SIZES[0]).map(|chunk| {
        let mut set = chunk.to_vec();
        set.resize(
            chunk.len().next_power_of_two(),
            chunk[chunk.len() - 1].clone(),
        );
        set
    })
}

fn conversation(row: Option<(String,)>) -> Result<Option<Conversation>, StoreError> {
    Ok(row
        .map(|(record,)| serde_json::from_str(&record))
        .transpose()?)
}

impl Tx {
    /// Locks groups until the end of the transaction; the conversation that reports each.
    pub async fn alert_groups(
        &mut self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let mut found = self.groups_found(names).await?;
        if found.len() < names.len() {
            // In the order of their names, so that two writes can't wait for each other.
            for name in names.iter().filter(|name| !found.contains_key(*name)) {
                sqlx::query("INSERT INTO alert_group (name) VALUES ($1) ON CONFLICT DO NOTHING")
                    .bind(name.clone())
                    .execute(self.connection())
                    .await?;
            }
            found = self.groups_found(names).await?;
        }
        Ok(found)
    }

    async fn groups_found(
        &mut self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let names: Vec<String> = names.iter().cloned().collect();
        let lock = self.dialect.for_update();
        let mut found = BTreeMap::new();
        for set in sets(&names) {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "SELECT name, conversation FROM alert_group WHERE name IN {} ORDER BY name{lock}",
                places(1, set.len())
            )));
            for name in set {
                query = query.bind(name);
            }
            let rows: Vec<(String, Option<String>)> = query.fetch_all(self.connection()).await?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// This conversation reports the group from now on.
    pub async fn alert_group_set(&mut self, name: &str, key: &str) -> Result<(), StoreError> {
        // It may have been pruned since it was read.
        sqlx::query(
            "INSERT INTO alert_group (name, conversation) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET conversation = excluded.conversation",
        )
        .bind(name.to_owned())
        .bind(key.to_owned())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// What is known of these alerts, and the conversation of each.
    pub async fn alerts(
        &mut self,
        fingerprints: &[String],
    ) -> Result<Vec<(String, AlertRecord)>, StoreError> {
        let mut found = Vec::new();
        for set in sets(fingerprints) {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "SELECT {RECORD} FROM alert WHERE fingerprint IN {}",
                places(1, set.len())
            )));
            for fingerprint in set {
                query = query.bind(fingerprint);
            }
            for row in query.fetch_all(self.connection()).await? {
                found.push(alert(row)?);
            }
        }
        Ok(found)
    }

    /// Records an alert.
    pub async fn alert_put(&mut self, key: &str, record: &AlertRecord) -> Result<(), StoreError> {
        self.alerts_put(key, [record]).await
    }

    /// Records alerts of a conversation; of one that is there twice the last.
    pub async fn alerts_put<'r>(
        &mut self,
        key: &str,
        records: impl IntoIterator<Item = &'r AlertRecord>,
    ) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let mut records: Vec<&AlertRecord> = records.into_iter().collect();
        records.reverse();
        records.retain(|one| seen.insert(&one.tracked.alert.fingerprint));
        if self.dialect == Dialect::Postgres && !records.is_empty() {
            // Before its counts, as everybody does: two writes can't wait for each other.
            sqlx::query("SELECT key FROM conversation WHERE key = $1 FOR UPDATE")
                .bind(key.to_owned())
                .fetch_optional(self.connection())
                .await?;
        }
        for piece in pieces(&records) {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(format!(
                "INSERT INTO alert (fingerprint, conversation, name, service, firing, \
                 silenced_until, starts_at, changed_at, flaps, record, severity, muted, heard_at) \
                 VALUES {} ON CONFLICT (fingerprint) DO UPDATE SET \
                 conversation = excluded.conversation, name = excluded.name, \
                 service = excluded.service, firing = excluded.firing, \
                 silenced_until = excluded.silenced_until, starts_at = excluded.starts_at, \
                 changed_at = excluded.changed_at, flaps = excluded.flaps, \
                 record = excluded.record, severity = excluded.severity, \
                 muted = excluded.muted, heard_at = excluded.heard_at",
                places(piece.len(), 13)
            )));
            for record in piece {
                let (tracked, routed) = (&record.tracked, &record.routed);
                let heard_at = tracked.heard_at.map_or(0, jiff::Timestamp::as_microsecond);
                query = query
                    .bind(tracked.alert.fingerprint.clone())
                    .bind(key.to_owned())
                    .bind(tracked.alert.name().to_owned())
                    .bind(routed.service.as_ref().map(ToString::to_string))
                    .bind(i64::from(tracked.is_active()))
                    .bind(tracked.quiet_until().map(jiff::Timestamp::as_microsecond))
                    .bind(tracked.since().as_microsecond())
                    .bind(tracked.changed_at.as_microsecond())
                    .bind(i64::from(tracked.flapping.is_some()))
                    .bind(serde_json::to_string(record)?)
                    .bind(i64::from(routed.severity.number()))
                    .bind(tracked.muted.as_ref().map(Muted::word))
                    .bind(heard_at);
            }
            query.execute(self.connection()).await?;
        }
        Ok(())
    }

    /// These alerts were reported now, and nothing else is new of them.
    pub async fn alerts_heard(&mut self, fingerprints: &[String]) -> Result<(), StoreError> {
        let now = self.now.as_microsecond();
        for set in sets(fingerprints) {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(format!(
                "UPDATE alert SET heard_at = ${} WHERE fingerprint IN {}",
                set.len() + 1,
                places(1, set.len())
            )));
            for fingerprint in set {
                query = query.bind(fingerprint);
            }
            query.bind(now).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Alerts that count as firing, locked; at most `most`. `key`: only those of this conversation.
    pub async fn alerts_firing(
        &mut self,
        key: Option<&str>,
        most: i64,
    ) -> Result<Vec<(String, AlertRecord)>, StoreError> {
        let only = key.map_or("", |_| "AND conversation = $1");
        let lock = self.dialect.for_update();
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE firing = 1 {only} \
             ORDER BY fingerprint LIMIT {most}{lock}"
        )));
        if let Some(key) = key {
            query = query.bind(key.to_owned());
        }
        let rows: Vec<(String, String, i64)> = query.fetch_all(self.connection()).await?;
        rows.into_iter().map(alert).collect()
    }

    /// Alerts of a conversation that flap, locked; at most `most`.
    pub async fn alerts_flapping(
        &mut self,
        key: &str,
        most: i64,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let lock = self.dialect.for_update();
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE conversation = $1 AND flaps = 1 \
             ORDER BY fingerprint LIMIT {most}{lock}"
        )))
        .bind(key.to_owned())
        .fetch_all(self.connection())
        .await?;
        rows.into_iter()
            .map(|row| alert(row).map(|(_, record)| record))
            .collect()
    }

    /// A conversation, locked.
    pub async fn conversation(&mut self, key: &str) -> Result<Option<Conversation>, StoreError> {
        let lock = self.dialect.for_update();
        let row: Option<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT record FROM conversation WHERE key = $1{lock}"
        )))
        .bind(key.to_owned())
        .fetch_optional(self.connection())
        .await?;
        conversation(row)
    }

    /// Records a conversation.
    pub async fn conversation_put(
        &mut self,
        conversation: &Conversation,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO conversation (key, record, left_out) VALUES ($1, $2, $3) \
             ON CONFLICT (key) DO UPDATE SET record = excluded.record, \
             left_out = excluded.left_out",
        )
        .bind(conversation.key.clone())
        .bind(serde_json::to_string(conversation)?)
        .bind(
            conversation
                .incident
                .filter(|_| !conversation.left_out.is_empty())
                .map(|id| id.0),
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

/// The conversations of open incidents of which Alertmanager left alerts out.
const LEFT_OUT: &str = "SELECT c.record FROM conversation c JOIN incident i ON i.id = c.left_out \
                        WHERE c.left_out IS NOT NULL AND i.status IN ('open', 'mitigated') \
                        ORDER BY c.left_out";

fn conversations(rows: Vec<(String,)>) -> Result<Vec<Conversation>, StoreError> {
    let rows = rows.into_iter();
    rows.filter_map(|row| conversation(Some(row)).transpose())
        .collect()
}

impl Tx {
    /// The conversations of open incidents of which Alertmanager left alerts out; not locked.
    pub async fn conversations_left_out(&mut self) -> Result<Vec<Conversation>, StoreError> {
        let rows = sqlx::query_as(LEFT_OUT).fetch_all(self.connection());
        conversations(rows.await?)
    }

    /// The conversations of open incidents that tell of alerts of this group of a sender; not locked.
    pub async fn conversations_of_sender(
        &mut self,
        sender: &str,
    ) -> Result<Vec<String>, StoreError> {
        let holds = self.dialect.holds("a.record", "$1");
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT DISTINCT a.conversation FROM incident JOIN alert a \
             ON a.conversation = 'incident:' || CAST(incident.id AS TEXT) \
             WHERE incident.status IN ('open', 'mitigated') AND {holds}"
        )));
        let field = format!("\"sender\":{}", serde_json::to_string(sender)?);
        Ok(query.bind(field).fetch_all(self.connection()).await?)
    }
}

impl Store {
    /// The conversations of open incidents of which Alertmanager left alerts out.
    pub async fn conversations_left_out(&self) -> Result<Vec<Conversation>, StoreError> {
        let rows = sqlx::query_as(LEFT_OUT).fetch_all(self.readers());
        conversations(rows.await?)
    }

    /// A conversation.
    pub async fn conversation(&self, key: &str) -> Result<Option<Conversation>, StoreError> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT record FROM conversation WHERE key = $1")
                .bind(key.to_owned())
                .fetch_optional(self.readers())
                .await?;
        conversation(row)
    }

    /// The alerts of a conversation that fire, the newest first; at most `most`.
    pub async fn alerts_firing(
        &self,
        key: &str,
        most: i64,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE conversation = $1 AND firing = 1 \
             ORDER BY starts_at DESC LIMIT $2"
        )))
        .bind(key.to_owned())
        .bind(most)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(|row| Ok(alert(row)?.1)).collect()
    }

    /// The newest alerts, those that fire first; at most `most`.
    pub async fn alerts_list(
        &self,
        all: bool,
        most: i64,
    ) -> Result<Vec<(String, AlertRecord)>, StoreError> {
        let mut rows: Vec<(String, String, i64)> = Vec::new();
        let which: &[&str] = if all { &["1", "0"] } else { &["1"] };
        for firing in which {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "SELECT {RECORD} FROM alert WHERE firing = {firing} ORDER BY changed_at DESC LIMIT $1"
            )));
            let query = query.bind(most - rows.len() as i64);
            rows.extend(query.fetch_all(self.readers()).await?);
        }
        rows.into_iter().map(alert).collect()
    }

    /// The alerts whose fingerprint begins so, or that have this name; newest first, at most 200.
    pub async fn alerts_meant(&self, text: &str) -> Result<Vec<(String, AlertRecord)>, StoreError> {
        let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        // After all that begins so, in whichever order a database has its texts.
        let (first, end) = match text.to_ascii_lowercase() {
            begin if hex => (begin.clone(), begin + "zzzz"),
            begin => (begin.clone(), begin),
        };
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE (fingerprint >= $1 AND fingerprint < $2) \
             OR fingerprint = $3 OR name = $3 ORDER BY firing DESC, changed_at DESC LIMIT 200"
        )))
        .bind(first)
        .bind(end)
        .bind(text.to_owned())
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(alert).collect()
    }

    /// The fingerprints of a conversation's alerts that fire, at most 10,000.
    pub async fn fingerprints_of(&self, key: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT fingerprint FROM alert WHERE conversation = $1 AND firing = 1 LIMIT 10000",
        )
        .bind(key.to_owned())
        .fetch_all(self.readers())
        .await?)
    }
}
