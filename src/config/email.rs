//! `[email]`: mail.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use super::alerts::SEVERITIES;
use super::at::At;
use super::kind::Kind;
use super::section::Section;
use super::urls::is_this_machine;
use crate::bot::NotifySettings;
use crate::domain::Severity;
use crate::domain::mail::Mailbox;
use crate::domain::notification::Recipient;
use crate::notify::{Security, SmtpConfig};

pub(super) const EMAIL: Kind = Kind::single(
    "email",
    "host port security allow_plain username password_file from reply_to ca_file timeout \
     stakeholders from_severity",
);

/// Most stakeholders: more of them are a mailing list's work.
const MOST: usize = 50;

/// `[email]`: how mail is sent, and who hears how incidents are; `None` where there is none, and
/// after an error. `people`: where people get mail.
pub(super) fn email(
    section: &Section<'_>,
    people: BTreeMap<String, Vec<Recipient>>,
) -> Option<(SmtpConfig, NotifySettings)> {
    let hint = "such as `host = \"smtp.example.com\"`";
    let host = section.required("host", "`email` without `host`", hint);
    let host = host.and_then(|text| {
        let good = !text.value.is_empty()
            && text.value.len() <= 253
            && !text.value.contains(['/', '@', ' '])
            && (!text.value.contains(':') || text.value.parse::<std::net::Ipv6Addr>().is_ok());
        text.good(
            good,
            "write the server's name alone, such as `smtp.example.com`",
        )
    });
    let hint = "such as `from = \"Treasury Bot <treasury-bot@example.com>\"`";
    let from = section.required("from", "`email` without `from`", hint);
    let from = from.and_then(|text| mailbox(&text));
    let words = [
        ("starttls", (Security::StartTls, 587)),
        ("tls", (Security::Tls, 465)),
        ("none", (Security::Plain, 25)),
    ];
    let (security, usual) = section.word("security", &words).unwrap_or(words[0].1);
    let port = section.number("port", 0, u32::from(u16::MAX));
    let login = login(section);
    let is_here = host.as_deref().is_none_or(is_this_machine);
    let allow_plain = section.boolean("allow_plain").unwrap_or(false);
    if security == Security::Plain && !is_here && (login.is_some() || !allow_plain) {
        let (message, hint) = if login.is_some() {
            (
                "a password would be sent without encryption",
                "set `email.security` to `starttls` or `tls`",
            )
        } else {
            (
                "`email.security` is `none`, and the server is another machine",
                "use `starttls` or `tls`; or, if all between is yours, say so by \
                 `allow_plain = true`",
            )
        };
        section.error_at("security", message, hint);
    }
    let settings = NotifySettings {
        people,
        stakeholders: stakeholders(section)
            .into_iter()
            .map(Recipient::Email)
            .collect(),
        from_severity: section
            .word("from_severity", &SEVERITIES)
            .unwrap_or(Severity::Sev2),
    };
    let smtp = SmtpConfig {
        port: port.unwrap_or(usual) as u16,
        security,
        login,
        reply_to: section.text("reply_to").and_then(|text| mailbox(&text)),
        extra_roots_pem: section.text("ca_file").and_then(|path| path.certificates()),
        timeout: section.timeout(Duration::from_secs(20)),
        host: host?,
        from: from?,
    };
    Some((smtp, settings))
}

fn login(section: &Section<'_>) -> Option<(String, SecretString)> {
    let variable = section.variable("password");
    if let Some(span) = section.written("password") {
        let message = "`email.password`: a secret doesn't belong in this file";
        let hint = format!("set {variable}, or password_file, and have this one replaced");
        section.source.error(span, message, hint);
    }
    let (user, password) = (section.text("username"), section.secret("password"));
    match (&user, &password) {
        (Some(user), None) if section.lacks(None, "password") => {
            let hint = format!("set {variable}, or `password_file` in `[email]`");
            user.error("`email.username` without a password", hint);
        }
        (None, Some(_)) if section.span.is_some() => {
            let message = "there is a password for e-mail, but no `email.username`";
            section.error(message, "add `username` to `[email]`");
        }
        _ => {}
    }
    user.map(|user| user.value.to_owned()).zip(password)
}

fn stakeholders(section: &Section<'_>) -> Vec<Mailbox> {
    let mut found: Vec<Mailbox> = Vec::new();
    let listed = section.texts("stakeholders").unwrap_or_default();
    if let Some(one) = listed.get(MOST) {
        let message = format!("`email.stakeholders` lists more than {MOST}");
        one.error(message, "list a mailing list's address instead");
    }
    for entry in listed {
        let Some(one) = mailbox(&entry) else {
            continue;
        };
        if found
            .iter()
            .any(|other| other.address.is_same(&one.address))
        {
            let message = format!("`email.stakeholders` lists {} twice", one.address);
            entry.error(message, "");
        } else {
            found.push(one);
        }
    }
    found
}

pub(super) fn mailbox(text: &At<'_>) -> Option<Mailbox> {
    text.parsed(Mailbox::parse(text.value))
}
