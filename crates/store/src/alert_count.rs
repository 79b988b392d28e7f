//! How alerts stand, from what is counted with each change (`alert_count`): no read grows with how many
//! alerts there are.

use sqlx::AnyConnection;

use super::alert::{RECORD, alert};
use super::{Store, StoreError, Tx, moment};
use treasury_domain::alert::{AlertRecord, Name, Summary};
use treasury_domain::{ServiceName, Severity};

/// All, those that fire, silenced, muted, unheard; worst severity, worst audible one.
type SummaryRow = (i64, i64, i64, i64, i64, Option<i64>, Option<i64>);

/// How many alerts of a conversation fire.
const FIRING: &str = "SELECT CAST(COALESCE(SUM(alerts), 0) AS BIGINT) FROM alert_count \
                      WHERE conversation = $1 AND firing = 1";

/// How many of those counted are so.
fn sum(so: &str) -> String {
    format!("CAST(COALESCE(SUM(CASE WHEN {so} THEN alerts ELSE 0 END), 0) AS BIGINT)")
}

impl Tx {
    /// How many alerts of a conversation fire.
    pub async fn count_firing(&mut self, key: &str) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar(FIRING).bind(key.to_owned());
        let count: i64 = count.fetch_one(self.connection()).await?;
        Ok(count.unsigned_abs())
    }

    /// Whether an alert of this service fires in a conversation.
    pub async fn service_fires(
        &mut self,
        key: &str,
        service: &ServiceName,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT alerts FROM alert_count \
             WHERE conversation = $1 AND firing = 1 AND service = $2 AND alerts > 0 LIMIT 1",
        )
        .bind(key.to_owned())
        .bind(service.to_string())
        .fetch_optional(self.connection())
        .await?;
        Ok(found.is_some())
    }

    /// The alerts of a conversation in bounded words.
    pub async fn alert_summary(&mut self, key: &str) -> Result<Summary, StoreError> {
        let now = self.now().as_microsecond();
        summary(self.connection(), now, key).await
    }

    /// Services with alerts that fire.
    pub async fn services_firing(&mut self) -> Result<Vec<ServiceName>, StoreError> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT service FROM alert_count WHERE firing = 1 AND service <> '' LIMIT 1000",
        )
        .fetch_all(self.connection())
        .await?;
        let service = |name: String| {
            ServiceName::parse(&name).map_err(|e| StoreError::Unreadable(e.to_string()))
        };
        rows.into_iter().map(service).collect()
    }

    /// The services of which alerts fire in a conversation that people have to be told of, with the
    /// worst of each; `None`: those of no known service.
    pub async fn services_audible(
        &mut self,
        key: &str,
    ) -> Result<Vec<(Option<ServiceName>, Severity)>, StoreError> {
        let now = self.now().as_microsecond();
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT service, MIN(severity) FROM alert_count WHERE conversation = $1 AND firing = 1 \
             AND alerts > 0 AND silenced_until <= $2 GROUP BY service",
        )
        .bind(key.to_owned())
        .bind(now)
        .fetch_all(self.connection())
        .await?;
        let row = |(name, worst): (String, i64)| {
            let name = Some(name).filter(|name| !name.is_empty());
            let name = name.map(|name| ServiceName::parse(&name)).transpose();
            let name = name.map_err(|e| StoreError::Unreadable(e.to_string()))?;
            Ok((name, Severity::of_number(worst)))
        };
        rows.into_iter().map(row).collect()
    }
}

impl Store {
    /// The alerts of a conversation in bounded words.
    pub async fn alert_summary(&self, key: &str) -> Result<Summary, StoreError> {
        let now = self.now().as_microsecond();
        summary(&mut *self.readers().acquire().await?, now, key).await
    }

    /// How many alerts of a conversation fire.
    pub async fn count_firing(&self, key: &str) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar(FIRING).bind(key.to_owned());
        let count: i64 = count.fetch_one(self.readers()).await?;
        Ok(count.unsigned_abs())
    }

    /// How many alerts are recorded, and how many of them fire.
    pub async fn alerts_count(&self) -> Result<(u64, u64), StoreError> {
        let text = format!(
            "SELECT CAST(COALESCE(SUM(alerts), 0) AS BIGINT), {} FROM alert_count",
            sum("firing = 1")
        );
        let counts = sqlx::query_as(sqlx::AssertSqlSafe(text));
        let (all, firing): (i64, i64) = counts.fetch_one(self.readers()).await?;
        Ok((all.unsigned_abs(), firing.unsigned_abs()))
    }
}

/// The alerts of a conversation in bounded words.
async fn summary(
    connection: &mut AnyConnection,
    now: i64,
    key: &str,
) -> Result<Summary, StoreError> {
    let row: SummaryRow = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT CAST(COALESCE(SUM(alerts), 0) AS BIGINT), {}, {}, {}, {}, \
             MIN(CASE WHEN firing = 1 THEN severity END), \
             MIN(CASE WHEN firing = 1 AND silenced_until <= $2 THEN severity END) \
             FROM alert_count WHERE conversation = $1",
        sum("firing = 1"),
        sum("firing = 1 AND silenced_until > $2"),
        sum("firing = 1 AND muted IN ('silenced', 'inhibited')"),
        sum("firing = 1 AND muted = 'unheard'"),
    )))
    .bind(key.to_owned())
    .bind(now)
    .fetch_one(&mut *connection)
    .await?;
    let (all, firing, silenced, muted, unheard, worst, worst_audible) = row;
    let since: Option<i64> = sqlx::query_scalar(
        "SELECT starts_at FROM alert WHERE conversation = $1 AND firing = 1 \
             ORDER BY starts_at LIMIT 1",
    )
    .bind(key.to_owned())
    .fetch_optional(&mut *connection)
    .await?;
    // The worst first.
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT name, {}, CAST(SUM(alerts) AS BIGINT) FROM alert_count \
             WHERE conversation = $1 GROUP BY name {} \
             ORDER BY MIN(CASE WHEN firing = 1 THEN severity ELSE 9 END), 2 DESC, 3 DESC, 1 LIMIT 1000",
            sum("firing = 1"),
            if firing > 0 { "HAVING MAX(firing) = 1" } else { "" },
        )))
        .bind(key.to_owned())
        .fetch_all(&mut *connection)
        .await?;
    let more = rows.len().saturating_sub(Summary::TOP);
    let mut top = Vec::new();
    let mut shown: Option<AlertRecord> = None;
    for (name, firing, all) in rows.into_iter().take(Summary::TOP) {
        let records: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE conversation = $1 AND name = $2 \
                     ORDER BY firing DESC, severity, changed_at DESC LIMIT $3"
        )))
        .bind(key.to_owned())
        .bind(name.clone())
        .bind(Name::LOOKED_AT)
        .fetch_all(&mut *connection)
        .await?;
        let records: Result<Vec<_>, StoreError> =
            records.into_iter().map(|row| Ok(alert(row)?.1)).collect();
        let records = records?;
        top.push(Name::of(name, (firing as usize, all as usize), &records));
        shown = shown.or_else(|| records.into_iter().next());
    }
    Ok(Summary {
        firing: firing as usize,
        silenced: silenced as usize,
        muted: muted as usize,
        unheard: unheard as usize,
        worst: worst.map(Severity::of_number),
        worst_audible: worst_audible.map(Severity::of_number),
        resolved: (all - firing).max(0) as usize,
        top,
        more,
        shown,
        since: since.map(moment),
    })
}
