//! The sentences about notifications that don't arrive, or not yet.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::notification::{Channel, Notification, Purpose, Recipient};
use crate::domain::{Line, Message, Tone, duration};
use crate::store::Backlog;

/// `1 e-mail`, `2 e-mails`: how many recipients are notified by which way.
pub(crate) fn counted(to: &[Recipient]) -> String {
    let parts = to.chunk_by(|one, next| one.channel() == next.channel());
    let parts: Vec<String> = parts
        .map(|part| several(&part[0].channel(), part.len() as i64))
        .collect();
    parts.join(" and ")
}

fn several(channel: &Channel, count: i64) -> String {
    match (channel.noun(), count) {
        (noun, 1) => format!("1 {noun}"),
        (noun, n) => format!("{n} {noun}s"),
    }
}

/// The channel's noun at the beginning of a sentence.
fn capital(channel: &Channel) -> String {
    let noun = channel.noun();
    let (first, rest) = noun.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

/// One that will never arrive.
pub(super) fn dead(notification: &Notification, why: &str) -> Message {
    let to = &notification.to;
    let channel = to.channel();
    let title = Line::new()
        .text(format!("{} to ", capital(&channel)))
        .code(to.shown())
        .text(" was refused for good");
    let missed = match notification.purpose {
        Purpose::Escalation => format!("was not asked by {} to acknowledge", channel.noun()),
        Purpose::Stakeholders => "was not told".to_owned(),
        Purpose::Runbook => "did not get a runbook's message".to_owned(),
        Purpose::Acknowledged => {
            "is perhaps still asked, though somebody has acknowledged".to_owned()
        }
        Purpose::Over => "is perhaps still asked, though it is over".to_owned(),
    };
    let hint = match (&channel, notification.purpose) {
        (Channel::Email, Purpose::Stakeholders) => "the address in [email] stakeholders".to_owned(),
        (Channel::Email, Purpose::Runbook) => {
            "the address in [email] stakeholders or [[person]]".to_owned()
        }
        (Channel::Email, _) => "the address in [[person]]".to_owned(),
        (Channel::Slack, _) => "the id in [[person]]".to_owned(),
        (Channel::Way(name), _) => format!("`to` in [[person]], or [reach.{name}]"),
    };
    let who = to.name().unwrap_or(to.shown());
    let also = match channel {
        Channel::Email => ", or from whom the server takes mail",
        _ => "",
    };
    Message::new(Tone::Warning, title)
        .text(format!("{who} {missed}: {}", notification.thread.subject))
        .code(why)
        .text(format!("Fix: {hint}{also}"))
}

/// They wait for long, or were given up.
pub(super) fn late(channel: &Channel, backlog: &Backlog, why: &str, now: Timestamp) -> Message {
    let oldest = backlog
        .oldest
        .map_or(Duration::ZERO, |at| duration::between(at, now));
    let state = match backlog.waiting {
        0 => format!("{} given up", several(channel, backlog.dead)),
        n => format!(
            "{} waiting, the oldest for {}",
            several(channel, n),
            duration::text(oldest)
        ),
    };
    let title = format!("{} does not get out: {state}", capital(channel));
    Message::new(Tone::Bad, title).code(why).text(format!(
        "They are tried again for a day. Who is asked by {} is asked in Slack as well",
        channel.noun()
    ))
}

/// They go out again.
pub(super) fn again(channel: &Channel, backlog: &Backlog) -> Message {
    let state = match backlog.waiting {
        0 => "none waits".to_owned(),
        n => format!("{} still waiting", several(channel, n)),
    };
    let title = format!("{} goes out again: {state}", capital(channel));
    Message::new(Tone::Good, title)
}
