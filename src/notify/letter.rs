//! A mail as it goes over the wire: headers and both bodies.

use std::time::SystemTime;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};

use super::{html, text};
use crate::domain::mail::{Mail, Mailbox, Purpose, one_line};

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
    mail: &Mail,
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
) -> Result<Vec<u8>, LetterError> {
    let domain = from.address.domain();
    let root = mail.root_id(domain);
    let small_print = small_print(mail, reply_to.is_some());
    let mut letter = Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(&mail.to)?)
        .subject(one_line(&mail.subject))
        .date(SystemTime::from(mail.at))
        .message_id(Some(mail.message_id(domain)))
        .in_reply_to(root.clone())
        .references(root)
        // Nobody's "I am on holiday" is to come back (RFC 3834; the second is Exchange's).
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    if let Some(reply_to) = reply_to {
        letter = letter.reply_to(mailbox(reply_to)?);
    }
    if mail.purpose == Purpose::Ask {
        letter = letter.raw_header(header("Importance", "high"));
    }
    let letter = letter.multipart(MultiPart::alternative_plain_html(
        text::render(mail, &small_print),
        html::render(mail, &small_print),
    ))?;
    Ok(letter.formatted())
}

fn mailbox(of: &Mailbox) -> Result<lettre::message::Mailbox, LetterError> {
    Ok(lettre::message::Mailbox::new(
        of.name.as_deref().map(one_line),
        of.address.as_str().parse()?,
    ))
}

/// Why somebody gets it, and what becomes of an answer.
fn small_print(mail: &Mail, answered: bool) -> String {
    let why = match mail.purpose {
        Purpose::Ask => "You get this because you are on call",
        Purpose::Stakeholders => "You get this because you are listed as a stakeholder",
        Purpose::Runbook => "You get this because a runbook of treasury-bot tells you",
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
    use crate::domain::{IncidentId, Line, Message as Words, Tone};

    fn mail(subject: &str, name: &str) -> Mail {
        Mail {
            key: "k".into(),
            to: Mailbox {
                name: Some(name.into()),
                ..Mailbox::parse("ana@example.com").unwrap()
            },
            purpose: Purpose::Ask,
            incident: Some(IncidentId(1)),
            thread: "INC-1/1764255600000000".into(),
            subject: subject.into(),
            message: Words::new(Tone::Bad, "Please acknowledge")
                .text(Line::new().text("<b>Ünïcode</b> & more")),
            at: Timestamp::from_second(1_764_255_600).unwrap(),
        }
    }

    fn letter(mail: &Mail, reply_to: Option<&str>) -> String {
        let from = Mailbox::parse("Treasury Bot <bot@ops.example.com>").unwrap();
        let reply_to = reply_to.map(|text| Mailbox::parse(text).unwrap());
        String::from_utf8(write(mail, &from, reply_to.as_ref()).unwrap()).unwrap()
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
        let other = Mail {
            key: "other".into(),
            ..first.clone()
        };
        let elsewhere = Mail {
            thread: "INC-1/1".into(),
            ..first.clone()
        };
        let id = |mail: &Mail| mail.message_id("x");
        assert_eq!(id(&first), id(&first.clone()));
        assert_ne!(id(&first), id(&other));
        assert_ne!(id(&first), id(&elsewhere));
        assert_eq!(first.root_id("x"), other.root_id("x"));
        assert_ne!(first.root_id("x"), elsewhere.root_id("x"));
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
