//! A mail as it goes over the wire: headers and both bodies.

use std::time::SystemTime;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};

use sha2::{Digest, Sha256};

use super::{html, text};
use crate::domain::mail::Mailbox;
use crate::domain::notification::{Notification, Purpose, Thread, one_line};
use crate::domain::timeline::hex;
use crate::domain::{Line, Part, Span};

/// Why a mail can't be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LetterError {
    #[error("a mail address can't be used: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail can't be written: {0}")]
    Mail(#[from] lettre::error::Error),
}

/// The whole letter.
pub(super) fn write(
    mail: &Notification,
    to: &Mailbox,
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
) -> Result<Vec<u8>, LetterError> {
    let domain = from.address.domain();
    let root = root_id(&mail.thread, domain);
    let small_print = small_print(mail, reply_to.is_some());
    let mut letter = Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(to)?)
        .subject(one_line(&mail.thread.subject))
        .date(SystemTime::from(mail.at))
        .message_id(Some(message_id(mail, domain)))
        .in_reply_to(root.clone())
        .references(root)
        // Nobody's "I am on holiday" is to come back (RFC 3834; the second is Exchange's).
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    if let Some(reply_to) = reply_to {
        letter = letter.reply_to(mailbox(reply_to)?);
    }
    if mail.purpose == Purpose::Escalation {
        letter = letter.raw_header(header("Importance", "high"));
    }
    let letter = letter.multipart(MultiPart::alternative_plain_html(
        text::render(mail, &small_print),
        html::render(mail, &small_print),
    ))?;
    Ok(letter.formatted())
}

/// The same mail with a link that acknowledges, behind what it is about.
pub(super) fn with_link(mail: &Notification, link: &str) -> Notification {
    let (url, text) = (link.to_owned(), "Acknowledge now".to_owned());
    let line = Line(vec![Span::Link { url, text }]);
    let line = line.text(" (it works once, within ten minutes)");
    let mut mail = mail.clone();
    let parts = &mut mail.message.parts;
    parts.insert(parts.len().min(2), Part::Text(line));
    mail
}

fn mailbox(of: &Mailbox) -> Result<lettre::message::Mailbox, LetterError> {
    Ok(lettre::message::Mailbox::new(
        of.name.as_deref().map(one_line),
        of.address.as_str().parse()?,
    ))
}

/// Its Message-ID: the same each time it is sent, so that a mail that was sent twice (the answer to
/// the first was lost) is told apart from two mails.
fn message_id(mail: &Notification, domain: &str) -> String {
    format!("<{}@{domain}>", mail.id())
}

/// The Message-ID that all mails of a thread answer to. No mail has it: whichever comes first, the
/// others find it.
fn root_id(thread: &Thread, domain: &str) -> String {
    let digest = Sha256::digest(&thread.key);
    format!("<{}.thread@{domain}>", hex(&digest[..16]))
}

/// Why somebody gets it, and what becomes of an answer.
fn small_print(mail: &Notification, answered: bool) -> String {
    let why = match mail.purpose {
        Purpose::Escalation => "You get this because you are on call",
        Purpose::Stakeholders => "You get this because you are listed as a stakeholder",
        Purpose::Runbook => "You get this because a runbook of treasury-bot tells you",
        Purpose::Acknowledged | Purpose::Over => "You get this because you were asked",
    };
    let answers = if answered {
        ""
    } else {
        " Answers to this address are not read."
    };
    format!("{why}.{answers} All times are UTC.")
}

/// A header with a value of ours.
fn header(name: &'static str, value: &'static str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::notification::Recipient;
    use crate::domain::{IncidentId, Line, Message as Words, Tone};

    fn mail(subject: &str, name: &str) -> Notification {
        let to = Mailbox {
            name: Some(name.into()),
            ..Mailbox::parse("ana@example.com").unwrap()
        };
        Notification {
            key: "k".into(),
            to: Recipient::Email(to),
            purpose: Purpose::Escalation,
            incident: Some(IncidentId(1)),
            thread: Thread {
                key: "INC-1/1764255600000000".into(),
                subject: subject.into(),
            },
            message: Words::new(Tone::Bad, "Please acknowledge")
                .text(Line::new().text("<b>Ünïcode</b> & more")),
            at: Timestamp::from_second(1_764_255_600).unwrap(),
            ack: None,
        }
    }

    fn letter(mail: &Notification, reply_to: Option<&str>) -> String {
        let Recipient::Email(to) = &mail.to else {
            panic!("{mail:?}");
        };
        let from = Mailbox::parse("Treasury Bot <bot@ops.example.com>").unwrap();
        let reply_to = reply_to.map(|text| Mailbox::parse(text).unwrap());
        String::from_utf8(write(mail, to, &from, reply_to.as_ref()).unwrap()).unwrap()
    }

    /// The headers of the whole letter, folded lines joined.
    fn headers(letter: &str) -> Vec<String> {
        let (head, _) = letter.split_once("\r\n\r\n").unwrap();
        let joined = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        joined.split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn the_headers_thread_it_and_keep_machines_quiet() {
        let letter = letter(&mail("[INC-1] Down", "Ana"), None);
        let headers = headers(&letter);
        for expected in [
            "From: \"Treasury Bot\" <bot@ops.example.com>",
            "To: Ana <ana@example.com>",
            "Subject: [INC-1] Down",
            "Date: Thu, 27 Nov 2025 15:00:00 +0000",
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            "Importance: high",
        ] {
            assert!(
                headers.iter().any(|line| line == expected),
                "{expected}: {headers:#?}"
            );
        }
        let value = |name: &str| {
            let start = format!("{name}: ");
            let found: Vec<&str> = headers
                .iter()
                .filter_map(|line| line.strip_prefix(&start))
                .collect();
            assert_eq!(found.len(), 1, "{name}: {headers:#?}");
            found[0].to_owned()
        };
        assert_eq!(value("In-Reply-To"), value("References"));
        assert_ne!(value("In-Reply-To"), value("Message-ID"));
        assert!(!letter.contains("Reply-To: ops"), "{letter}");
    }

    #[test]
    fn a_mail_keeps_its_message_id_and_another_has_another() {
        let first = mail("a", "Ana");
        let other = Notification {
            key: "other".into(),
            ..first.clone()
        };
        let elsewhere = Notification {
            thread: Thread::new("INC-1/1".into(), "a"),
            ..first.clone()
        };
        let id = |mail: &Notification| message_id(mail, "x");
        assert_eq!(id(&first), id(&first.clone()));
        assert_ne!(id(&first), id(&other));
        assert_ne!(id(&first), id(&elsewhere));
        assert_eq!(root_id(&first.thread, "x"), root_id(&other.thread, "x"));
        assert_ne!(root_id(&first.thread, "x"), root_id(&elsewhere.thread, "x"));
    }

    #[test]
    fn nothing_that_is_written_becomes_a_header() {
        let evil = "x\r\nBcc: eve@example.com\r\n\r\n<script>";
        let mut mail = mail(evil, evil);
        mail.message = Words::new(Tone::Bad, evil).text(evil);
        let letter = letter(&mail, Some("Ops <ops@example.com>"));
        let headers = headers(&letter);
        assert!(
            !headers
                .iter()
                .any(|line| line.to_lowercase().starts_with("bcc")),
            "{headers:#?}"
        );
        let count = |name: &str| headers.iter().filter(|l| l.starts_with(name)).count();
        assert_eq!((count("To: "), count("Subject: ")), (1, 1), "{headers:#?}");
        assert!(
            headers
                .iter()
                .any(|l| l == "Reply-To: Ops <ops@example.com>")
        );
        assert!(!letter.contains("<script>\r\n<"), "{letter}");
    }
}
