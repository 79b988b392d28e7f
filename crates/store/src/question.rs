//! Questions that await a button: each can be answered once.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, Tx, moment};
use treasury_domain::{Outgoing, Person};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The command to be confirmed, as a sentence.
    pub sentence: String,
    /// Who asked for it.
    pub asker: Person,
    /// The message that asks; it becomes the progress and the answer.
    pub message: Outgoing,
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionState {
    /// It awaits its answer.
    Open,
    /// Somebody said yes.
    Confirmed,
    /// Somebody said no.
    Cancelled,
    /// Nobody said anything in time.
    Expired,
}

impl QuestionState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Open, Self::Confirmed, Self::Cancelled, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::Unreadable(format!("question state `{text}`")))
    }
}

/// A question with its token and state.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionRow {
    /// What the button carries.
    pub token: String,
    /// What was asked.
    pub question: Question,
    /// Where it stands.
    pub state: QuestionState,
    /// Until when it can be answered.
    pub expires_at: jiff::Timestamp,
}

type Row = (String, String, String, i64);

fn question(row: Row) -> Result<QuestionRow, StoreError> {
    let (token, record, state, expires_at) = row;
    Ok(QuestionRow {
        token,
        question: serde_json::from_str(&record)?,
        state: QuestionState::parse(&state)?,
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
