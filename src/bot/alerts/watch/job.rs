//! One process looks at a time: the timer that makes it look holds what is known so far, and is set
//! anew in the transaction that takes it.

use super::judge::{Known, judge};
use super::readings::look;
use crate::bot::alerts::intake::take_alerts;
use crate::bot::alerts::kinds::WATCH;
use crate::bot::{Context, timers};
use crate::store::{StoreError, TimerRow};

/// There is one timer for all.
const ALL: &str = "all";

/// Begins to watch, if that is wanted; what another process knows is kept.
pub(crate) async fn begin_watching(context: &Context) -> Result<(), StoreError> {
    if context.settings().alerts.watch.is_none() {
        return Ok(());
    }
    context
        .store()
        .write(|tx| Box::pin(async move { WATCH.begin(tx, ALL, &Known::new()).await }))
        .await
}

pub(crate) async fn watch(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let Some(watch) = context.settings().alerts.watch else {
        return timers::discard(context, timer).await;
    };
    let known: Known = serde_json::from_str(&timer.payload)?;
    let look = look(context, watch).await?;
    let (known, alerts) = judge(known, &look, watch, context.now());
    if !alerts.is_empty() {
        // Not in the transaction of the timer: taken in twice they are the same alerts.
        take_alerts(context, "watch", alerts.into()).await?;
    }
    timers::take(context, timer, move |tx, _, subject| {
        Box::pin(async move {
            let due = tx.now() + watch.every;
            WATCH.set_with(tx, subject, due, &known).await
        })
    })
    .await
}
