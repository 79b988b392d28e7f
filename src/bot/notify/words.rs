//! The sentences of mails, and those about mails.

use std::time::Duration;

use jiff::Timestamp;

use super::{Bulletin, mails};
use crate::bot::Settings;
use crate::bot::alerts::{alert_link, alert_target};
use crate::domain::alert::Conversation;
use crate::domain::mail::{Mail, Purpose};
use crate::domain::timeline::cut;
use crate::domain::{Incident, IncidentRole, Line, Message, Part, Severity, Tone, duration};
use crate::store::Backlog;

/// How an incident stands, for those who don't work on it.
pub(super) fn stakeholders(incident: &Incident, bulletin: &Bulletin) -> Message {
    let mut message = Message::new(bulletin.tone, bulletin.title.clone());
    if let Some(text) = &bulletin.text {
        message = message.text(text.clone());
    }
    message.part(Part::Fields(standing(incident)))
}

/// What a runbook wanted said.
pub(super) fn text(incident: &Incident, text: &str) -> Message {
    Message::new(
        Tone::Plain,
        Line::new().bold(incident.id).text(": a message"),
    )
    .text(text)
    .part(Part::Fields(standing(incident)))
}

fn standing(incident: &Incident) -> Vec<(String, Line)> {
    let mut fields = vec![
        (
            "Incident".to_owned(),
            Line::new()
                .bold(incident.id)
                .text(format!(" {}", incident.title)),
        ),
        (
            "Severity".to_owned(),
            format!("{} — {}", incident.severity, meaning(incident.severity)).into(),
        ),
        ("Status".to_owned(), incident.status.to_string().into()),
    ];
    if !incident.services.is_empty() {
        let names: Vec<String> = incident.services.iter().map(ToString::to_string).collect();
        fields.push(("Services".to_owned(), names.join(", ").into()));
    }
    let commander = incident
        .assignments
        .iter()
        .find(|(role, _)| *role == IncidentRole::Commander);
    if let Some((_, person)) = commander {
        fields.push(("Commander".to_owned(), Line::new().person(person)));
    }
    let declared = Line::new().time(incident.declared_at).text(" by ");
    fields.push((
        "Declared".to_owned(),
        declared.person(&incident.declared_by),
    ));
    for (label, at) in [
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ] {
        if let Some(at) = at {
            let after = duration::text(duration::between(incident.declared_at, at));
            let line = Line::new().time(at).text(format!(" ({after} after)"));
            fields.push((label.to_owned(), line));
        }
    }
    fields
}

/// For those who don't know our numbers.
fn meaning(severity: Severity) -> &'static str {
    match severity {
        Severity::Sev1 => "money can't move, or data is lost",
        Severity::Sev2 => "a main function fails for many",
        Severity::Sev3 => "a function is impaired; there is a way around",
        Severity::Sev4 => "a nuisance",
    }
}

/// Somebody is asked to acknowledge.
pub(super) fn ask(
    settings: &Settings,
    conversation: &Conversation,
    incident: Option<&Incident>,
    others: &[&str],
    next: Option<Duration>,
    now: Timestamp,
) -> Message {
    let alert = &conversation.first.tracked.alert;
    let age = duration::between(conversation.began_at, now);
    let mut title = Line::new().text("Please acknowledge");
    if let Some(incident) = incident {
        title = title.text(" ").bold(incident.id);
    }
    // Somebody else was asked before, or some time was left for whoever sees it.
    if conversation.escalated > 1 || age.as_secs() >= 30 {
        title = title.text(format!(": nobody has for {}", duration::text(age)));
    }
    let mut fields = vec![(
        "Severity".to_owned(),
        Line::from(conversation.first.routed.severity.to_string()),
    )];
    if let Some(service) = &conversation.service {
        fields.push(("Service".to_owned(), service.to_string().into()));
    }
    fields.push(("Alert".to_owned(), cut(alert.name(), 80).into()));
    let since = Line::new().time(alert.starts_at);
    fields.push(("Fires since".to_owned(), since));
    for (label, name) in [("Value", "value"), ("Threshold", "threshold")] {
        if let Some(value) = alert.annotation(name) {
            fields.push((label.to_owned(), cut(value, 300).into()));
        }
    }
    if !others.is_empty() {
        fields.push(("Also asked".to_owned(), others.join(", ").into()));
    }
    if let Some(runbook) = &conversation.runbook {
        fields.push(("Runbook".to_owned(), Line::new().code(runbook)));
    }
    if let Some(link) = alert_link(conversation) {
        fields.push(("Source".to_owned(), link));
    }
    let sentence = format!("ack {}", alert_target(conversation));
    let message = Message::new(Tone::Bad, title)
        .text(cut(alert.summary(), 500))
        .part(Part::Fields(fields))
        .text(
            Line::new()
                .text("Acknowledge in Slack: ")
                .code(format!("{} {sentence}", settings.command)),
        )
        .text(
            Line::new()
                .text("Slack is down? On the bot's machine: ")
                .code(format!("treasury-bot exec {sentence}")),
        );
    match next {
        None => message,
        Some(within) => message.text(format!(
            "If nobody does within {}, the next is asked.",
            duration::text(within)
        )),
    }
}

/// A mail that will never arrive.
pub(super) fn dead(mail: &Mail, why: &str) -> Message {
    let title = Line::new()
        .text("E-mail to ")
        .code(&mail.to.address)
        .text(" was refused for good");
    let (missed, hint) = match mail.purpose {
        Purpose::Ask => (
            "was not asked by e-mail to acknowledge",
            "the address in [[person]]",
        ),
        Purpose::Stakeholders => ("was not told", "the address in [email] stakeholders"),
        Purpose::Runbook => (
            "did not get a runbook's message",
            "the address in [email] stakeholders or [[person]]",
        ),
    };
    let who = mail.to.name.as_deref().unwrap_or(mail.to.address.as_str());
    Message::new(Tone::Warning, title)
        .text(format!("{who} {missed}: {}", mail.subject))
        .code(why)
        .text(format!("Mend: {hint}, or from whom the server takes mail"))
}

/// Mails wait for long, or were given up.
pub(super) fn trouble(backlog: &Backlog, why: &str, now: Timestamp) -> Message {
    let oldest = backlog
        .oldest
        .map_or(Duration::ZERO, |at| duration::between(at, now));
    let title = match backlog.waiting {
        0 => format!(
            "E-mail does not get out: {} given up",
            mails(backlog.dead as usize)
        ),
        n => format!(
            "E-mail does not get out: {} waiting, the oldest for {}",
            mails(n as usize),
            duration::text(oldest)
        ),
    };
    let message = Message::new(Tone::Bad, title).code(why);
    message.text("They are tried again for a day. Who is asked by e-mail is asked in Slack as well")
}

/// It goes out again.
pub(super) fn again(backlog: &Backlog) -> Message {
    let title = match backlog.waiting {
        0 => "E-mail goes out again: none waits".to_owned(),
        n => format!("E-mail goes out again: {} still waiting", mails(n as usize)),
    };
    Message::new(Tone::Good, title)
}
