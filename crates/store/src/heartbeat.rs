//! What is known of heartbeats.

use std::collections::BTreeMap;

use super::{Store, StoreError, Tx};
use treasury_domain::heartbeat::Heard;

impl Tx {
    /// What is known of a heartbeat, locked.
    pub async fn heartbeat(&mut self, name: &str) -> Result<Option<Heard>, StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("SELECT record FROM heartbeat WHERE name = $1{lock}");
        let record: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .bind(name.to_owned())
            .fetch_optional(self.connection())
            .await?;
        Ok(record
            .map(|record| serde_json::from_str(&record))
            .transpose()?)
    }

    /// Records what is known of a heartbeat.
    pub async fn heartbeat_put(&mut self, name: &str, heard: &Heard) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO heartbeat (name, record) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET record = excluded.record",
        )
        .bind(name.to_owned())
        .bind(serde_json::to_string(heard)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets a heartbeat.
    pub async fn heartbeat_remove(&mut self, name: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM heartbeat WHERE name = $1")
            .bind(name.to_owned())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// All heartbeats that are known, by name.
    pub async fn heartbeats(&self) -> Result<BTreeMap<String, Heard>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, record FROM heartbeat")
            .fetch_all(self.readers())
            .await?;
        let read = |(name, record): (String, String)| Ok((name, serde_json::from_str(&record)?));
        rows.into_iter().map(read).collect()
    }
}
