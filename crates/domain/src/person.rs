//! People and what they may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Somebody, or something, that acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Slack's user id (`U…`), or `terminal:NAME`, or [`Person::BOT_ID`].
    pub id: String,
    /// The name people know.
    pub name: String,
}

impl Person {
    /// The id the bot acts under by itself.
    pub const BOT_ID: &'static str = "bot";

    /// The bot itself: recovery, timers, follow-ups.
    pub fn bot() -> Self {
        Self {
            id: Self::BOT_ID.into(),
            name: "treasury-bot".into(),
        }
    }

    /// Somebody at the terminal of the machine the bot runs on.
    pub fn terminal(login: &str) -> Self {
        Self {
            id: format!("terminal:{login}"),
            name: login.to_owned(),
        }
    }

    /// The id is one of Slack's, so that Slack can mention it.
    pub fn is_on_slack(&self) -> bool {
        is_slack_user_id(&self.id)
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Slack's user ids are `U` or `W` and upper-case letters and digits.
pub fn is_slack_user_id(id: &str) -> bool {
    id.len() >= 2
        && id.len() <= 64
        && id.starts_with(['U', 'W'])
        && id
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// What somebody may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Help only.
    Nobody,
    /// Everything that only reads.
    Viewer,
    /// Actions on services; writes to incidents.
    Responder,
    /// What needs a commander.
    Commander,
}

crate::words!(Role {
    Nobody: "nobody",
    Viewer: "viewer",
    Responder: "responder",
    Commander: "commander",
});
