//! Questions that await a button: each can be answered once.

use serde::{Deserialize, Serialize};

use crate::{Outgoing, Person};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The command to be confirmed, as a sentence.
    pub sentence: String,
    /// Who asked for it.
    #[serde(rename = "asker")]
    pub requester: Person,
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

crate::words!(QuestionState {
    Open: "open",
    Confirmed: "confirmed",
    Cancelled: "cancelled",
    Expired: "expired",
});

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
