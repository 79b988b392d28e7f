//! Alerts, and the conversations that report them.

use super::{Store, StoreError, Tx, moment};
use treasury_domain::ServiceName;
use treasury_domain::Severity;
use treasury_domain::alert::{AlertRecord, Conversation, Muted, Name, Summary};

/// All, those that fire, silenced, muted, unheard; since, worst severity, worst audible one.
type SummaryRow = (
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// An alert's conversation, and what is known of it.
fn alert((key, record): (String, String)) -> Result<(String, AlertRecord), StoreError> {
    Ok((key, serde_json::from_str(&record)?))
}

fn conversation(row: Option<(String,)>) -> Result<Option<Conversation>, StoreError> {
    Ok(row
        .map(|(record,)| serde_json::from_str(&record))
        .transpose()?)
}

impl Tx {
    /// Locks a group until the end of the transaction; the conversation that reports it.
    pub async fn alert_group(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        sqlx::query("INSERT INTO alert_group (name) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(name.to_owned())
            .execute(self.connection())
            .await?;
        let lock = self.dialect.for_update();
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT conversation FROM alert_group WHERE name = $1{lock}"
        )))
        .bind(name.to_owned())
        .fetch_one(self.connection())
        .await?)
    }

    /// This conversation reports the group from now on.
    pub async fn alert_group_set(&mut self, name: &str, key: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE alert_group SET conversation = $2 WHERE name = $1")
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
        for chunk in fingerprints.chunks(200) {
            let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
            let text = format!(
                "SELECT conversation, record FROM alert WHERE fingerprint IN ({})",
                places.join(", ")
            );
            let mut query = sqlx::query_as::<_, (String, String)>(sqlx::AssertSqlSafe(text));
            for fingerprint in chunk {
                query = query.bind(fingerprint.clone());
            }
            for row in query.fetch_all(self.connection()).await? {
                found.push(alert(row)?);
            }
        }
        Ok(found)
    }

    /// Records an alert.
    pub async fn alert_put(&mut self, key: &str, record: &AlertRecord) -> Result<(), StoreError> {
        let AlertRecord {
            tracked, routed, ..
        } = record;
        let alert = &tracked.alert;
        sqlx::query(
            "INSERT INTO alert (fingerprint, conversation, name, service, firing, silenced_until, \
             starts_at, changed_at, flaps, record, severity, muted) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (fingerprint) DO UPDATE SET conversation = excluded.conversation, name = excluded.name, \
             service = excluded.service, firing = excluded.firing, \
             silenced_until = excluded.silenced_until, starts_at = excluded.starts_at, \
             changed_at = excluded.changed_at, flaps = excluded.flaps, \
             record = excluded.record, severity = excluded.severity, muted = excluded.muted",
        )
        .bind(alert.fingerprint.clone())
        .bind(key.to_owned())
        .bind(alert.name().to_owned())
        .bind(routed.service.as_ref().map(ToString::to_string))
        .bind(i64::from(tracked.is_active()))
        .bind(tracked.quiet_until().map(jiff::Timestamp::as_microsecond))
        .bind(tracked.since().as_microsecond())
        .bind(tracked.changed_at.as_microsecond())
        .bind(i64::from(tracked.flapping.is_some()))
        .bind(serde_json::to_string(record)?)
        .bind(i64::from(routed.severity.number()))
        .bind(tracked.muted.as_ref().map(Muted::word))
        .execute(self.connection())
        .await?;
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
            "SELECT conversation, record FROM alert WHERE firing = 1 {only} \
             ORDER BY fingerprint LIMIT {most}{lock}"
        )));
        if let Some(key) = key {
            query = query.bind(key.to_owned());
        }
        let rows: Vec<(String, String)> = query.fetch_all(self.connection()).await?;
        rows.into_iter().map(alert).collect()
    }

    /// Alerts of a conversation that flap, locked; at most `most`.
    pub async fn alerts_flapping(
        &mut self,
        key: &str,
        most: i64,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let lock = self.dialect.for_update();
        let rows: Vec<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT conversation, record FROM alert WHERE conversation = $1 AND flaps = 1 \
             ORDER BY fingerprint LIMIT {most}{lock}"
        )))
        .bind(key.to_owned())
        .fetch_all(self.connection())
        .await?;
        rows.into_iter()
            .map(|row| alert(row).map(|(_, record)| record))
            .collect()
    }

    /// How many alerts of a conversation fire.
    pub async fn count_firing(&mut self, key: &str) -> Result<u64, StoreError> {
        let (count,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM alert WHERE conversation = $1 AND firing = 1")
                .bind(key.to_owned())
                .fetch_one(self.connection())
                .await?;
        Ok(count.unsigned_abs())
    }

    /// Whether an alert of this service fires in a conversation.
    pub async fn service_fires(
        &mut self,
        key: &str,
        service: &ServiceName,
    ) -> Result<bool, StoreError> {
        let (count,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM alert WHERE conversation = $1 AND firing = 1 AND service = $2",
        )
        .bind(key.to_owned())
        .bind(service.to_string())
        .fetch_one(self.connection())
        .await?;
        Ok(count > 0)
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

    /// The alerts of a conversation in bounded words.
    pub async fn alert_summary(&self, key: &str) -> Result<Summary, StoreError> {
        let now = self.now().as_microsecond();
        let row: SummaryRow = sqlx::query_as(
            "SELECT COUNT(*), CAST(SUM(firing) AS BIGINT), \
             CAST(SUM(CASE WHEN firing = 1 AND silenced_until > $2 THEN 1 ELSE 0 END) AS BIGINT), \
             CAST(SUM(CASE WHEN firing = 1 AND muted IN ('silenced', 'inhibited') THEN 1 ELSE 0 END) AS BIGINT), \
             CAST(SUM(CASE WHEN firing = 1 AND muted = 'unheard' THEN 1 ELSE 0 END) AS BIGINT), \
             MIN(CASE WHEN firing = 1 THEN starts_at END), \
             MIN(CASE WHEN firing = 1 THEN severity END), \
             MIN(CASE WHEN firing = 1 AND COALESCE(silenced_until, 0) <= $2 THEN severity END) \
             FROM alert WHERE conversation = $1",
        )
        .bind(key.to_owned())
        .bind(now)
        .fetch_one(self.readers())
        .await?;
        let (all, firing, silenced, muted, unheard, since, worst, worst_audible) = row;
        let firing = firing.unwrap_or(0);
        let only = if firing > 0 {
            "HAVING SUM(firing) > 0"
        } else {
            ""
        };
        // The worst first.
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT name, CAST(SUM(firing) AS BIGINT), COUNT(*) FROM alert \
             WHERE conversation = $1 GROUP BY name {only} \
             ORDER BY MIN(CASE WHEN firing = 1 THEN severity ELSE 9 END), 2 DESC, 3 DESC, 1 LIMIT 1000"
        )))
        .bind(key.to_owned())
        .fetch_all(self.readers())
        .await?;
        let more = rows.len().saturating_sub(Summary::TOP);
        let mut top = Vec::new();
        let mut shown: Option<AlertRecord> = None;
        for (name, firing, all) in rows.into_iter().take(Summary::TOP) {
            let records: Vec<(String, String)> = sqlx::query_as(
                "SELECT conversation, record FROM alert WHERE conversation = $1 AND name = $2 \
                 ORDER BY firing DESC, severity, changed_at DESC LIMIT $3",
            )
            .bind(key.to_owned())
            .bind(name.clone())
            .bind(Name::LOOKED_AT)
            .fetch_all(self.readers())
            .await?;
            let records: Result<Vec<_>, StoreError> =
                records.into_iter().map(|row| Ok(alert(row)?.1)).collect();
            let records = records?;
            top.push(Name::of(name, (firing as usize, all as usize), &records));
            shown = shown.or_else(|| records.into_iter().next());
        }
        Ok(Summary {
            firing: firing as usize,
            silenced: silenced.unwrap_or(0) as usize,
            muted: muted.unwrap_or(0) as usize,
            unheard: unheard.unwrap_or(0) as usize,
            worst: worst.map(Severity::of_number),
            worst_audible: worst_audible.map(Severity::of_number),
            resolved: (all - firing).max(0) as usize,
            top,
            more,
            shown,
            since: since.map(moment),
        })
    }

    /// How many alerts of a conversation fire.
    pub async fn count_firing(&self, key: &str) -> Result<u64, StoreError> {
        let (count,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM alert WHERE conversation = $1 AND firing = 1")
                .bind(key.to_owned())
                .fetch_one(self.readers())
                .await?;
        Ok(count.unsigned_abs())
    }

    /// The alerts of a conversation that fire, the newest first; at most `most`.
    pub async fn alerts_firing(
        &self,
        key: &str,
        most: i64,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT conversation, record FROM alert WHERE conversation = $1 AND firing = 1 \
             ORDER BY changed_at DESC LIMIT $2",
        )
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
        let only = if all { "" } else { "WHERE firing = 1" };
        let rows: Vec<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT conversation, record FROM alert {only} ORDER BY firing DESC, changed_at DESC LIMIT {most}"
        )))
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(alert).collect()
    }

    /// The alerts whose fingerprint begins so, or that have this name; newest first, at most 200.
    pub async fn alerts_meant(&self, text: &str) -> Result<Vec<(String, AlertRecord)>, StoreError> {
        let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let begins = if hex {
            format!("{text}%")
        } else {
            text.to_owned()
        };
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT conversation, record FROM alert WHERE fingerprint LIKE $1 OR name = $2 \
             ORDER BY firing DESC, changed_at DESC LIMIT 200",
        )
        .bind(begins)
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

    /// How many alerts are recorded, and how many of them fire.
    pub async fn alerts_count(&self) -> Result<(u64, u64), StoreError> {
        let (all, firing): (i64, Option<i64>) =
            sqlx::query_as("SELECT COUNT(*), CAST(SUM(firing) AS BIGINT) FROM alert")
                .fetch_one(self.readers())
                .await?;
        Ok((all.unsigned_abs(), firing.unwrap_or(0).unsigned_abs()))
    }

    /// Services with alerts that fire.
    pub async fn services_firing(&self) -> Result<Vec<ServiceName>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT service FROM alert WHERE firing = 1 AND service IS NOT NULL LIMIT 1000",
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|(name,)| {
                ServiceName::parse(&name).map_err(|e| StoreError::Unreadable(e.to_string()))
            })
            .collect()
    }
}
