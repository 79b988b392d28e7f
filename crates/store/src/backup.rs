//! The catalogue of backups.

use super::{Store, StoreError, Tx};
use treasury_domain::backup::Backup;

const ONE: &str = "SELECT record FROM backup WHERE name = $1 AND id = $2";

impl Tx {
    /// A backup, locked.
    pub async fn backup(&mut self, name: &str, id: &str) -> Result<Option<Backup>, StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("{ONE}{lock}");
        let record: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .bind(name.to_owned())
            .bind(id.to_owned())
            .fetch_optional(self.connection())
            .await?;
        one(record)
    }

    /// The backups of this name, the newest first, locked.
    pub async fn backups_of(&mut self, name: &str) -> Result<Vec<Backup>, StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("SELECT record FROM backup WHERE name = $1 ORDER BY id DESC{lock}");
        let records: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .bind(name.to_owned())
            .fetch_all(self.connection())
            .await?;
        read(&records)
    }

    /// Records a backup.
    pub async fn backup_put(&mut self, backup: &Backup) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO backup (name, id, record) VALUES ($1, $2, $3) \
             ON CONFLICT (name, id) DO UPDATE SET record = excluded.record",
        )
        .bind(backup.name.clone())
        .bind(backup.id.clone())
        .bind(serde_json::to_string(backup)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// A backup.
    pub async fn backup(&self, name: &str, id: &str) -> Result<Option<Backup>, StoreError> {
        let record: Option<String> = sqlx::query_scalar(ONE)
            .bind(name.to_owned())
            .bind(id.to_owned())
            .fetch_optional(self.readers())
            .await?;
        one(record)
    }

    /// All backups that ever were, the newest first.
    pub async fn backups(&self) -> Result<Vec<Backup>, StoreError> {
        let text = "SELECT record FROM backup ORDER BY id DESC, name";
        let records: Vec<String> = sqlx::query_scalar(text).fetch_all(self.readers()).await?;
        read(&records)
    }
}

fn one(record: Option<String>) -> Result<Option<Backup>, StoreError> {
    Ok(record
        .map(|record| serde_json::from_str(&record))
        .transpose()?)
}

fn read(records: &[String]) -> Result<Vec<Backup>, StoreError> {
    let read = |record: &String| Ok(serde_json::from_str(record)?);
    records.iter().map(read).collect()
}
