//! Handovers: whoever comes on call while an incident is open is told.
//!
//! Each rotation has a timer for the next change. It holds who was on call when it was set, so that
//! a change is announced once, whatever caused it, and by one process.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::people::served;
use super::words;
use crate::bot::Context;
use crate::bot::timers::{self, Kind};
use crate::domain::oncall::{Override, Rotation};
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, Incident, Outgoing, Person, Stream};
use crate::store::{StoreError, TimerRow, Tx};

/// Where no change can be foreseen, it is looked again after this.
const RARELY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Somebody else may be on call. The subject is the rotation; the payload is the id of who was when
/// this was last looked at.
pub(super) const HANDOVER: Kind = Kind("handover");

/// Keeps others from changing who is on call, until the end of the transaction.
pub(super) async fn lock(tx: &mut Tx, rotation: &Rotation) -> Result<(), StoreError> {
    tx.timer_lock(HANDOVER.0, &rotation.name).await
}

/// Sets the timer of the next change.
pub(super) async fn schedule(
    tx: &mut Tx,
    rotation: &Rotation,
    overrides: &[Override],
) -> Result<(), StoreError> {
    let now = tx.now();
    let shift = rotation.shift(overrides, now);
    let rarely = now.checked_add(RARELY).unwrap_or(Timestamp::MAX);
    let due = shift.until.map_or(rarely, |until| until.min(rarely));
    HANDOVER
        .set_with(tx, &rotation.name, due, &shift.person.id)
        .await
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
pub(crate) async fn begin_handovers(context: &Context) -> Result<(), StoreError> {
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
                    let before = rotation.shift(&overrides, tx.now()).person.id;
                    HANDOVER.begin(tx, &rotation.name, &before).await?;
                    tx.timer_hasten(HANDOVER.0, &rotation.name).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Looks who is on call now; tells whoever has come on call while incidents are open.
pub(super) async fn hand_over(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let Some(rotation) = context.on_call().rotation(&timer.subject).cloned() else {
        return timers::discard(context, timer).await;
    };
    let open = served(context, &rotation).await?;
    let (bot, timer) = (context.clone(), timer.clone());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                // Somebody may have been put on call, and told, since this timer was claimed.
                let Some(payload) = tx.timer_take(&timer).await? else {
                    return Ok(());
                };
                let before: String = serde_json::from_str(&payload)?;
                let overrides = tx.overrides().await?;
                schedule(tx, &rotation, &overrides).await?;
                let mut duty = rotation.duty(&overrides, tx.now());
                if duty.person.id == before || open.is_empty() {
                    return Ok(());
                }
                let before = Person {
                    name: before.clone(),
                    id: before,
                };
                let before = tx.known_as(before).await?;
                duty.person = tx.known_as(duty.person).await?;
                let people = (&before, &duty.person);
                note(tx, &rotation, &Person::bot(), people, &open).await?;
                let message = words::comes_on(&bot, &rotation, &before, &duty, &open);
                let key = format!("handover:{}:{}", rotation.name, tx.now().as_microsecond());
                tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
                    .await
            })
        })
        .await
}
