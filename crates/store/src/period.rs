//! Maintenance windows and freezes.

use jiff::Timestamp;

use super::alert::{RECORD, alert};
use super::{Store, StoreError, Tx};
use treasury_domain::ServiceName;
use treasury_domain::alert::AlertRecord;
use treasury_domain::period::{Period, PeriodKind};

type Row = (i64, String);

fn period((id, record): Row) -> Result<Period, StoreError> {
    let period: Period = serde_json::from_str(&record)?;
    Ok(Period { id, ..period })
}

/// The column of a service; empty: all.
fn column(service: Option<&ServiceName>) -> String {
    service.map_or(String::new(), ToString::to_string)
}

/// Those that are not over, those of all first.
const OPEN: &str =
    "SELECT id, record FROM period WHERE kind = $1 AND over = 0 ORDER BY service LIMIT 1000";

impl Tx {
    /// Records one that begins; its number. `None`: there is one of this kind and service.
    pub async fn period_begin(&mut self, period: &Period) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "INSERT INTO period (kind, service, begins_at, over, record) \
             VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(period.kind.as_str())
        .bind(column(period.service.as_ref()))
        .bind(period.begins_at.as_microsecond())
        .bind(serde_json::to_string(period)?)
        .fetch_optional(self.connection())
        .await?)
    }

    /// Records what one has become.
    pub async fn period_put(&mut self, period: &Period) -> Result<(), StoreError> {
        sqlx::query("UPDATE period SET over = $2, record = $3 WHERE id = $1")
            .bind(period.id)
            .bind(i64::from(period.over))
            .bind(serde_json::to_string(period)?)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// One of this number, locked.
    pub async fn period(&mut self, id: i64) -> Result<Option<Period>, StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("SELECT id, record FROM period WHERE id = $1{lock}");
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(id)
            .fetch_optional(self.connection())
            .await?;
        row.map(period).transpose()
    }

    /// Those of a kind that are not over, locked: none of them ends until this transaction does.
    pub async fn periods_open(&mut self, kind: PeriodKind) -> Result<Vec<Period>, StoreError> {
        let text = format!("{OPEN}{}", self.dialect.for_update());
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(kind.as_str())
            .fetch_all(self.connection())
            .await?;
        rows.into_iter().map(period).collect()
    }

    /// One of this kind and service began at exactly this moment.
    pub async fn period_began(
        &mut self,
        kind: PeriodKind,
        service: Option<&ServiceName>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM period WHERE kind = $1 AND service = $2 AND begins_at = $3 LIMIT 1",
        )
        .bind(kind.as_str())
        .bind(column(service))
        .bind(at.as_microsecond())
        .fetch_optional(self.connection())
        .await?;
        Ok(found.is_some())
    }

    /// The last of this kind and service.
    pub async fn period_last(
        &mut self,
        kind: PeriodKind,
        service: &ServiceName,
    ) -> Result<Option<Period>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, record FROM period WHERE kind = $1 AND service = $2 ORDER BY id DESC LIMIT 1",
        )
        .bind(kind.as_str())
        .bind(service.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.map(period).transpose()
    }

    /// The alerts of a service that are kept quiet until exactly then, with their conversations: those
    /// that a window holds.
    pub async fn alerts_held(
        &mut self,
        service: &ServiceName,
        until: Timestamp,
    ) -> Result<Vec<(String, AlertRecord)>, StoreError> {
        // What is muted besides has the end of time there.
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE silenced_until >= $2 AND service = $1 \
             ORDER BY fingerprint LIMIT 10000"
        )))
        .bind(service.to_string())
        .bind(until.as_microsecond())
        .fetch_all(self.connection())
        .await?;
        let mut held = Vec::new();
        for row in rows {
            let (key, record) = alert(row)?;
            if record.tracked.silenced_until == Some(until) {
                held.push((key, record));
            }
        }
        Ok(held)
    }
}

impl Store {
    /// Those of a kind that are not over, those of all services first.
    pub async fn periods_open(&self, kind: PeriodKind) -> Result<Vec<Period>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(OPEN)
            .bind(kind.as_str())
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(period).collect()
    }
}
