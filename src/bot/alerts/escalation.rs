//! Escalation: people are asked to acknowledge, one after another, and then all again and again.

use std::collections::BTreeMap;

use serde_json::json;

use super::conversation::{home, ongoing, outgoing};
use super::kinds::ESCALATION;
use super::{cause, reask, words};
use crate::bot::incidents::invite;
use crate::bot::notify::{Asking, reach};
use crate::bot::{Context, oncall, timers};
use crate::domain::alert::{Conversation, Summary};
use crate::domain::notification::Thread;
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Incident, Message, Outgoing, Person};
use crate::store::{StoreError, TimerRow, Tx};
use crate::telemetry::metrics::ASKS;

/// Asks of a conversation that are remembered to be closed.
const REMEMBERED: usize = 30;

/// Has somebody asked to acknowledge, unless somebody was or has.
pub(super) async fn schedule(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
) -> Result<(), StoreError> {
    if conversation.incident.is_none()
        || conversation.acknowledged.is_some()
        || conversation.escalated > 0
    {
        return Ok(());
    }
    let now = tx.now();
    // Nobody is on call: who sees it has some time to come, then all are asked.
    let due = match oncall::rotation_of(bot, &conversation.first.routed) {
        None => now + bot.settings().alerts.ack_within,
        Some(_) => now,
    };
    ESCALATION.set(tx, &conversation.key, due).await
}

/// People can be told again, such as when a silence was ended: whoever is next is asked when their
/// turn comes.
pub(super) async fn resume(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
) -> Result<(), StoreError> {
    match conversation.next_ask_at {
        _ if conversation.acknowledged.is_some() => reask::resume(tx, bot, conversation).await,
        Some(turn) => {
            let due = turn.max(tx.now());
            ESCALATION.set(tx, &conversation.key, due).await
        }
        None => schedule(tx, bot, conversation).await,
    }
}

/// Something fires that is bad enough to ask people about, or a person said that something is wrong.
pub(super) fn is_urgent(bot: &Context, conversation: &Conversation, summary: &Summary) -> bool {
    let declare_from = bot.settings().alerts.declare_from;
    // Of those that Alertmanager left out the worst is as bad as the worst that was seen.
    let left_out = conversation
        .asked_about
        .filter(|_| !conversation.left_out.is_empty());
    let worst = summary.worst_audible.into_iter().chain(left_out).min();
    worst.is_some_and(|worst| worst <= declare_from) || conversation.declared
}

/// Asks whoever is next to acknowledge.
pub(super) async fn escalate(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let Some((mut conversation, incident)) = ongoing(tx, key).await? else {
                return Ok(());
            };
            if conversation.acknowledged.is_some() {
                return Ok(());
            }
            let summary = tx.alert_summary(key).await?;
            let settings = &bot.settings().alerts;
            let next = tx.now() + settings.ack_within;
            if !is_urgent(bot, &conversation, &summary) {
                // It may fire again, or its silence end, before it counts as over.
                return ESCALATION.set(tx, key, next).await;
            }
            if let Some(found) = cause::of(tx, bot, &conversation).await? {
                cause::wait_for(tx, &mut conversation, found).await?;
                return ESCALATION.set(tx, key, next).await;
            }
            conversation.waits_for = None;
            let (whom, last) = oncall::next_to_ask(bot, tx, &conversation).await?;
            let level = conversation.escalated;
            conversation.escalated += 1;
            for person in &whom {
                if !conversation.escalated_to.contains(&person.id) {
                    conversation.escalated_to.push(person.id.clone());
                }
            }
            let next = if last {
                tx.now() + settings.ask_again
            } else {
                next
            };
            conversation.asked_at = Some(tx.now());
            conversation.next_ask_at = Some(next);
            ESCALATION.set(tx, key, next).await?;
            let incident = incident.as_ref();
            let was_away = take_back(tx, &mut conversation).await?;
            let about = words::about(&conversation, &summary);
            let notified = notify(tx, bot, &conversation, incident, &whom, |others, now| {
                words::ask(bot, &conversation, incident, about, (others, last), now)
            })
            .await?;
            if let Some(incident) = incident.filter(|_| !whom.is_empty()) {
                invite(tx, incident, &whom).await?;
                let names: Vec<&str> = whom.iter().map(|one| one.name.as_str()).collect();
                let text = format!("asked {} to acknowledge", names.join(", "));
                let draft = Draft::new(&Person::bot(), EntryKind::Alert, text)
                    .data(json!({"level": level, "asked": whom, "ways": notified}));
                tx.append(&conversation.stream(), draft).await?;
            }
            let whom = if was_away {
                // Slack was away: all who were asked hear it by one message.
                tx.people_known(conversation.escalated_to.clone()).await?
            } else {
                whom
            };
            let message = words::escalation(&conversation, incident, about, &whom, tx.now());
            say(tx, &mut conversation, message).await?;
            tx.conversation_put(&conversation).await
        })
    })
    .await
}

/// Takes the asks back that surely nobody has seen, such as while Slack is away; whether there were any.
async fn take_back(tx: &mut Tx, conversation: &mut Conversation) -> Result<bool, StoreError> {
    let mut seen = Vec::new();
    let mut were_any = false;
    for key in std::mem::take(&mut conversation.asks) {
        if tx.outbox_withdraw(&key).await? {
            were_any = true;
        } else {
            seen.push(key);
        }
    }
    conversation.asks = seen;
    Ok(were_any)
}

/// Asks people in the main channel, by a message of its own.
pub(super) async fn say(
    tx: &mut Tx,
    conversation: &mut Conversation,
    message: Message,
) -> Result<(), StoreError> {
    let key = conversation.message_key("escalation");
    let ask = Outgoing {
        to: home(conversation),
        ..outgoing(conversation, key.clone(), message)
    };
    tx.outbox_put(&ask).await?;
    conversation.asks.push(key);
    tx.after_commit(|| ASKS.count(&[]));
    let surplus = conversation.asks.len().saturating_sub(REMEMBERED);
    conversation.asks.drain(..surplus);
    Ok(())
}

/// Who is to be told what is new in a conversation: who has it, else who was asked last.
pub(super) async fn concerned(
    tx: &mut Tx,
    conversation: &Conversation,
) -> Result<Vec<Person>, StoreError> {
    if let Some((person, _)) = &conversation.acknowledged {
        return Ok(vec![person.clone()]);
    }
    let last = conversation.escalated_to.iter().rev().take(3);
    tx.people_known(last.cloned().collect()).await
}

/// Asks people by all their ways, who are asked in Slack at the same moment; `message` is told whom
/// else. Gives the ways of those who have any, by id.
pub(super) async fn notify(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
    incident: Option<&Incident>,
    whom: &[Person],
    message: impl Fn(&[&str], jiff::Timestamp) -> Message,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let mut notified = BTreeMap::new();
    let thread = match incident {
        Some(incident) => Thread::of(incident),
        None => Thread::new(
            conversation.key.clone(),
            conversation.first.tracked.alert.summary(),
        ),
    };
    let severity = incident.map(|incident| incident.severity);
    let severity = conversation.asked_about.or(severity);
    let settings = bot.settings().notify.as_ref();
    for person in whom {
        let others = whom.iter().filter(|other| other.id != person.id);
        let others: Vec<&str> = others
            .map(|other| settings.map_or(&other.name[..], |settings| settings.name(other)))
            .collect();
        let asking = Asking {
            conversation: conversation.key.clone(),
            sentence: format!("ack {}", words::target(conversation)),
            severity: severity.unwrap_or(conversation.first.routed.severity),
            incident: incident.map(|incident| incident.id),
            thread: thread.clone(),
            message: message(&others, tx.now()),
            how: words::how(bot, conversation),
        };
        let ways = reach(tx, bot, person, &asking).await?;
        if !ways.is_empty() {
            notified.insert(person.id.clone(), ways);
        }
    }
    Ok(notified)
}
