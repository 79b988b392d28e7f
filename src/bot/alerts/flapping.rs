//! Alerts that flap: nobody is told of their changes, and they count as firing until they are calm.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::conversation::{active, note_alerts, write_soon};
use super::kinds::CALM;
use super::words::alerts;
use super::{escalation, over};
use crate::bot::Context;
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::duration;
use crate::store::{StoreError, TimerRow, Tx};

/// Alerts that are looked at in one transaction.
const AT_ONCE: i64 = 500;

/// Records changes of alerts that flap (and whether they begin to), by conversation. Where an alert
/// fires though its conversation is over (people said that it is), it is moved to `fired`.
pub(super) async fn take(
    tx: &mut Tx,
    bot: &Context,
    changed: BTreeMap<String, Vec<(AlertRecord, bool)>>,
    fired: &mut Vec<AlertRecord>,
) -> Result<(), StoreError> {
    for (key, records) in changed {
        let conversation = active(tx, &key).await?;
        let mut begin = Vec::new();
        let mut rest = Vec::new();
        for (record, begins) in records {
            if conversation.is_none() && record.tracked.alert.firing {
                fired.push(record);
                continue;
            }
            if begins { &mut begin } else { &mut rest }.push(record);
        }
        tx.alerts_put(&key, begin.iter().chain(&rest)).await?;
        check_later(tx, bot, &key, &rest).await?;
        match &conversation {
            Some(conversation) if !begin.is_empty() => {
                begun(tx, bot, conversation, &begin).await?;
                // It counts as firing from now on, though it may just not have fired.
                escalation::schedule(tx, bot, conversation).await?;
                write_soon(tx, conversation).await?;
            }
            _ => check_later(tx, bot, &key, &begin).await?,
        }
    }
    Ok(())
}

/// Puts on the timeline which of these flap, and has it checked whether they have calmed down.
pub(super) async fn begun(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let flaps = |record: &&AlertRecord| record.tracked.flapping.is_some();
    let flapping: Vec<AlertRecord> = records.iter().filter(flaps).cloned().collect();
    if flapping.is_empty() {
        return Ok(());
    }
    let calm = bot.settings().alerts.damping.calm;
    let calm = duration::text(calm.unsigned_abs());
    let subject = alerts(
        flapping.len(),
        "flaps: it counts as firing until it has",
        "flap: they count as firing until they have",
    );
    let what = format!("{subject} not changed for {calm}");
    note_alerts(tx, conversation, &what, &flapping).await?;
    check_later(tx, bot, &conversation.key, &flapping).await
}

/// Has it checked when these may have calmed down.
pub(super) async fn check_later(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let damping = bot.settings().alerts.damping;
    let calm = |one: &AlertRecord| one.tracked.calm_at(damping);
    match records.iter().filter_map(calm).min() {
        Some(calm) => CALM.set(tx, key, calm).await,
        None => Ok(()),
    }
}

/// Alerts that have not changed for long enough are what was last reported of them.
pub(super) async fn calm_down(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let (bot, timer) = (context.clone(), timer.clone());
    context
        .store()
        .write(move |tx| Box::pin(async move { calm_down_in(tx, &bot, &timer).await }))
        .await
}

async fn calm_down_in(tx: &mut Tx, bot: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let (key, now, settings) = (&timer.subject, tx.now(), &bot.settings().alerts);
    // In the order in which reports lock the same rows.
    let conversation = tx.conversation(key).await?;
    let flapping = tx.alerts_flapping(key, AT_ONCE).await?;
    if tx.timer_take(timer).await?.is_none() {
        return Ok(());
    }
    let mut next: Option<Timestamp> = (flapping.len() as i64 == AT_ONCE).then_some(now);
    let mut calm = Vec::new();
    for mut record in flapping {
        if record.tracked.calm_down(settings.damping, now) {
            tx.alert_put(key, &record).await?;
            calm.push(record);
        } else if let Some(at) = record.tracked.calm_at(settings.damping) {
            next = Some(next.map_or(at, |next| next.min(at)));
        }
    }
    if let Some(next) = next {
        CALM.set(tx, key, next.max(now)).await?;
    }
    let Some(mut conversation) = conversation.filter(|_| !calm.is_empty()) else {
        return Ok(());
    };
    let what = alerts(calm.len(), "flaps no more", "flap no more");
    note_alerts(tx, &conversation, &what, &calm).await?;
    if conversation.ended {
        return Ok(());
    }
    // It has been quiet since the last change, not only since now.
    let since = calm.iter().map(|record| record.tracked.changed_at).max();
    over::begin_quiet(tx, bot, &mut conversation, since).await?;
    write_soon(tx, &conversation).await
}
