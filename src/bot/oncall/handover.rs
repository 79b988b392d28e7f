//! Handovers: whoever comes on call while an incident is open is told.
//!
//! Each rotation has a timer for the next change. It holds who was on call when it was set, so that
//! a change is told once, whatever caused it, and by one process.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::words;
use crate::bot::Context;
use crate::bot::alerts::timers::{self, What};
use crate::domain::oncall::{Override, Rotation};
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, Incident, Outgoing, Person, Stream};
use crate::store::{StoreError, TimerRow, Tx};

/// Where no change can be foreseen, it is looked again after this.
const RARELY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The timer of a rotation; its key does not depend on who was on call.
pub(super) fn timer_key(rotation: &Rotation) -> String {
    let what = What::Handover { was: String::new() };
    what.key(&rotation.name)
}

/// Sets the timer of the next change.
pub(super) async fn look_later(
    tx: &mut Tx,
    rotation: &Rotation,
    overrides: &[Override],
) -> Result<(), StoreError> {
    let now = tx.now();
    let shift = rotation.shift(overrides, now);
    let rarely = now.checked_add(RARELY).unwrap_or(Timestamp::MAX);
    let due = shift.until.map_or(rarely, |until| until.min(rarely));
    let was = shift.person.id;
    timers::set(tx, &rotation.name, due, What::Handover { was }).await
}

/// Puts on the timelines of these incidents who is on call now.
pub(super) async fn note(
    tx: &mut Tx,
    rotation: &Rotation,
    by: &Person,
    (before, after): (&Person, &Person),
    open: &[Incident],
) -> Result<(), StoreError> {
    for incident in open {
        let text = format!("{after} is on call by {} (was {before})", rotation.name);
        let draft = Draft::new(by, EntryKind::Assigned, text)
            .data(json!({"rotation": rotation.name, "before": before, "after": after}));
        tx.append(&Stream::Incident(incident.id), draft).await?;
    }
    Ok(())
}

/// Sets the timers of all rotations, and has each look at once: the configuration may have
/// changed who is on call.
pub(in crate::bot) async fn begin_handovers(context: &Context) -> Result<(), StoreError> {
    let rotations = context.on_call().rotations().to_vec();
    if rotations.is_empty() {
        return Ok(());
    }
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let overrides = tx.overrides().await?;
                for rotation in &rotations {
                    let was = rotation.shift(&overrides, tx.now()).person.id;
                    let due = tx.now();
                    timers::begin(tx, &rotation.name, due, What::Handover { was }).await?;
                    tx.timer_hasten(&timer_key(rotation)).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Looks who is on call now; tells whoever has come on call while incidents are open.
pub(in crate::bot) async fn hand_over(
    context: &Context,
    timer: &TimerRow,
    name: &str,
) -> Result<(), StoreError> {
    let Some(rotation) = context.on_call().rotation(name).cloned() else {
        return crate::bot::alerts::look::drop_timer(context, timer).await;
    };
    let open = crate::bot::oncall::served(context, &rotation).await?;
    let (bot, timer) = (context.clone(), timer.clone());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                // Somebody may have been put on call, and told, since this timer was claimed.
                let Some(stored) = tx.timer_taken(&timer).await? else {
                    return Ok(());
                };
                let What::Handover { was } = timers::read(&stored)? else {
                    return Ok(());
                };
                let overrides = tx.overrides().await?;
                look_later(tx, &rotation, &overrides).await?;
                let mut duty = rotation.duty(&overrides, tx.now());
                if duty.person.id == was || open.is_empty() {
                    return Ok(());
                }
                let was = Person {
                    name: was.clone(),
                    id: was,
                };
                let was = tx.known_as(was).await?;
                duty.person = tx.known_as(duty.person).await?;
                note(tx, &rotation, &Person::bot(), (&was, &duty.person), &open).await?;
                let message = words::comes_on(&bot, &rotation, &was, &duty, &open);
                let key = format!("handover:{}:{}", rotation.name, tx.now().as_microsecond());
                tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
                    .await
            })
        })
        .await
}
