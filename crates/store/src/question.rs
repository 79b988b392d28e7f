//! Questions that await a button: each can be answered once.

use super::{Store, StoreError, Tx, moment};
use treasury_domain::question::{Question, QuestionRow, QuestionState};

type Row = (String, String, String, i64);

fn question(row: Row) -> Result<QuestionRow, StoreError> {
    let (token, record, state, expires_at) = row;
    Ok(QuestionRow {
        token,
        question: serde_json::from_str(&record)?,
        state: QuestionState::parse(&state)
            .ok_or_else(|| StoreError::Unreadable(format!("question state `{state}`")))?,
        expires_at: moment(expires_at),
    })
}

impl Tx {
    /// Asks, unless the same (`same`) is being asked already: then that one is returned.
    pub async fn question_put(
        &mut self,
        token: &str,
        same: &str,
        asked: &Question,
        expires_at: jiff::Timestamp,
    ) -> Result<Option<QuestionRow>, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO question (token, record, same, state, expires_at) \
             VALUES ($1, $2, $3, 'open', $4) ON CONFLICT DO NOTHING RETURNING token",
        )
        .bind(token.to_owned())
        .bind(serde_json::to_string(asked)?)
        .bind(same.to_owned())
        .bind(expires_at.as_microsecond())
        .fetch_optional(self.connection())
        .await?;
        if inserted.is_some() {
            return Ok(None);
        }
        let row: Option<Row> = sqlx::query_as(
            "SELECT token, record, state, expires_at FROM question WHERE same = $1 AND state = 'open'",
        )
        .bind(same.to_owned())
        .fetch_optional(self.connection())
        .await?;
        row.map(question).transpose()
    }

    /// Takes the answer if the question is still open; returns it as it stood before. Only the call
    /// that sees [`QuestionState::Open`] has answered it.
    pub async fn question_answer(
        &mut self,
        token: &str,
        answer: QuestionState,
    ) -> Result<Option<QuestionRow>, StoreError> {
        let taken: Option<Row> = sqlx::query_as(
            "UPDATE question SET state = $1 WHERE token = $2 AND state = 'open' \
             RETURNING token, record, 'open', expires_at",
        )
        .bind(answer.as_str())
        .bind(token.to_owned())
        .fetch_optional(self.connection())
        .await?;
        if let Some(row) = taken {
            return question(row).map(Some);
        }
        let row: Option<Row> = sqlx::query_as(
            "SELECT token, record, state, expires_at FROM question WHERE token = $1",
        )
        .bind(token.to_owned())
        .fetch_optional(self.connection())
        .await?;
        row.map(question).transpose()
    }
}

impl Store {
    /// The question of this token.
    pub async fn question(&self, token: &str) -> Result<Option<QuestionRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT token, record, state, expires_at FROM question WHERE token = $1",
        )
        .bind(token.to_owned())
        .fetch_optional(self.readers())
        .await?;
        row.map(question).transpose()
    }

    /// Open questions whose time is over.
    pub async fn questions_overdue(&self) -> Result<Vec<QuestionRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT token, record, state, expires_at FROM question \
             WHERE state = 'open' AND expires_at < $1 LIMIT 100",
        )
        .bind(self.now().as_microsecond())
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(question).collect()
    }
}
