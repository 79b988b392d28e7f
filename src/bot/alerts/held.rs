//! Alerts that a maintenance window holds: they are recorded, and told nowhere until it is over.
//!
//! To hold an alert is to silence it until the window ends, so that all that knows of silences knows
//! of windows. What joins an incident that is open stands in its message, silenced; what would
//! declare one, or begin a conversation, is kept under the window's own key. At the end it is taken up
//! as if it had begun to fire then.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::conversation::{is_active, note_alerts};
use super::kinds::{HELD, MESSAGE, SILENCE_END};
use super::news::News;
use super::words::{self, alerts};
use crate::bot::{Context, timers};
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::period::{Period, PeriodKind};
use crate::domain::{Destination, Outgoing};
use crate::store::{StoreError, TimerRow, Tx};

/// The window's message is written at most this often while alerts come.
const PACE: SignedDuration = SignedDuration::from_secs(5);

/// The windows that are open now; none of them ends until this transaction does.
pub(super) async fn windows(tx: &mut Tx) -> Result<Vec<Period>, StoreError> {
    let now = tx.now();
    let mut all = tx.periods_open(PeriodKind::Window).await?;
    all.retain(|one| one.is_on(now));
    Ok(all)
}

/// Takes out of the news of a group what a window holds. `before`: the key of the group's last
/// conversation. What fires as loud as ever since before its window is not held, nor what is too bad.
pub(super) async fn keep(
    tx: &mut Tx,
    bot: &Context,
    windows: &[Period],
    before: Option<&str>,
    news: &mut News,
) -> Result<(), StoreError> {
    if windows.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    let mut held = BTreeMap::<i64, Vec<AlertRecord>>::new();
    let mut fired = Vec::new();
    for mut record in std::mem::take(&mut news.fired) {
        match hold(windows, &mut record) {
            Some(window) if !joins(tx, bot, before, &record).await? => {
                held.entry(window).or_default().push(record);
            }
            Some(window) => {
                HELD.set(tx, &window.to_string(), now + PACE).await?;
                fired.push(record);
            }
            None => fired.push(record),
        }
    }
    let mut changed = Vec::new();
    for (mut record, was) in std::mem::take(&mut news.changed) {
        let is_quiet = record.tracked.silenced_until.is_some_and(|at| at > now);
        match hold(windows, &mut record) {
            Some(window) if is_quiet && !joins(tx, bot, before, &record).await? => {
                held.entry(window).or_default().push(record);
            }
            Some(_) if !is_quiet => {
                record.tracked.silenced_until = None;
                changed.push((record, was));
            }
            _ => changed.push((record, was)),
        }
    }
    (news.fired, news.changed) = (fired, changed);
    for (id, records) in held {
        if let Some(window) = windows.iter().find(|one| one.id == id) {
            record_held(tx, window, &records).await?;
        }
    }
    Ok(())
}

/// Holds an alert, if a window of its service does; the window's number. One that is too bad to be held is
/// told again.
fn hold(windows: &[Period], record: &mut AlertRecord) -> Option<i64> {
    let service = record.routed.service.as_ref()?;
    let window = windows
        .iter()
        .find(|one| one.service.as_ref() == Some(service))?;
    let until = &mut record.tracked.silenced_until;
    if record.routed.severity <= Period::NEVER_HELD {
        if *until == Some(window.ends_at) {
            *until = None;
        }
        return None;
    }
    *until = (*until).max(Some(window.ends_at));
    Some(window.id)
}

/// Told in silence, it declares nothing: the incident of its service is open, or its group is told of
/// without one.
async fn joins(
    tx: &mut Tx,
    bot: &Context,
    before: Option<&str>,
    record: &AlertRecord,
) -> Result<bool, StoreError> {
    if let Some(service) = &record.routed.service
        && tx.incident_of(service).await?.is_some()
    {
        return Ok(true);
    }
    let declares = record.routed.severity <= bot.settings().alerts.declare_from;
    Ok(match before {
        Some(before) => !declares && is_active(tx, before).await?,
        None => false,
    })
}

async fn record_held(
    tx: &mut Tx,
    window: &Period,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let key = window.key();
    tx.alerts_put(&key, records).await?;
    SILENCE_END.set(tx, &key, window.ends_at).await?;
    let soon = tx.now() + PACE;
    HELD.set(tx, &window.id.to_string(), soon.min(window.ends_at))
        .await?;
    note(tx, window, "fires", "fire", records).await
}

/// Puts on the audit what became of alerts that a window holds.
async fn note(
    tx: &mut Tx,
    window: &Period,
    one: &str,
    many: &str,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let Some(first) = records.first() else {
        return Ok(());
    };
    let what = alerts(records.len(), one, many);
    let what = format!("{what} in the maintenance window of {}", window.scope());
    let conversation = Conversation::new(window.key(), first.clone(), tx.now());
    note_alerts(tx, &conversation, &what, records).await
}

/// Alerts that a window holds under its own key are over.
pub(super) async fn ended(
    tx: &mut Tx,
    key: &str,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let id = key.strip_prefix(Period::KEY).and_then(|id| id.parse().ok());
    let Some(id) = id else {
        return Ok(());
    };
    if let Some(window) = tx.period(id).await? {
        note(tx, &window, "is over", "are over", records).await?;
        if !window.over {
            HELD.set(tx, &id.to_string(), tx.now() + PACE).await?;
        }
    }
    Ok(())
}

/// Writes the window's message anew. The timer's subject is its number.
pub(super) async fn tell(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, _, id| {
        Box::pin(async move {
            match tx.period(id.parse().unwrap_or(0)).await? {
                Some(window) if !window.over => window_told(tx, &window).await,
                _ => Ok(()),
            }
        })
    })
    .await
}

/// Writes what a window holds into its message.
pub(crate) async fn window_told(tx: &mut Tx, window: &Period) -> Result<(), StoreError> {
    let Some(service) = &window.service else {
        return Ok(());
    };
    let held = tx.alerts_held(service, window.ends_at).await?;
    let records: Vec<AlertRecord> = held.into_iter().map(|(_, record)| record).collect();
    let incident = tx.incident_of(service).await?;
    let message = words::window(window, &records, incident);
    let told = Outgoing::announcement(window.message_key(), Destination::Home, message);
    tx.outbox_put(&told).await
}

/// A window ends at another time than it was to: what it holds is silenced until then. Gives what it
/// holds.
pub(crate) async fn hold_until(
    tx: &mut Tx,
    window: &Period,
    before: Timestamp,
) -> Result<Vec<AlertRecord>, StoreError> {
    let Some(service) = &window.service else {
        return Ok(Vec::new());
    };
    let now = tx.now();
    let mut all = Vec::new();
    for (key, mut record) in tx.alerts_held(service, before).await? {
        if before != window.ends_at {
            record.tracked.silenced_until = Some(window.ends_at);
            tx.alert_put(&key, &record).await?;
        }
        if !key.is_empty() {
            SILENCE_END.set(tx, &key, window.ends_at).await?;
            MESSAGE.set(tx, &key, now).await?;
        }
        all.push(record);
    }
    Ok(all)
}
