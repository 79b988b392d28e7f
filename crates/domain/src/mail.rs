//! Mails: to whom, about what, in which thread. Plain words; `notify/` makes text and HTML of them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::timeline::{cut, hex};
use super::words::checked_text;
use super::{Incident, IncidentId, Message};

/// A longer subject is cut.
const MAX_SUBJECT: usize = 150;

/// Why a text is no mail address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no e-mail address: write `ana@example.com` or `Ana Ruiz <ana@example.com>`")]
pub struct InvalidAddress(String);

/// A mail address: ASCII, without quotes, comments or anything else that could end a line or begin
/// another address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Address(String);

impl Address {
    /// Reads `ana@example.com`; the domain becomes lower-case.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let bad = || InvalidAddress(text.chars().take(80).collect());
        let (local, domain) = text.rsplit_once('@').ok_or_else(bad)?;
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let dotted = |text: &str, part: &dyn Fn(&str) -> bool| text.split('.').all(part);
        let local_good = (1..=64).contains(&local.len())
            && dotted(local, &|part| !part.is_empty() && part.chars().all(atom));
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if local_good && dotted(domain, &label) && text.len() <= 254 {
            Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
        } else {
            Err(bad())
        }
    }

    /// What follows the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Both reach the same mailbox, as far as one can tell from outside.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

checked_text!(Address, InvalidAddress);

/// A mail address with the name of whoever reads there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The name people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where mail goes.
    pub address: Address,
}

impl Mailbox {
    /// Reads `ana@example.com` or `Ana Ruiz <ana@example.com>`.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let bad = || InvalidAddress(text.chars().take(80).collect());
        let text = text.trim();
        let Some(inner) = text.strip_suffix('>') else {
            return Ok(Self {
                name: None,
                address: Address::parse(text)?,
            });
        };
        let (name, address) = inner.rsplit_once('<').ok_or_else(bad)?;
        let name = name.trim().trim_matches('"').trim();
        if !Self::is_name(name) && !name.is_empty() {
            return Err(bad());
        }
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address: Address::parse(address.trim()).map_err(|_| bad())?,
        })
    }

    /// A name can stand before an address.
    pub fn is_name(text: &str) -> bool {
        !text.trim().is_empty()
            && text.len() <= 100
            && !text.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | '"' | '\\'))
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => self.address.fmt(f),
        }
    }
}

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Somebody is asked to acknowledge an alert: it is urgent.
    Ask,
    /// Stakeholders are told how an incident stands.
    Stakeholders,
    /// A runbook wanted it.
    Runbook,
}

crate::words!(Purpose {
    Ask: "ask",
    Stakeholders: "stakeholders",
    Runbook: "runbook",
});

/// One mail to one mailbox: so that a mailbox that is refused keeps nothing from the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// Names it for ever: a mail of a known key is not sent again.
    pub key: String,
    /// Who gets it.
    pub to: Mailbox,
    /// What for.
    pub purpose: Purpose,
    /// The incident it is about.
    pub incident: Option<IncidentId>,
    /// Names the thread it belongs to, also beyond this installation.
    pub thread: String,
    /// One line, the same for all mails of a thread: some mail programs take another one for another
    /// thread.
    pub subject: String,
    /// What it says.
    pub message: Message,
    /// When it was written.
    pub at: Timestamp,
}

impl Mail {
    /// The name of an incident's thread. Another installation's first incident is not this one's.
    pub fn thread_of(incident: &Incident) -> String {
        format!("{}/{}", incident.id, incident.declared_at.as_microsecond())
    }

    /// The subject of all mails about an incident.
    pub fn subject_of(incident: &Incident) -> String {
        one_line(&format!("[{}] {}", incident.id, incident.title))
    }

    /// Its Message-ID: the same each time it is sent, so that a mail that was sent twice (the answer
    /// to the first was lost) is told apart from two mails.
    pub fn message_id(&self, domain: &str) -> String {
        let digest = Sha256::digest(format!("{}\n{}", self.thread, self.key));
        format!("<{}@{domain}>", hex(&digest[..16]))
    }

    /// The Message-ID that all mails of its thread answer to. No mail has it: whichever comes first,
    /// the others find it.
    pub fn root_id(&self, domain: &str) -> String {
        let digest = Sha256::digest(&self.thread);
        format!("<{}.thread@{domain}>", hex(&digest[..16]))
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
    fn addresses_are_plain_or_refused() {
        for good in [
            "ana@example.com",
            "a.b+c@x-y.example",
            "root@localhost",
            "o'neil@example.com",
        ] {
            assert_eq!(Address::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@exa mple.com",
            "ana@example.com\r\nBcc: eve@example.com",
            "ana@example.com,eve@example.com",
            "a@b@c",
            "\"a b\"@example.com",
            ".ana@example.com",
            "ana..b@example.com",
            "ana@-example.com",
            "ana@example..com",
            "<ana@example.com>",
            "änä@example.com",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        assert!(Address::parse(&long).is_err());
        let same = Address::parse("Ana@EXAMPLE.com").unwrap();
        assert_eq!(same.as_str(), "Ana@example.com");
        assert!(same.is_same(&Address::parse("ana@example.com").unwrap()));
    }

    #[test]
    fn mailboxes_have_a_name_or_none() {
        let read = |text| Mailbox::parse(text).map(|mailbox| mailbox.to_string());
        assert_eq!(
            read("Ana Ruiz <ana@example.com>").unwrap(),
            "Ana Ruiz <ana@example.com>"
        );
        assert_eq!(
            read("\"Ruiz, Ana\" <ana@example.com>").unwrap(),
            "Ruiz, Ana <ana@example.com>"
        );
        assert_eq!(read("<ana@example.com>").unwrap(), "ana@example.com");
        for bad in [
            "Ana <ana@example.com",
            "Ana ana@example.com",
            "A\nB <a@example.com>",
            "<a@example.com> <b@example.com>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        assert_eq!(one_line("a\r\nBcc: b\t c\u{0}d"), "a Bcc: b c d");
        assert!(one_line(&"x".repeat(500)).len() <= MAX_SUBJECT);
    }
}
