//! What is to be said and done in the chat. `bot/` writes these into the outbox; a door delivers
//! them. The newest state of a message is all that counts: putting the same key again edits it.

use serde::{Deserialize, Serialize};

use super::{Audience, Incident, IncidentId, Message, Person, Place, Reply, Severity};

/// One thing to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Names the message for ever: the same key again replaces its content.
    pub key: String,
    /// Where to.
    pub to: Destination,
    /// Who is to see it. [`Audience::Requester`] needs `requester`.
    pub audience: Audience,
    /// Whose request this answers.
    #[serde(rename = "asker", default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Person>,
    /// Ways to answer that only this request has, used where the channel itself can't be posted to
    /// and for answers to the requester only.
    #[serde(default)]
    pub reply: Reply,
    /// How bad what it tells of is: of what waits the worst is delivered first. `None`: nothing bad,
    /// such as an answer; it comes after SEV2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What to deliver.
    pub content: Content,
}

impl Outgoing {
    /// The same delivery, as urgent as something of this severity.
    pub fn urgent(self, severity: Severity) -> Self {
        Self {
            severity: Some(severity),
            ..self
        }
    }

    /// What of several is delivered first: the lowest, from 1 to 5.
    pub fn urgency(&self) -> i64 {
        match self.severity {
            Some(Severity::Sev1) => 1,
            Some(Severity::Sev2) => 2,
            None => 3,
            Some(Severity::Sev3) => 4,
            Some(Severity::Sev4) => 5,
        }
    }

    /// The same delivery with other content.
    pub fn with(&self, content: Content) -> Self {
        Self {
            content,
            ..self.clone()
        }
    }

    /// What is kept of a picture once it is in the chat: all but its content, since nobody edits it.
    /// `None`: all; a message may have to be shown once more, and of a file the content is elsewhere.
    pub fn delivered(&self) -> Option<Self> {
        if !matches!(self.content, Content::Picture { .. }) {
            return None;
        }
        let mut left = self.clone();
        if let Content::Picture { png, .. } = &mut left.content {
            png.clear();
        }
        Some(left)
    }

    /// A message of the bot's own accord, to be seen by everybody.
    pub fn announcement(key: String, to: Destination, message: Message) -> Self {
        Self {
            key,
            to,
            audience: Audience::Everyone,
            requester: None,
            reply: Reply::default(),
            severity: None,
            content: Content::Message(message),
        }
    }
}

/// The key of the message that announces an incident in the main channel.
pub fn announcement_key(incident: IncidentId) -> String {
    format!("incident:{incident}:announcement")
}

/// The key of the message that tells that an incident's channel can't be written to.
pub fn moved_key(incident: IncidentId) -> String {
    format!("incident:{incident}:moved")
}

/// Where something is to be delivered. New messages to one destination come worst first and
/// otherwise keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// A channel or thread.
    Place(Place),
    /// Wherever this incident is worked on; waits for the place that is being made.
    Incident(IncidentId),
    /// The configured main channel.
    Home,
    /// A channel that the configuration names, by name or id; the main one where it can't be posted
    /// to, which is then said.
    Channel(String),
}

impl Destination {
    /// Nothing is sent: the requester's terminal reads it from the store.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Place(place) if place.is_terminal())
    }

    /// The lane that keeps the order: one a channel.
    pub fn lane(&self) -> String {
        match self {
            Self::Place(place) => format!("channel:{}", place.channel),
            Self::Incident(id) => format!("incident:{id}"),
            Self::Home => "home".to_owned(),
            Self::Channel(channel) => format!("channel:{channel}"),
        }
    }
}

/// An incident's timeline as a file. The entries stay where they are, and are read from there whenever
/// the file is needed: they don't change, so that it is the same each time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineFile {
    /// The ending of its name, which tells its form: `json`.
    pub format: String,
    /// The incident as it stood.
    pub incident: Incident,
    /// How many entries there were.
    pub entries: i64,
    /// The hash of the last one.
    pub head: String,
    /// When it was asked for.
    pub at: jiff::Timestamp,
}

/// What is to be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A message, new or edited.
    Message(Message),
    /// Make the place where an incident is worked on: a channel of its own, or, where that is
    /// not possible, a thread under its announcement. The place is written to the incident. What
    /// is for the incident waits until then.
    Room {
        /// The incident.
        incident: IncidentId,
        /// Wanted channel name, such as `inc-12-frontend-502`; `None` for a thread.
        name: Option<String>,
        /// The channel's topic.
        topic: String,
    },
    /// Invite somebody to the incident's channel, and say so in a direct message, with a link.
    Invite {
        /// The incident.
        incident: IncidentId,
        /// Whom.
        person: Person,
        /// The direct message; the link is added.
        message: Message,
    },
    /// Set the topic of the incident's channel (nothing is done for a thread).
    Topic {
        /// The incident.
        incident: IncidentId,
        /// The new topic.
        topic: String,
    },
    /// A timeline as a file, with a comment.
    File {
        /// File name.
        name: String,
        /// Shown above it.
        title: String,
        /// What is in it.
        file: Box<TimelineFile>,
        /// Said with it, one line.
        comment: Message,
    },
    /// A picture with a comment.
    Picture {
        /// File name, `.png`.
        name: String,
        /// Shown above it.
        title: String,
        /// The PNG, base64.
        png: String,
        /// What it shows, for who can't see it.
        alt: String,
        /// Said with it, one line.
        comment: Message,
    },
}
