//! A window or a freeze begins, goes on for longer, and ends: once each, whatever dies meanwhile.

use jiff::Timestamp;
use serde_json::json;

use super::words;
use crate::bot::Context;
use crate::bot::alerts::{hold_until, window_told};
use crate::bot::timers::{self, Kind};
use crate::domain::period::{Period, PeriodKind, PlannedPeriod};
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, Message, Outgoing, Person, Stream};
use crate::store::{StoreError, TimerRow, Tx};

/// One is over; the subject is its number.
pub(super) const END: Kind = Kind("period-end");
/// One that the configuration plans may begin; the subject is the plan's name.
pub(super) const PLANNED: Kind = Kind("period-begin");

/// What became of one that was to begin.
pub(super) enum Opened {
    /// It is on.
    Begun(Period),
    /// There is one that goes on until then now.
    Longer(Period),
    /// There is one that goes on as long or longer.
    Already(Period),
}

/// Begins one, or has the one that is on go on until the later end.
pub(super) async fn open(tx: &mut Tx, mut new: Period) -> Result<Opened, StoreError> {
    let now = tx.now();
    let open = tx.periods_open(new.kind).await?;
    if let Some(mut known) = open.into_iter().find(|one| one.service == new.service) {
        if known.is_on(now) {
            if known.ends_at >= new.ends_at {
                return Ok(Opened::Already(known));
            }
            let before = std::mem::replace(&mut known.ends_at, new.ends_at);
            tx.period_put(&known).await?;
            if known.kind == PeriodKind::Window {
                hold_until(tx, &known, before).await?;
            }
            END.set(tx, &known.id.to_string(), known.ends_at).await?;
            note(tx, &known, &new.by, words::goes_on(&known)).await?;
            card(tx, &known).await?;
            return Ok(Opened::Longer(known));
        }
        // Its end was to be told, and the timer is late.
        finish(tx, known, None).await?;
    }
    let Some(id) = tx.period_begin(&new).await? else {
        // Another bot was first.
        return Ok(Opened::Already(new));
    };
    new.id = id;
    END.set(tx, &id.to_string(), new.ends_at).await?;
    note(tx, &new, &new.by, words::begins(&new)).await?;
    card(tx, &new).await?;
    Ok(Opened::Begun(new))
}

/// Ends one: now and by somebody, or because its time is over.
pub(super) async fn finish(
    tx: &mut Tx,
    mut period: Period,
    by: Option<&Person>,
) -> Result<(), StoreError> {
    let before = period.ends_at;
    period.ends_at = before.min(tx.now());
    period.over = true;
    tx.period_put(&period).await?;
    END.unset(tx, &period.id.to_string()).await?;
    let held = match period.kind {
        PeriodKind::Window => hold_until(tx, &period, before).await?,
        PeriodKind::Freeze => Vec::new(),
    };
    let bot = Person::bot();
    note(tx, &period, by.unwrap_or(&bot), words::ended(&period)).await?;
    let over = words::over(&period, by, &held);
    put(tx, &period, "", words::over_card(&period, by)).await?;
    put(tx, &period, ":end", over).await
}

/// The message of one that is on.
async fn card(tx: &mut Tx, period: &Period) -> Result<(), StoreError> {
    match period.kind {
        PeriodKind::Window => window_told(tx, period).await,
        PeriodKind::Freeze => put(tx, period, "", words::freeze(period)).await,
    }
}

async fn put(
    tx: &mut Tx,
    period: &Period,
    which: &str,
    message: Message,
) -> Result<(), StoreError> {
    let key = period.message_key() + which;
    tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
        .await
}

/// Puts it on the audit, and on the timeline of the open incident of its service.
async fn note(tx: &mut Tx, period: &Period, by: &Person, text: String) -> Result<(), StoreError> {
    let draft = Draft::new(by, EntryKind::Note, text).data(json!({"period": period}));
    if let Some(service) = &period.service
        && let Some(id) = tx.incident_of(service).await?
    {
        tx.append(&Stream::Incident(id), draft.clone()).await?;
    }
    tx.append(&Stream::Audit, draft).await?;
    Ok(())
}

/// The time of one is over.
pub(super) async fn end_due(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, _, id| {
        Box::pin(async move {
            let Some(period) = tx.period(id.parse().unwrap_or(0)).await? else {
                return Ok(());
            };
            if period.over {
                return Ok(());
            }
            if period.ends_at > tx.now() {
                return END.set(tx, id, period.ends_at).await;
            }
            finish(tx, period, None).await
        })
    })
    .await
}

/// Looks now at all that the configuration plans: one may be on.
pub(crate) async fn begin_planned(context: &Context) -> Result<(), StoreError> {
    let planned = &context.settings().routine.periods;
    let names = planned.iter().map(PlannedPeriod::name);
    PLANNED.set_now(context, names.collect()).await
}

/// Begins what is planned for now, unless it was begun already, and waits for the next time. What the
/// configuration does not plan any more is left.
pub(super) async fn begin_due(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, name| {
        Box::pin(async move {
            let all = &bot.settings().routine.periods;
            let Some(planned) = all.iter().find(|one| one.name() == name) else {
                return Ok(());
            };
            let now = tx.now();
            if let Some(next) = planned.schedule.next(now) {
                PLANNED.set(tx, name, next).await?;
            }
            let Some(span) = planned.on(now) else {
                return Ok(());
            };
            if !tx
                .period_began(planned.kind, planned.service.as_ref(), span.0)
                .await?
            {
                open(tx, of_plan(planned, span)).await?;
            }
            Ok(())
        })
    })
    .await
}

fn of_plan(planned: &PlannedPeriod, (begins_at, ends_at): (Timestamp, Timestamp)) -> Period {
    Period {
        id: 0,
        kind: planned.kind,
        service: planned.service.clone(),
        begins_at,
        ends_at,
        by: Person::bot(),
        reason: planned.reason.clone(),
        over: false,
    }
}
