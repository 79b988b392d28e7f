//! `ack`.

use std::slice;

use super::conversation::{note, ongoing};
use super::find::{Meant, alerts_meant};
use super::kinds::{ESCALATION, MESSAGE, REASK};
use super::reask;
use super::words::target;
use crate::bot::incidents::{close_asks, invite};
use crate::bot::notify::{Ended, forget};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::alert::Conversation;
use crate::domain::{Line, Message, Person, Tone, duration};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics::ACKNOWLEDGE;

pub(crate) async fn acknowledge(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let meant = alerts_meant(context, ask, given).await?;
    let person = ask.request.person.clone();
    let context = context.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let mut taken: Option<Conversation> = None;
            let mut done = Vec::new();
            for key in &meant.conversations {
                // What is over takes nothing more.
                let Some((conversation, _)) = ongoing(tx, key).await? else {
                    continue;
                };
                // Whoever has it was asked whether they still do: they answer, or another takes over.
                let is_asked = conversation.asked_again_at.is_some();
                let is_free = conversation.acknowledged.is_none() || is_asked;
                if is_free {
                    done.push(target(&conversation));
                    take(tx, &context, conversation, &person).await?;
                } else {
                    taken = Some(conversation);
                }
            }
            if done.is_empty() {
                return Err(refusal(&meant, taken).into());
            }
            let line = Line::new()
                .person(&person)
                .text(" has acknowledged the alerts of ")
                .code(done.join(", "));
            Ok(Answer::to_all(Message::new(Tone::Good, line)).into())
        })
    }))
}

/// A person takes a conversation up, or says that they still have it.
async fn take(
    tx: &mut Tx,
    bot: &Context,
    mut conversation: Conversation,
    person: &Person,
) -> Result<(), StoreError> {
    let now = tx.now();
    let before = conversation.acknowledged.replace((person.clone(), now));
    conversation.asked_again_at = None;
    // What fires now is what is taken up: whatever else begins is news.
    let most = Conversation::KINDS as i64;
    let firing = tx.alerts_firing(Some(&conversation.key), most).await?;
    let records = || firing.iter().map(|(_, record)| record);
    conversation.kinds = records()
        .map(|record| record.tracked.alert.name().to_owned())
        .collect();
    let worst = records().map(|record| record.routed.severity).min();
    conversation.asked_about = worst.or(conversation.asked_about);
    let incident = ongoing(tx, &conversation.key).await?;
    let incident = incident.and_then(|(_, incident)| incident);
    conversation.reask_at = reask::due(bot, &conversation, incident.as_ref(), now);
    if before.is_none() {
        let severity = worst.unwrap_or(conversation.first.routed.severity);
        let took = duration::between(conversation.began_at, now);
        tx.after_commit(move || {
            ACKNOWLEDGE.took(&[&severity.to_string()], took);
            tracing::info!("alerts are acknowledged");
        });
    }
    let how = Line::new().text("Acknowledged by ").person(person);
    close_asks(tx, &mut conversation, &how).await?;
    tx.conversation_put(&conversation).await?;
    let key = &conversation.key;
    for kind in [ESCALATION, REASK] {
        kind.unset(tx, key).await?;
    }
    reask::resume(tx, bot, &conversation).await?;
    forget(tx, key, &Ended::Acknowledged(person)).await?;
    MESSAGE.set(tx, key, now).await?;
    if let Some(incident) = &incident {
        invite(tx, incident, slice::from_ref(person)).await?;
    }
    let text = match before {
        Some((by, _)) if by.id == person.id => "alerts acknowledged again".to_owned(),
        Some((by, _)) => format!("alerts acknowledged, in place of {by}"),
        None => {
            let after = duration::text(duration::between(conversation.began_at, now));
            format!("alerts acknowledged {after} after they began")
        }
    };
    note(tx, &conversation, person, text).await
}

fn refusal(meant: &Meant, taken: Option<Conversation>) -> Refusal {
    match taken.and_then(|conversation| conversation.acknowledged) {
        Some((by, at)) => {
            let line = Line::new().code(&meant.name);
            let line = line.text(" was already acknowledged by ").person(&by);
            Refusal::new(line.text(" at ").time(at))
        }
        None => meant.nothing(),
    }
}
