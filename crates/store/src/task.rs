//! What is known of tasks.

use std::collections::BTreeMap;

use super::{Store, StoreError, Tx};
use treasury_domain::task::TaskState;

impl Tx {
    /// What is known of a task, locked.
    pub async fn task(&mut self, name: &str) -> Result<TaskState, StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("SELECT record FROM task WHERE name = $1{lock}");
        let record: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .bind(name.to_owned())
            .fetch_optional(self.connection())
            .await?;
        Ok(record
            .map(|record| serde_json::from_str(&record))
            .transpose()?
            .unwrap_or_default())
    }

    /// Records what is known of a task.
    pub async fn task_put(&mut self, name: &str, state: &TaskState) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO task (name, record) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET record = excluded.record",
        )
        .bind(name.to_owned())
        .bind(serde_json::to_string(state)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// What is known of tasks, by name.
    pub async fn tasks(&self) -> Result<BTreeMap<String, TaskState>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, record FROM task")
            .fetch_all(self.readers())
            .await?;
        let rows = rows.into_iter();
        rows.map(|(name, record)| Ok((name, serde_json::from_str(&record)?)))
            .collect()
    }
}
