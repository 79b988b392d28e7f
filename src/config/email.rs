//! `[email]` and `[[person]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeTable;

use super::probes::{certificates, timeout};
use super::reader::{At, Reader, tables};
use super::sections::elsewhere;
use super::source::Report;
use super::{EmailSection, EmailSecurity, Env, PersonSection, alerts, secret, urls};
use crate::domain::mail::Mailbox;
use crate::domain::{Severity, person};

/// The keys of `[email]`.
pub(super) const EMAIL: [&str; 12] = [
    "host",
    "port",
    "security",
    "allow_plain",
    "username",
    "password_file",
    "from",
    "reply_to",
    "ca_file",
    "timeout",
    "stakeholders",
    "from_severity",
];

/// The keys of `[[person]]`.
pub(super) const PERSON: [&str; 3] = ["id", "name", "email"];

const PASSWORD: &str = "TREASURY_BOT_EMAIL_PASSWORD";

/// Most stakeholders: more of them are a mailing list's work.
const MOST: usize = 50;

const SECURITY: [(&str, EmailSecurity); 3] = [
    ("starttls", EmailSecurity::StartTls),
    ("tls", EmailSecurity::Tls),
    ("none", EmailSecurity::None),
];

/// `[email]`; `None` where there is none, and after an error.
pub(super) fn email(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    env: Env<'_>,
) -> Option<EmailSection> {
    let header = section.span.clone();
    let host_span = section.written("host");
    let host = section.text(report, "host").and_then(|text| {
        let good = !text.value.is_empty()
            && text.value.len() <= 253
            && !text.value.contains(['/', '@', ' '])
            && (!text.value.contains(':') || text.value.parse::<std::net::Ipv6Addr>().is_ok());
        if !good {
            let message = format!("`email.host` can't be `{}`", text.value);
            let hint = "write the server's name alone, such as `smtp.example.com`".to_owned();
            report.error(text.span.clone(), message, Some(hint));
        }
        good.then_some(text)
    });
    let from_written = section.written("from").is_some();
    let from = section
        .text(report, "from")
        .and_then(|text| mailbox(report, "email.from", &text));
    if header.is_some() {
        let mut needed = |there: bool, key: &str, example: &str| {
            if !there {
                let message = format!("`email` without `{key}`");
                report.error(
                    header.clone(),
                    message,
                    Some(format!("such as `{example}`")),
                );
            }
        };
        needed(host_span.is_some(), "host", "host = \"smtp.example.com\"");
        let example = "from = \"Treasury Bot <treasury-bot@example.com>\"";
        needed(from_written, "from", example);
    }
    let security = section
        .word(report, "security", &SECURITY)
        .unwrap_or_default();
    let usual = match security {
        EmailSecurity::StartTls => 587,
        EmailSecurity::Tls => 465,
        EmailSecurity::None => 25,
    };
    let port = section.number(report, "port", u32::from(u16::MAX));
    let port = port.map_or(usual, |at| at.value as u16);
    let allow_plain = section.boolean(report, "allow_plain").unwrap_or(false);
    let login = login(report, &mut section, env);
    let here = host
        .as_ref()
        .is_none_or(|host| urls::is_this_machine(host.value));
    if security == EmailSecurity::None && !here {
        if login.is_some() {
            let message = "a password would be sent without encryption";
            let hint = "set `email.security` to `starttls` or `tls`".to_owned();
            report.error(section.written("security"), message, Some(hint));
        } else if !allow_plain {
            let message = "`email.security` is `none`, and the server is another machine";
            let hint = "use `starttls` or `tls`; or, if all between is yours, say so by \
                        `allow_plain = true`";
            report.error(section.written("security"), message, Some(hint.to_owned()));
        }
    }
    let reply_to = section
        .text(report, "reply_to")
        .and_then(|text| mailbox(report, "email.reply_to", &text));
    let extra_roots_pem = section
        .text(report, "ca_file")
        .and_then(|path| certificates(report, "email.ca_file", &path));
    let timeout = timeout(report, &mut section, "email", Duration::from_secs(20));
    let stakeholders = stakeholders(report, &mut section);
    let from_severity = section
        .word(report, "from_severity", &alerts::SEVERITIES)
        .unwrap_or(Severity::Sev2);
    section.finish(report, elsewhere);
    header?;
    Some(EmailSection {
        host: host?.value.to_owned(),
        port,
        security,
        login,
        from: from?,
        reply_to,
        extra_roots_pem,
        timeout,
        stakeholders,
        from_severity,
    })
}

fn login(
    report: &mut Report<'_>,
    section: &mut Reader<'_, '_>,
    env: Env<'_>,
) -> Option<(String, secrecy::SecretString)> {
    let username = section.text(report, "username");
    let named = section.text(report, "password_file");
    if let Some(span) = section.written("password") {
        let message = "`email.password`: a secret doesn't belong in this file";
        let hint = format!("set {PASSWORD}, or password_file, and have this one replaced");
        report.error(span, message, Some(hint));
    }
    let there = named.is_some();
    let password = secret::environment(env, PASSWORD)
        .or_else(|| named.and_then(|path| secret::file(report, "email.password_file", &path)));
    match (username, password) {
        (Some(user), Some(password)) => Some((user.value.to_owned(), password)),
        (Some(user), None) => {
            // An unreadable file is told already.
            if !there {
                let hint = format!("set {PASSWORD}, or `password_file` in `[email]`");
                report.error(user.span, "`email.username` without a password", Some(hint));
            }
            None
        }
        (None, Some(_)) if section.span.is_some() => {
            let hint = "add `username` to `[email]`".to_owned();
            let message = "there is a password for e-mail, but no `email.username`";
            report.error(section.span.clone(), message, Some(hint));
            None
        }
        (None, _) => None,
    }
}

fn stakeholders(report: &mut Report<'_>, section: &mut Reader<'_, '_>) -> Vec<Mailbox> {
    let mut found: Vec<Mailbox> = Vec::new();
    let listed = section.texts(report, "stakeholders").unwrap_or_default();
    if let Some(one) = listed.get(MOST) {
        let message = format!("`email.stakeholders` lists more than {MOST}");
        let hint = "list a mailing list's address instead".to_owned();
        report.error(one.span.clone(), message, Some(hint));
    }
    for entry in listed {
        let Some(one) = mailbox(report, "email.stakeholders", &entry) else {
            continue;
        };
        if found
            .iter()
            .any(|other| other.address.is_same(&one.address))
        {
            let message = format!("`email.stakeholders` lists {} twice", one.address);
            report.error(entry.span, message, None);
        } else {
            found.push(one);
        }
    }
    found
}

fn mailbox(report: &mut Report<'_>, key: &str, text: &At<&str>) -> Option<Mailbox> {
    Mailbox::parse(text.value)
        .map_err(|error| report.error(text.span.clone(), format!("`{key}`: {error}"), None))
        .ok()
}

/// `[[person]]`, in the file's order, each id once.
pub(super) fn people(report: &mut Report<'_>, root: &DeTable<'_>) -> Vec<PersonSection> {
    let mut people: Vec<PersonSection> = Vec::new();
    let readers = tables(report, root, "person").map(|(_, readers)| readers);
    for reader in readers.into_iter().flatten() {
        let header = reader.span.clone();
        if let Some(one) = person(report, reader) {
            if people.iter().any(|other| other.id == one.id) {
                report.error(header, format!("a second person `{}`", one.id), None);
            } else {
                people.push(one);
            }
        }
    }
    people
}

fn person(report: &mut Report<'_>, mut reader: Reader<'_, '_>) -> Option<PersonSection> {
    let header = reader.span.clone();
    for key in ["id", "email"] {
        if reader.written(key).is_none() {
            let message = format!("a person without `{key}`");
            let hint = "such as `id = \"U0123456789\"` and `email = \"ana@example.com\"`";
            report.error(header.clone(), message, Some(hint.to_owned()));
        }
    }
    let id = reader.text(report, "id").and_then(|text| {
        if person::is_slack_user_id(text.value) {
            return Some(text.value.to_owned());
        }
        let message = format!("`person.id` can't be `{}`: it is no user id", text.value);
        let hint = "write a user id (`U…`): in Slack, Profile, Copy member ID".to_owned();
        report.error(text.span, message, Some(hint));
        None
    });
    let email = reader
        .text(report, "email")
        .and_then(|text| mailbox(report, "person.email", &text));
    let name = reader.text(report, "name").and_then(|text| {
        if Mailbox::is_name(text.value) {
            return Some(text.value.trim().to_owned());
        }
        let message = "`person.name` can't be empty, or hold `<`, `>`, `\"` or `\\`";
        report.error(text.span, message, None);
        None
    });
    reader.finish(report, elsewhere);
    let email = email?;
    Some(PersonSection {
        id: id?,
        mailbox: Mailbox {
            name: name.or(email.name),
            address: email.address,
        },
    })
}

/// What is allowed, though somebody would miss a mail.
pub(super) fn look_over(
    report: &mut Report<'_>,
    email: Option<&EmailSection>,
    people: &[PersonSection],
    on_call: &BTreeSet<&str>,
) {
    match email {
        None if !people.is_empty() => {
            let hint = "add [email] with its `host`".to_owned();
            let message = "there are people with addresses, but no `email` to send by";
            report.warning(None, message, Some(hint));
        }
        None => {}
        Some(_) => {
            for id in on_call {
                if !people.iter().any(|person| person.id == *id) {
                    let message = format!("`{id}` is on call, but is asked in Slack only");
                    let hint = format!("add a [[person]] with `id = \"{id}\"` and `email`");
                    report.warning(None, message, Some(hint));
                }
            }
        }
    }
}
