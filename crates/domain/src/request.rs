//! What somebody asks of the bot, whatever door it came in by.

use serde::{Deserialize, Serialize};

use super::Person;

/// One sentence said to the bot. A button press is the sentence the button stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Idempotency key: the same key again is the same request, delivered twice.
    pub key: String,
    /// How it came in.
    pub door: Door,
    /// Who asks.
    pub person: Person,
    /// Where it was said.
    pub place: Place,
    /// The words, without the slash command's own name.
    pub text: String,
    /// Ways to answer that only this request has.
    #[serde(default)]
    pub reply: Reply,
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// A slash command.
    Command,
    /// `@treasury …` in a channel or thread.
    Mention,
    /// A button or menu of one of our messages, or a submitted form.
    Button,
    /// `treasury-bot exec`.
    Terminal,
    /// The link of a notification.
    Page,
}

/// Where something is said: a channel, or a thread in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Slack's channel id, a channel name with `#`, or [`Place::TERMINAL`].
    pub channel: String,
    /// Timestamp of the thread's first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

impl Place {
    /// The channel of requests from the terminal; nothing is ever posted there.
    pub const TERMINAL: &'static str = "terminal";

    /// A channel, outside any thread.
    pub fn channel(id: impl Into<String>) -> Self {
        Self {
            channel: id.into(),
            thread: None,
        }
    }

    /// The terminal.
    pub fn terminal() -> Self {
        Self::channel(Self::TERMINAL)
    }

    /// Nothing is posted there: the requester's terminal shows the answer.
    pub fn is_terminal(&self) -> bool {
        self.channel == Self::TERMINAL
    }
}

/// Ways to answer that only this request has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    /// Slack's address for answers to this very request: 5 uses within 30 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_url: Option<String>,
    /// Timestamp of the message whose button was pressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The pressed message is visible to the presser only.
    #[serde(default)]
    pub ephemeral: bool,
}
