//! Checklists that people work on.

use super::{Store, StoreError, Tx};
use treasury_domain::checklist::Checklist;

type Row = (i64, String);

fn checklist((id, record): Row) -> Result<Checklist, StoreError> {
    let checklist: Checklist = serde_json::from_str(&record)?;
    Ok(Checklist { id, ..checklist })
}

impl Tx {
    /// Records one that begins; its number.
    pub async fn checklist_begin(&mut self, new: &Checklist) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("INSERT INTO checklist (over, record) VALUES (0, $1) RETURNING id")
                .bind(serde_json::to_string(new)?)
                .fetch_one(self.connection())
                .await?,
        )
    }

    /// One of this number, locked.
    pub async fn checklist(&mut self, id: i64) -> Result<Option<Checklist>, StoreError> {
        let lock = self.dialect.for_update();
        let text = format!("SELECT id, record FROM checklist WHERE id = $1{lock}");
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(id)
            .fetch_optional(self.connection())
            .await?;
        row.map(checklist).transpose()
    }

    /// Records what one has become.
    pub async fn checklist_put(&mut self, one: &Checklist) -> Result<(), StoreError> {
        sqlx::query("UPDATE checklist SET over = $2, record = $3 WHERE id = $1")
            .bind(one.id)
            .bind(i64::from(one.ended.is_some()))
            .bind(serde_json::to_string(one)?)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// One of this number.
    pub async fn checklist(&self, id: i64) -> Result<Option<Checklist>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT id, record FROM checklist WHERE id = $1")
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.map(checklist).transpose()
    }

    /// The newest, those first that are not ended; at most `most`.
    pub async fn checklists(&self, most: i64) -> Result<Vec<Checklist>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT id, record FROM checklist ORDER BY over, id DESC LIMIT $1")
                .bind(most)
                .fetch_all(self.readers())
                .await?;
        rows.into_iter().map(checklist).collect()
    }
}
