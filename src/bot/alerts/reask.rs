//! An acknowledgement is not for ever: whoever took it up is asked whether they still have it.

use jiff::Timestamp;
use serde_json::json;

use super::conversation::ongoing;
use super::escalation::{is_urgent, notify, say};
use super::kinds::{ESCALATION, REASK};
use super::{cause, words};
use crate::bot::notify::ways;
use crate::bot::{Context, timers};
use crate::domain::alert::Conversation;
use crate::domain::person::is_slack_user_id;
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Incident, Person, Severity};
use crate::store::{StoreError, TimerRow, Tx};

/// An acknowledgement was made now: when it is to be asked about.
pub(super) fn due(
    bot: &Context,
    conversation: &Conversation,
    incident: Option<&Incident>,
    now: Timestamp,
) -> Option<Timestamp> {
    // Of lesser alerts nobody is asked.
    let incident = incident.filter(|one| conversation.incident == Some(one.id))?;
    let reask = bot.settings().alerts.reask;
    Some(match incident.severity {
        Severity::Sev1 => now + reask / 4,
        _ => now + reask,
    })
}

/// Something fires that people have to be told of: an acknowledgement that is old is asked about,
/// and where that was asked before it was quiet, the answer is due as it was.
pub(super) async fn resume(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
) -> Result<(), StoreError> {
    let answer_within = bot.settings().alerts.ack_within;
    let answer_due = conversation.asked_again_at.map(|at| at + answer_within);
    match answer_due.or(conversation.reask_at) {
        Some(due) => REASK.set(tx, &conversation.key, due.max(tx.now())).await,
        None => Ok(()),
    }
}

/// Asks whoever has it; where they were asked and have not answered, the next is asked.
pub(super) async fn ask_again(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let Some((mut conversation, incident)) = ongoing(tx, key).await? else {
                return Ok(());
            };
            let Some((person, _)) = conversation.acknowledged.clone() else {
                return Ok(());
            };
            let summary = tx.alert_summary(key).await?;
            let incident = incident.as_ref();
            if !is_urgent(bot, &conversation, &summary) {
                // Once something is, it is asked about.
                return Ok(());
            }
            let now = tx.now();
            if cause::of(tx, bot, &conversation).await?.is_some() {
                let due = now + bot.settings().alerts.ack_within;
                return REASK.set(tx, key, due).await;
            }
            let can_be_asked = is_slack_user_id(&person.id) || !ways(bot, &person).is_empty();
            if conversation.asked_again_at.is_some() || !can_be_asked {
                conversation.ask_from_the_first(now);
                let text = if can_be_asked {
                    conversation.escalated_to.push(person.id.clone());
                    format!("{person} did not answer whether they still have it")
                } else {
                    format!("{person} acknowledged it where nobody can be asked whether they still have it")
                };
                tx.conversation_put(&conversation).await?;
                note(tx, &conversation, &person, text).await?;
                return ESCALATION.set(tx, key, now).await;
            }
            conversation.asked_again_at = Some(now);
            let due = now + bot.settings().alerts.ack_within;
            REASK.set(tx, key, due).await?;
            let message = words::still_yours(bot, &conversation, incident, &summary, &person, now);
            let whom = [person.clone()];
            notify(tx, bot, &conversation, incident, &whom, |_, _| {
                message.clone()
            })
            .await?;
            say(tx, &mut conversation, message.clone()).await?;
            tx.conversation_put(&conversation).await?;
            let text = format!("asked {person} whether they still have it");
            note(tx, &conversation, &person, text).await
        })
    })
    .await
}

async fn note(
    tx: &mut Tx,
    conversation: &Conversation,
    person: &Person,
    text: String,
) -> Result<(), StoreError> {
    let draft = Draft::new(&Person::bot(), EntryKind::Alert, text).data(json!({"asked": [person]}));
    tx.append(&conversation.stream(), draft).await?;
    Ok(())
}
