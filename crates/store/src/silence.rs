//! Silences that are kept in Alertmanager too.

use super::alert::{RECORD, alert};
use super::{Store, StoreError, Tx};
use treasury_domain::alert::{AlertRecord, Silence};

fn silence((record,): (String,)) -> Result<Silence, StoreError> {
    Ok(serde_json::from_str(&record)?)
}

impl Tx {
    /// Records a silence; `ended`: nothing more is to be done with it.
    pub async fn silence_put(&mut self, silence: &Silence, ended: bool) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO silence (id, ended, record) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, record = excluded.record",
        )
        .bind(silence.id.clone())
        .bind(i64::from(ended))
        .bind(serde_json::to_string(silence)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A silence, locked.
    pub async fn silence(&mut self, id: &str) -> Result<Option<Silence>, StoreError> {
        let lock = self.dialect.for_update();
        let row: Option<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT record FROM silence WHERE id = $1{lock}"
        )))
        .bind(id.to_owned())
        .fetch_optional(self.connection())
        .await?;
        row.map(silence).transpose()
    }

    /// Silences with which something is still to be done, locked; the newest 200.
    pub async fn silences_open(&mut self) -> Result<Vec<Silence>, StoreError> {
        let lock = self.dialect.for_update();
        let rows: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT record FROM silence WHERE ended = 0 ORDER BY id DESC LIMIT 200{lock}"
        )))
        .fetch_all(self.connection())
        .await?;
        rows.into_iter().map(silence).collect()
    }

    /// The alerts of a conversation that are silenced until exactly then.
    pub async fn alerts_silenced_until(
        &mut self,
        key: &str,
        until: jiff::Timestamp,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {RECORD} FROM alert WHERE conversation = $1 AND silenced_until = $2"
        )))
        .bind(key.to_owned())
        .bind(until.as_microsecond())
        .fetch_all(self.connection())
        .await?;
        rows.into_iter().map(|row| Ok(alert(row)?.1)).collect()
    }
}

impl Store {
    /// A silence.
    pub async fn silence(&self, id: &str) -> Result<Option<Silence>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT record FROM silence WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(self.readers())
            .await?;
        row.map(silence).transpose()
    }
}
