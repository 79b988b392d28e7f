//! Hearing, and noticing that nothing is heard.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::bot::Context;
use crate::bot::alerts::take_alerts;
use crate::domain::alert::{Alert, Body};
use crate::domain::heartbeat::{Beat, Heard, Heartbeat};
use crate::store::StoreError;

/// Whether one is missing is looked at so often.
const EVERY: Duration = Duration::from_secs(5);

fn expected<'c>(context: &'c Context, name: &str) -> Option<&'c Heartbeat> {
    let mut all = context.settings().alerts.heartbeats.iter();
    all.find(|one| one.name == name)
}

/// A job said that it ran: it is durably recorded when this returns. `beat` makes it of the moment.
/// `None`: no such heartbeat is configured.
pub async fn hear(
    context: &Context,
    name: &str,
    beat: impl FnOnce(Timestamp) -> Beat,
) -> Result<Option<Heard>, StoreError> {
    let Some(heartbeat) = expected(context, name) else {
        return Ok(None);
    };
    let listener = context.listener();
    let mut ears = listener.ears.lock().await;
    let (now, own) = (context.now(), listener.clock());
    ears.tick(now, own);
    let (name, beat) = (heartbeat.name.clone(), beat(now));
    let recorded = context.store().write(move |tx| {
        Box::pin(async move {
            let known = tx.heartbeat(&name).await?;
            let mut heard = known.unwrap_or_else(|| Heard::since(now));
            heard.beat(beat);
            tx.heartbeat_put(&name, &heard).await?;
            Ok::<_, StoreError>(heard)
        })
    });
    let heard = recorded.await?;
    ears.hear(&heartbeat.name, &heard, own);
    listener.heard.notify_one();
    Ok(Some(heard))
}

/// Takes the alerts that count as heartbeats out of what Alertmanager sent.
pub async fn hear_watchdogs(context: &Context, body: &mut Body) -> Result<(), StoreError> {
    let all = &context.settings().alerts.heartbeats;
    let is_of = |alert: &Alert| {
        let mut all = all.iter();
        all.find(|one| one.watchdog.as_deref() == Some(alert.name()))
    };
    let mut heard = BTreeSet::new();
    body.alerts.retain(|alert| {
        let heartbeat = is_of(alert);
        // That it ends is told by its not coming.
        heard.extend(heartbeat.filter(|_| alert.firing).map(|one| &one.name));
        heartbeat.is_none()
    });
    for name in heard {
        let beat = |at| Beat {
            at,
            size: None,
            took: None,
            failed: None,
        };
        hear(context, name, beat).await?;
    }
    Ok(())
}

/// Notices what is missing, until the shutdown.
pub(crate) async fn keep_listening(context: Context) {
    loop {
        match look(&context).await {
            // What was configured before is forgotten by now.
            Ok(()) if context.settings().alerts.heartbeats.is_empty() => return,
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "heartbeats can't be looked at"),
        }
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            () = context.listener().heard.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(context: &Context) -> Result<(), StoreError> {
    let known = context.store().heartbeats().await?;
    let listener = context.listener();
    let mut ears = listener.ears.lock().await;
    let (now, own) = (context.now(), listener.clock());
    ears.tick(now, own);
    for heartbeat in &context.settings().alerts.heartbeats {
        let before = known.get(&heartbeat.name);
        let mut heard = before.cloned().unwrap_or_else(|| Heard::since(now));
        let reports = ears.look(heartbeat, &mut heard, (now, own));
        if before == Some(&heard) {
            continue;
        }
        if !reports.is_empty() {
            // Before it is noted: taken in twice, they are the same alerts.
            take_alerts(context, Alert::HEARTBEAT, reports.into()).await?;
        }
        let name = heartbeat.name.clone();
        let noted = context.store().write(move |tx| {
            Box::pin(async move {
                let known = tx.heartbeat(&name).await?;
                let known = known.map_or_else(|| heard.clone(), |known| known.noted(&heard));
                tx.heartbeat_put(&name, &known).await
            })
        });
        noted.await?;
    }
    for (name, heard) in known {
        if expected(context, &name).is_none() {
            forget(context, name, &heard, now).await?;
        }
    }
    Ok(())
}

/// One that is no longer configured.
async fn forget(
    context: &Context,
    name: String,
    heard: &Heard,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reports = Heartbeat::forgotten(&name, heard, now);
    if !reports.is_empty() {
        take_alerts(context, Alert::HEARTBEAT, reports.into()).await?;
    }
    let gone = context
        .store()
        .write(move |tx| Box::pin(async move { tx.heartbeat_remove(&name).await }));
    gone.await
}
