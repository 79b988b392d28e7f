//! Escalation: people are asked to acknowledge, one after another.

use std::collections::BTreeMap;

use serde_json::json;

use super::conversation::{home, ongoing, outgoing};
use super::kinds::ESCALATION;
use super::words;
use crate::bot::notify::{Asking, reach};
use crate::bot::{Context, oncall, timers};
use crate::domain::alert::Conversation;
use crate::domain::notification::Thread;
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Incident, Outgoing, Person};
use crate::store::{StoreError, TimerRow, Tx};

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

/// Asks whoever is next to acknowledge.
pub(super) async fn escalate(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let summary = context.store().alert_summary(&timer.subject).await?;
    let is_audible = summary.firing > summary.silenced;
    timers::take(context, timer, move |tx, bot, key| {
        Box::pin(async move {
            let Some((mut conversation, incident)) = ongoing(tx, key).await? else {
                return Ok(());
            };
            if conversation.acknowledged.is_some() {
                return Ok(());
            }
            let next = tx.now() + bot.settings().alerts.ack_within;
            if !is_audible {
                // It may fire again, or its silence end, before it counts as over.
                return ESCALATION.set(tx, key, next).await;
            }
            let (whom, last) = oncall::next_to_ask(bot, tx, &conversation).await?;
            let level = conversation.escalated;
            conversation.escalated += 1;
            let ids = whom.iter().map(|one| one.id.clone());
            conversation.escalated_to.extend(ids);
            tx.conversation_put(&conversation).await?;
            if !last {
                ESCALATION.set(tx, key, next).await?;
            }
            if whom.is_empty() {
                return Ok(());
            }
            let incident = incident.as_ref();
            let notified = notify(tx, bot, &conversation, incident, &whom, last).await?;
            if incident.is_some() {
                let names: Vec<&str> = whom.iter().map(|one| one.name.as_str()).collect();
                let text = format!("not acknowledged: asked {}", names.join(", "));
                let draft = Draft::new(&Person::bot(), EntryKind::Alert, text)
                    .data(json!({"level": level, "asked": whom, "ways": notified}));
                tx.append(&conversation.stream(), draft).await?;
            }
            let message = words::escalation(&conversation, incident, &whom, tx.now());
            let key = format!("escalation:{key}:{level}");
            tx.outbox_put(&Outgoing {
                to: home(&conversation),
                ..outgoing(&conversation, key, message)
            })
            .await
        })
    })
    .await
}

/// Asks people by all their ways, who are asked in Slack at the same moment. Gives the ids of those
/// who have any, with the ways.
async fn notify(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
    incident: Option<&Incident>,
    whom: &[Person],
    last: bool,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let mut notified = BTreeMap::new();
    let thread = match incident {
        Some(incident) => Thread::of(incident),
        None => Thread::new(
            conversation.key.clone(),
            conversation.first.tracked.alert.summary(),
        ),
    };
    let settings = bot.settings().notify.as_ref();
    for person in whom {
        let others = whom.iter().filter(|other| other.id != person.id);
        let others: Vec<&str> = others
            .map(|other| settings.map_or(&other.name[..], |settings| settings.name(other)))
            .collect();
        let asking = Asking {
            conversation: conversation.key.clone(),
            sentence: format!("ack {}", words::target(conversation)),
            severity: conversation.first.routed.severity,
            incident: incident.map(|incident| incident.id),
            thread: thread.clone(),
            message: words::ask(bot, conversation, incident, &others, last, tx.now()),
            how: words::how(bot, conversation),
        };
        let ways = reach(tx, bot, person, &asking).await?;
        if !ways.is_empty() {
            notified.insert(person.id.clone(), ways);
        }
    }
    Ok(notified)
}
