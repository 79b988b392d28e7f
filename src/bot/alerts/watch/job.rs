//! One process looks at a time: the timer that makes it look holds what is known so far, and is set
//! anew in the transaction that takes it.

use serde::{Deserialize, Serialize};

use super::judge::{Known, judge};
use super::pages::{UnreadPage, UnreadPages, look_at};
use super::readings::look;
use crate::bot::alerts::intake::take_alerts;
use crate::bot::alerts::kinds::WATCH;
use crate::bot::{Context, timers};
use crate::domain::alert::Alert;
use crate::store::{StoreError, TimerRow};

/// There is one timer for all.
const ALL: &str = "all";

/// What the timer holds.
#[derive(Default, Serialize, Deserialize)]
struct Held {
    /// Metrics pages that can't be read; no fingerprint is called so.
    #[serde(default, skip_serializing_if = "UnreadPages::is_empty")]
    pages: UnreadPages,
    #[serde(flatten)]
    known: Known,
}

/// The metrics pages that can't be read, by service, as the last look found them.
pub(crate) async fn unread_pages(context: &Context) -> Result<UnreadPages, StoreError> {
    if context.settings().alerts.watch.is_none() {
        return Ok(UnreadPages::new());
    }
    let held = context.store().timer_payload(WATCH.0, ALL).await?;
    let held: Held = serde_json::from_str(held.as_deref().unwrap_or("{}"))?;
    Ok(held.pages)
}

/// The same of one service.
pub(crate) async fn unread_page(
    context: &Context,
    service: &str,
) -> Result<Option<UnreadPage>, StoreError> {
    Ok(unread_pages(context).await?.remove(service))
}

/// Begins to watch, if that is wanted; what another process knows is kept.
pub(crate) async fn begin_watching(context: &Context) -> Result<(), StoreError> {
    if context.settings().alerts.watch.is_none() {
        return Ok(());
    }
    context
        .store()
        .write(|tx| Box::pin(async move { WATCH.begin(tx, ALL, &Held::default()).await }))
        .await
}

pub(crate) async fn watch(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let Some(watch) = context.settings().alerts.watch else {
        return timers::discard(context, timer).await;
    };
    let held: Held = serde_json::from_str(&timer.payload)?;
    let look = look(context, watch).await?;
    let (known, alerts) = judge(held.known, &look, watch, context.now());
    let (pages, told) = look_at(held.pages, &look.pages, watch, context.now());
    let held = Held { pages, known };
    if !alerts.is_empty() {
        // Not in the transaction of the timer: taken in twice they are the same alerts.
        take_alerts(context, Alert::WATCH, alerts.into()).await?;
    }
    timers::take(context, timer, move |tx, _, subject| {
        Box::pin(async move {
            let due = tx.now() + watch.every;
            for message in &told {
                tx.outbox_put(message).await?;
            }
            WATCH.set_with(tx, subject, due, &held).await
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_knew_stays_known() {
        let ill =
            r#"{"since":"2026-11-30T03:00:00Z","fires":true,"labels":{"alertname":"HighMemory"}}"#;
        let earlier = format!(r#"{{"0123456789abcdef":{ill}}}"#);
        let held: Held = serde_json::from_str(&earlier).unwrap();
        assert_eq!((held.known.len(), held.pages.len()), (1, 0));
        assert_eq!(serde_json::to_string(&held).unwrap(), earlier);
    }
}
