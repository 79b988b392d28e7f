//! Alerts whose sender does not repeat them any more.

use jiff::Timestamp;

use super::conversation::{active, note_alerts, post_news, write_soon};
use super::kinds::UNHEARD;
use super::words::{self, alerts};
use crate::bot::{Context, timers};
use crate::domain::alert::{AlertRecord, Muted};
use crate::store::{StoreError, TimerRow};

/// Alerts that are looked at in one transaction.
const AT_ONCE: i64 = 500;

/// Says which alerts of a conversation were not heard of for too long: whether they fire is not
/// known, and nobody further is asked.
pub(super) async fn look(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let Some(mut conversation) = active(tx, key).await? else {
                return Ok(());
            };
            let (now, given) = (tx.now(), bot.settings().alerts.unheard);
            let mut next: Option<Timestamp> = None;
            let mut unheard: Vec<AlertRecord> = Vec::new();
            for (_, mut record) in tx.alerts_firing(Some(key), AT_ONCE).await? {
                let due = record.tracked.unheard_at(given);
                match due.filter(|_| record.tracked.muted.is_none()) {
                    Some(due) if due <= now => {
                        record.tracked.muted = Some(Muted::Unheard);
                        tx.alert_put(key, &record).await?;
                        unheard.push(record);
                    }
                    Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                    None => {}
                }
            }
            if let Some(next) = next {
                UNHEARD.set(tx, key, next).await?;
            }
            if unheard.is_empty() {
                return Ok(());
            }
            let what = alerts(unheard.len(), "is not heard of", "are not heard of");
            note_alerts(tx, &conversation, &format!("{what} any more"), &unheard).await?;
            let message = words::unheard(&conversation, &unheard);
            post_news(tx, &mut conversation, message).await?;
            tx.conversation_put(&conversation).await?;
            write_soon(tx, &conversation).await
        })
    })
    .await
}
