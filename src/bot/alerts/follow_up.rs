//! The message of a conversation, and the question whether its alerts still fire.

use std::time::Duration;

use super::changes::changes_since_begin;
use super::conversation::{note_on_incident, ongoing, outgoing};
use super::kinds::{FOLLOW_UP, MESSAGE};
use super::words;
use crate::bot::{Context, timers};
use crate::store::{StoreError, TimerRow};

/// The longest time between two follow-ups.
const RARELY: Duration = Duration::from_secs(3_600);

/// The message is written at least this often while something fires.
const EVERY: Duration = Duration::from_secs(60);

/// Writes the message anew.
pub(super) async fn write_message(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let Some(mut conversation) = tx.conversation(key).await? else {
                return Ok(());
            };
            // Not before: what is reported after the timer was taken sets it anew.
            let (summary, others) = (tx.alert_summary(key).await?, tx.services_firing().await?);
            let is_empty = summary.firing + summary.resolved == 0;
            if is_empty && conversation.left_out.is_empty() && conversation.moved_to.is_none() {
                // A person declared it, and no alert has come.
                return Ok(());
            }
            let now = tx.now();
            conversation.written_at = Some(now);
            if summary.firing > 0 && !conversation.ended {
                // Its age and its values go on.
                MESSAGE.set(tx, key, now + EVERY).await?;
            }
            tx.conversation_put(&conversation).await?;
            let message = words::alerts_message(bot, &conversation, &summary, &others, tx.now());
            let key = format!("alerts:{key}");
            tx.outbox_put(&outgoing(&conversation, key, message)).await
        })
    })
    .await
}

/// Says that alerts still fire, ever more rarely.
pub(super) async fn follow_up(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let changes = changes_since_begin(context, &timer.subject).await?;
    timers::take(context, timer, move |tx, bot, key| {
        Box::pin(async move {
            let Some((mut conversation, _)) = ongoing(tx, key).await? else {
                return Ok(());
            };
            let summary = tx.alert_summary(key).await?;
            let n = conversation.follow_ups;
            conversation.follow_ups += 1;
            let message_key = conversation.message_key("follow-up");
            tx.conversation_put(&conversation).await?;
            let interval = bot.settings().alerts.follow_up;
            let next = interval
                .saturating_mul(1 << (n + 1).min(10))
                .min(RARELY.max(interval));
            let due = tx.now() + next;
            FOLLOW_UP.set(tx, key, due).await?;
            if summary.audible() == 0 && conversation.left_out.is_empty() {
                return Ok(());
            }
            let message = words::follow_up(&conversation, &summary, &changes, tx.now());
            note_on_incident(tx, &conversation, message.title.plain()).await?;
            tx.outbox_put(&outgoing(&conversation, message_key, message))
                .await
        })
    })
    .await
}
