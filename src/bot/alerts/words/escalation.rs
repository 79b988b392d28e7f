//! The sentences by which people are asked to acknowledge.

use jiff::Timestamp;

use super::parts::{headed, link, mentions, target};
use crate::bot::Context;
use crate::domain::alert::{AlertRecord, Conversation, Summary};
use crate::domain::timeline::cut;
use crate::domain::{
    Button, Incident, IncidentId, Line, Message, Part, Person, ServiceName, Style, Tone, duration,
};

/// What people are asked about: the worst that fires; what a person declared, until something does.
pub(crate) fn about<'a>(conversation: &'a Conversation, summary: &'a Summary) -> &'a AlertRecord {
    let firing = summary.shown.as_ref().filter(|_| summary.firing > 0);
    let declared = conversation.declared.then_some(&conversation.first);
    let worse = |one: &&AlertRecord| {
        declared.is_none_or(|first| one.routed.severity <= first.routed.severity)
    };
    firing.filter(worse).unwrap_or(&conversation.first)
}

/// Since when nobody has it.
fn free_since(conversation: &Conversation) -> Timestamp {
    conversation.free_since.unwrap_or(conversation.began_at)
}

/// Nobody has acknowledged: these people are asked.
pub(crate) fn escalation(
    conversation: &Conversation,
    incident: Option<&Incident>,
    about: &AlertRecord,
    whom: &[Person],
    now: Timestamp,
) -> Message {
    let title = headed(incident).text(cut(about.tracked.alert.summary(), 150));
    let mut line = mentions(whom);
    let age = duration::between(free_since(conversation), now);
    line = if age.as_secs() < 30 {
        line.text("please acknowledge")
    } else {
        line.text(format!(
            "please acknowledge: nobody has for {}",
            duration::text(age)
        ))
    };
    if let Some(place) = incident.and_then(|one| one.place.as_ref()) {
        line = line.text(" — ").channel(place.channel.clone());
    }
    let target = target(conversation);
    Message::new(Tone::Bad, title).text(line).buttons(vec![
        Button::new("Acknowledge", format!("ack {target}")).style(Style::Primary),
    ])
}

/// The same for those who don't look at Slack. `last`: nobody else is asked after them.
pub(crate) fn ask(
    bot: &Context,
    conversation: &Conversation,
    incident: Option<&Incident>,
    about: &AlertRecord,
    (others, last): (&[&str], bool),
    now: Timestamp,
) -> Message {
    let alert = &about.tracked.alert;
    let age = duration::between(free_since(conversation), now);
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
        Line::from(about.routed.severity.to_string()),
    )];
    if let Some(service) = &conversation.service {
        fields.push(("Service".to_owned(), service.to_string().into()));
    }
    fields.push(("Alert".to_owned(), cut(alert.name(), 80).into()));
    let since = Line::new().time(about.tracked.since());
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
    if let Some(link) = link(conversation) {
        fields.push(("Source".to_owned(), link));
    }
    let message = Message::new(Tone::Bad, title)
        .text(cut(alert.summary(), 500))
        .part(Part::Fields(fields));
    if last {
        return message;
    }
    message.text(format!(
        "If nobody does within {}, the next is asked.",
        duration::text(bot.settings().alerts.ack_within)
    ))
}

/// Why nobody is asked: what this stands on fails, and is asked about.
pub(crate) fn waits(service: &ServiceName, incident: IncidentId) -> Line {
    Line::new()
        .text("Nobody is asked about this while ")
        .code(service)
        .text(" fails, which it stands on: see ")
        .bold(incident)
}

/// How to acknowledge where nothing can be pressed.
pub(crate) fn how(bot: &Context, conversation: &Conversation) -> Vec<Line> {
    let sentence = format!("ack {}", target(conversation));
    let typed = Line::new().text("Acknowledge in Slack: ");
    let there = Line::new().text("Slack is down? On the bot's machine: ");
    vec![
        typed.code(bot.typed(&sentence)),
        there.code(format!("treasury-bot exec {sentence}")),
    ]
}
