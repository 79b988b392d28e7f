//! Notifications: to whom, by which way, about what. Plain words; `notify/` makes of them what each
//! way needs.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::mail::Mailbox;
use super::timeline::{cut, hex};
use super::{Incident, IncidentId, Message, Person, Severity};

/// A longer subject is cut.
const MAX_SUBJECT: usize = 150;

/// A way to reach somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A mailbox.
    Email,
    /// A direct message in Slack.
    Slack,
    /// A way of `[reach]` in the configuration, by its name.
    Way(String),
}

impl Channel {
    /// The word as stored.
    pub fn as_str(&self) -> Cow<'_, str> {
        match self {
            Self::Email => "email".into(),
            Self::Slack => "slack".into(),
            Self::Way(name) => format!("reach:{name}").into(),
        }
    }

    /// What one notification is called.
    pub fn noun(&self) -> String {
        match self {
            Self::Email => "e-mail".to_owned(),
            Self::Slack => "direct message".to_owned(),
            Self::Way(name) => format!("{name} message"),
        }
    }
}

/// Where somebody is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipient {
    /// By e-mail.
    Email(Mailbox),
    /// By a direct message in Slack.
    Slack(Person),
    /// By a way of `[reach]`.
    Way(WayRecipient),
}

/// Somebody at the end of a way of `[reach]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayRecipient {
    /// The way's name.
    pub way: String,
    /// What the way knows them by: a topic, a key, a number; empty where it needs none.
    pub to: String,
    /// Who it is.
    pub name: String,
    /// It also hears of the acknowledgement and of the end.
    #[serde(default)]
    pub follows: bool,
}

/// A way in the order in which somebody is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Where.
    pub to: Recipient,
    /// How long after they are asked.
    pub after: Duration,
}

impl Recipient {
    /// The way it is reached.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Slack(_) => Channel::Slack,
            Self::Way(to) => Channel::Way(to.way.clone()),
        }
    }

    /// The name people know.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Email(mailbox) => mailbox.name.as_deref(),
            Self::Slack(person) => Some(&person.name),
            Self::Way(to) => Some(&to.name),
        }
    }

    /// The address alone; it tells recipients of a channel apart.
    pub fn address(&self) -> &str {
        match self {
            Self::Email(mailbox) => mailbox.address.as_str(),
            Self::Slack(person) => &person.id,
            Self::Way(to) => &to.to,
        }
    }

    /// How it is named where everybody reads: of a way the name alone, since some take who knows
    /// the address for a friend.
    pub fn shown(&self) -> &str {
        match self {
            Self::Email(mailbox) => mailbox.address.as_str(),
            Self::Slack(person) => &person.name,
            Self::Way(to) => &to.name,
        }
    }

    /// Both reach the same place, as far as one can tell from outside.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Email(one), Self::Email(other)) => one.address.is_same(&other.address),
            _ => self == other,
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(mailbox) => mailbox.fmt(f),
            _ => f.write_str(self.shown()),
        }
    }
}

/// What a notification is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Somebody is to acknowledge an alert: it is urgent.
    Escalation,
    /// Stakeholders hear of an incident.
    Stakeholders,
    /// A runbook wanted it.
    Runbook,
    /// Somebody has acknowledged: what a way goes on with by itself ends.
    Acknowledged,
    /// It is over.
    Over,
}

crate::words!(Purpose {
    Escalation: "escalation",
    Stakeholders: "stakeholders",
    Runbook: "runbook",
    Acknowledged: "acknowledged",
    Over: "over",
});

/// What somebody is asked to acknowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckRequest {
    /// Who is asked.
    pub person: Person,
    /// The key of the conversation.
    pub conversation: String,
    /// What acknowledges it, without the command's name.
    #[serde(rename = "says")]
    pub sentence: String,
    /// How bad it is.
    pub severity: Severity,
}

/// What belongs together: a mail program shows it as one thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Names it, also beyond this installation.
    pub key: String,
    /// One line, the same for all of a thread: some mail programs take another one for another
    /// thread.
    pub subject: String,
}

impl Thread {
    /// A thread of this key and subject.
    pub fn new(key: String, subject: &str) -> Self {
        Self {
            key,
            subject: one_line(subject),
        }
    }

    /// The thread of an incident. Another installation's first incident is not this one's.
    pub fn of(incident: &Incident) -> Self {
        Self::new(
            format!("{}/{}", incident.id, incident.declared_at.as_microsecond()),
            &format!("[{}] {}", incident.id, incident.title),
        )
    }
}

/// One notification to one recipient: so that a recipient that is refused keeps nothing from the
/// others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Names it for ever: one of a known key is not sent again.
    pub key: String,
    /// Who gets it.
    pub to: Recipient,
    /// What for.
    pub purpose: Purpose,
    /// The incident it is about.
    pub incident: Option<IncidentId>,
    /// What it belongs to.
    pub thread: Thread,
    /// What it says.
    pub message: Message,
    /// When it was written.
    pub at: Timestamp,
    /// What is to be acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Box<AckRequest>>,
}

impl Notification {
    /// What names it to others, the same at each attempt: 32 hexadecimal digits.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(format!("{}\n{}", self.thread.key, self.key));
        hex(&digest[..16])
    }
}

/// A text on one line, without what could end it, cut to the length of a subject.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    cut(&words.join(" "), MAX_SUBJECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_line() {
        assert_eq!(one_line("a\r\nBcc: b\t c\u{0}d"), "a Bcc: b c d");
        assert!(one_line(&"x".repeat(500)).len() <= MAX_SUBJECT);
    }
}
