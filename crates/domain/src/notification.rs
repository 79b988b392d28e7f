//! Notifications: to whom, by which way, about what. Plain words; `notify/` makes of them what each
//! way needs.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::mail::Mailbox;
use super::timeline::cut;
use super::{Incident, IncidentId, Message};

/// A longer subject is cut.
const MAX_SUBJECT: usize = 150;

/// A way to reach somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A mailbox.
    Email,
}

impl Channel {
    /// The word as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
        }
    }

    /// What one notification is called.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Email => "e-mail",
        }
    }
}

/// Where somebody is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipient {
    /// By e-mail.
    Email(Mailbox),
}

impl Recipient {
    /// The way it is reached.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
        }
    }

    /// The name people know.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Email(mailbox) => mailbox.name.as_deref(),
        }
    }

    /// The address alone; it tells recipients of a channel apart.
    pub fn address(&self) -> &str {
        match self {
            Self::Email(mailbox) => mailbox.address.as_str(),
        }
    }

    /// Both reach the same place, as far as one can tell from outside.
    pub fn is_same(&self, other: &Self) -> bool {
        let (Self::Email(one), Self::Email(other)) = (self, other);
        one.address.is_same(&other.address)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(mailbox) => mailbox.fmt(f),
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
}

crate::words!(Purpose {
    Escalation: "escalation",
    Stakeholders: "stakeholders",
    Runbook: "runbook",
});

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
