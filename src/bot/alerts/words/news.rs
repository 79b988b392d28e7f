//! The sentences that tell by a message of its own what an edit would hide.

use jiff::Timestamp;

use super::escalation::about;
use super::parts::{alerts, buttons, headed, mentions, target};
use crate::bot::Context;
use crate::domain::alert::{AlertRecord, Conversation, Summary};
use crate::domain::timeline::cut;
use crate::domain::{Button, Incident, Line, Message, Person, Style, Tone, duration};

/// Alerts that are listed.
const LISTED: usize = 5;

/// Alerts fire that people have not been told of, or that are worse than what they were told.
pub(crate) fn news(
    conversation: &Conversation,
    records: &[&AlertRecord],
    is_anew: bool,
    is_worse: bool,
    whom: &[Person],
) -> Message {
    let worst = records.iter().map(|one| one.routed.severity).min();
    let title = match (worst, is_anew) {
        (Some(severity), _) if is_worse => format!("It is worse now: {severity}"),
        (_, true) => {
            // Of several, some may never have fired before.
            let all = records.iter().all(|one| one.tracked.firings > 1);
            if all {
                alerts(records.len(), "fires again", "fire again")
            } else {
                let one = "fires after all was over";
                alerts(records.len(), one, "fire after all was over")
            }
        }
        _ => alerts(records.len(), "more fires", "more fire"),
    };
    told(conversation, records, title, whom)
}

/// These fire still, and people have to be told again, for this reason.
pub(crate) fn loud_again(
    conversation: &Conversation,
    records: &[AlertRecord],
    why: &str,
    whom: &[Person],
) -> Message {
    let what = alerts(records.len(), "still fires", "still fire");
    let records: Vec<&AlertRecord> = records.iter().collect();
    told(conversation, &records, format!("{what}: {why}"), whom)
}

fn told(
    conversation: &Conversation,
    records: &[&AlertRecord],
    title: String,
    whom: &[Person],
) -> Message {
    let mut message = Message::new(Tone::Bad, title);
    for line in listed(records) {
        message = message.text(line);
    }
    let mut mention = mentions(whom);
    if let Some((_, at)) = &conversation.acknowledged {
        mention = mention
            .text("acknowledged what fired before, at ")
            .time(*at);
    }
    if !whom.is_empty() {
        message = message.text(mention);
    }
    message.buttons(buttons(conversation, true))
}

/// Nobody repeats these any more: whether they fire is not known.
pub(crate) fn unheard(conversation: &Conversation, records: &[AlertRecord]) -> Message {
    let heard = |record: &AlertRecord| record.tracked.heard_at.unwrap_or(record.tracked.changed_at);
    let last = records
        .iter()
        .map(heard)
        .max()
        .unwrap_or(conversation.began_at);
    let what = alerts(records.len(), "is not heard of", "are not heard of");
    let mut message = Message::new(
        Tone::Warning,
        Line::new().text(format!("{what} since ")).time(last),
    );
    let records: Vec<&AlertRecord> = records.iter().collect();
    for line in listed(&records) {
        message = message.text(line);
    }
    message = message.text(
        "Nothing was heard from the sender since. Whether anything still fires is not known. Nobody \
         further is asked until it is heard of again",
    );
    match conversation.incident {
        Some(id) => message.buttons(vec![
            Button::new("Resolve…", format!("resolve --incident {id}")),
            Button::new("Status", "status"),
        ]),
        None => message,
    }
}

/// Does whoever acknowledged it still have it?
pub(crate) fn still_yours(
    bot: &Context,
    conversation: &Conversation,
    incident: Option<&Incident>,
    summary: &Summary,
    person: &Person,
    now: Timestamp,
) -> Message {
    let title = headed(incident).text("do you still have it?");
    let taken = conversation.acknowledged.as_ref().map(|(_, at)| *at);
    let span = duration::text(duration::between(taken.unwrap_or(now), now));
    let what = match summary.firing {
        0 => "It is still open".to_owned(),
        n => alerts(n, "still fires", "still fire"),
    };
    let within = duration::text(bot.settings().alerts.ack_within);
    let target = target(conversation);
    Message::new(Tone::Warning, title)
        .text(
            Line::new()
                .person(person)
                .text(format!(" acknowledged {span} ago. {what}: ")),
        )
        .text(cut(
            about(conversation, summary).tracked.alert.summary(),
            150,
        ))
        .text(format!(
            "Without an answer within {within}, the next is asked"
        ))
        .buttons(vec![
            Button::new("I still have it", format!("ack {target}")).style(Style::Primary),
        ])
}

fn listed(records: &[&AlertRecord]) -> Vec<Line> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| record.routed.severity);
    let mut lines: Vec<Line> = sorted
        .iter()
        .take(LISTED)
        .map(|record| {
            let alert = &record.tracked.alert;
            Line::new()
                .text(format!("🔥 {} ", record.routed.severity))
                .bold(cut(alert.name(), 80))
                .text(format!("  {}  ", cut(alert.summary(), 200)))
                .code(alert.short())
        })
        .collect();
    let left = sorted.len().saturating_sub(LISTED);
    if left > 0 {
        lines.push(format!("… and {left} more: `alerts` lists them").into());
    }
    lines
}
