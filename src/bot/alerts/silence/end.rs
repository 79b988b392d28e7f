//! A silence is over.

use jiff::Timestamp;

use crate::bot::alerts::conversation::{active, write_soon};
use crate::bot::alerts::episode;
use crate::bot::alerts::kinds::SILENCE_END;
use crate::bot::{Context, timers};
use crate::domain::alert::AlertRecord;
use crate::domain::period::PeriodKind;
use crate::store::{StoreError, TimerRow, Tx};

/// Alerts that are looked at in one transaction.
const AT_ONCE: i64 = 10_000;

/// What still fires after its silence is told, by one message. The timer's subject is the key of its
/// conversation, which may be over.
pub(crate) async fn end(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let now = tx.now();
            let mut loud: Vec<AlertRecord> = Vec::new();
            let mut why = "the silence is over";
            for (_, mut record) in tx.alerts_firing(Some(key), AT_ONCE).await? {
                match record.tracked.silenced_until {
                    Some(until) if until <= now => {
                        if is_of_window(tx, &record, until).await? {
                            why = "the maintenance is over";
                        }
                        record.tracked.silenced_until = None;
                        tx.alert_put(key, &record).await?;
                        if record.tracked.is_audible(now) {
                            loud.push(record);
                        }
                    }
                    Some(until) => SILENCE_END.set(tx, key, until).await?,
                    None => {}
                }
            }
            // One that became worse meanwhile may declare an incident now.
            let declare_from = bot.settings().alerts.declare_from;
            let declares = loud
                .iter()
                .any(|record| record.routed.severity <= declare_from);
            let told_in = active(tx, key).await?;
            let told_in = told_in.filter(|one| one.incident.is_some() || !declares);
            let Some(mut conversation) = told_in else {
                return episode::take_up(tx, bot, loud).await;
            };
            episode::tell_again(tx, bot, &mut conversation, &loud, why).await?;
            write_soon(tx, &conversation).await
        })
    })
    .await
}

/// What kept an alert quiet until then was a maintenance window of its service.
async fn is_of_window(
    tx: &mut Tx,
    record: &AlertRecord,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let Some(service) = &record.routed.service else {
        return Ok(false);
    };
    let last = tx.period_last(PeriodKind::Window, service).await?;
    Ok(last.is_some_and(|window| window.ends_at == until))
}
