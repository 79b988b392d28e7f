//! Alerts that flap: nobody is told of their changes, and they count as firing until they are calm.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::timers::{self, What};
use super::{Group, ask_soon, is_open, note};
use crate::bot::Context;
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::duration;
use crate::store::{StoreError, TimerRow, Tx};

/// Alerts that are looked at in one transaction.
const AT_ONCE: i64 = 500;

/// Records changes of alerts that flap. Where an alert fires though its conversation is over (people
/// said that it is), it is moved to those that begin to fire.
pub(super) async fn take(tx: &mut Tx, bot: &Context, group: &mut Group) -> Result<(), StoreError> {
    let mut by_place: BTreeMap<String, Vec<(AlertRecord, bool)>> = BTreeMap::new();
    for (place, record, begins) in std::mem::take(&mut group.damped) {
        by_place.entry(place).or_default().push((record, begins));
    }
    for (place, records) in by_place {
        let conversation = match tx.conversation(&place).await?.filter(|one| !one.ended) {
            Some(one) if is_open(tx, one.incident).await? => Some(one),
            _ => None,
        };
        let mut begin = Vec::new();
        let mut rest = Vec::new();
        for (record, begins) in records {
            if conversation.is_none() && record.tracked.alert.firing {
                group.fired.push(record);
                continue;
            }
            tx.alert_put(&place, &record).await?;
            if begins { &mut begin } else { &mut rest }.push(record);
        }
        look_later(tx, bot, &place, &rest).await?;
        match &conversation {
            Some(conversation) if !begin.is_empty() => {
                begun(tx, bot, conversation, &begin).await?;
                // It counts as firing from now on, though it may just not have fired.
                ask_soon(tx, bot, conversation).await?;
                timers::tell(tx, conversation).await?;
            }
            _ => look_later(tx, bot, &place, &begin).await?,
        }
    }
    Ok(())
}

/// Puts on the timeline which of these flap, and has somebody look whether they have calmed down.
pub(super) async fn begun(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let flapping: Vec<AlertRecord> = records
        .iter()
        .filter(|record| record.tracked.flapping.is_some())
        .cloned()
        .collect();
    if flapping.is_empty() {
        return Ok(());
    }
    let calm = bot.settings().alerts.damping.calm;
    let calm = duration::text(calm.unsigned_abs());
    let subject = match flapping.len() {
        1 => "1 alert flaps: it counts as firing until it has".to_owned(),
        n => format!("{n} alerts flap: they count as firing until they have"),
    };
    let what = format!("{subject} not changed for {calm}");
    note(tx, conversation, &what, &flapping).await?;
    look_later(tx, bot, &conversation.key, &flapping).await
}

async fn look_later(
    tx: &mut Tx,
    bot: &Context,
    place: &str,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let damping = bot.settings().alerts.damping;
    let calm = records
        .iter()
        .filter_map(|one| one.tracked.calm_at(damping));
    match calm.min() {
        Some(calm) => timers::set(tx, place, calm, What::Calm).await,
        None => Ok(()),
    }
}

/// Alerts that have not changed for long enough are what was last reported of them.
pub(super) async fn calm_down(
    context: &Context,
    timer: &TimerRow,
    told: &str,
) -> Result<(), StoreError> {
    let bot = context.clone();
    let (timer, told) = (timer.clone(), told.to_owned());
    context
        .store()
        .write(move |tx| Box::pin(async move { calm_down_in(tx, &bot, &timer, &told).await }))
        .await
}

async fn calm_down_in(
    tx: &mut Tx,
    bot: &Context,
    timer: &TimerRow,
    told: &str,
) -> Result<(), StoreError> {
    let (now, settings) = (tx.now(), &bot.settings().alerts);
    // In the order in which reports lock the same rows.
    let conversation = tx.conversation(told).await?;
    let flapping = tx.alerts_flapping(told, AT_ONCE).await?;
    if !tx.timer_take(timer).await? {
        return Ok(());
    }
    let mut next: Option<Timestamp> = (flapping.len() as i64 == AT_ONCE).then_some(now);
    let mut calm = Vec::new();
    for mut record in flapping {
        if record.tracked.calm_down(settings.damping, now) {
            tx.alert_put(told, &record).await?;
            calm.push(record);
        } else if let Some(at) = record.tracked.calm_at(settings.damping) {
            next = Some(next.map_or(at, |next| next.min(at)));
        }
    }
    if let Some(next) = next {
        timers::set(tx, told, next.max(now), What::Calm).await?;
    }
    let Some(mut conversation) = conversation.filter(|_| !calm.is_empty()) else {
        return Ok(());
    };
    let what = match calm.len() {
        1 => "1 alert flaps no more".to_owned(),
        n => format!("{n} alerts flap no more"),
    };
    note(tx, &conversation, &what, &calm).await?;
    if conversation.ended {
        return Ok(());
    }
    if tx.count_firing(told).await? == 0 && conversation.quiet_since.is_none() {
        // It has been quiet since the last change, not only since now.
        let since = calm.iter().map(|record| record.tracked.changed_at).max();
        let since = since.unwrap_or(now);
        conversation.quiet_since = Some(since);
        tx.conversation_put(&conversation).await?;
        let due = (since + settings.quiet).max(now);
        timers::set(tx, told, due, What::Quiet).await?;
    }
    timers::tell(tx, &conversation).await
}
