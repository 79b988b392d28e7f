//! `window start|list|end`, `freeze start|list|end`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::course::{Opened, finish, open};
use super::words;
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::duration::{between, text};
use crate::domain::oncall::Moment;
use crate::domain::period::{Period, PeriodKind};
use crate::domain::{Button, Line, Message, ServiceName, Tone, counted};

/// One that somebody wants to begin.
pub(crate) struct Wish {
    pub(crate) kind: PeriodKind,
    /// A service, or `all`.
    pub(crate) of: String,
    pub(crate) until: Moment,
    pub(crate) reason: String,
}

/// No freeze is longer.
const LONGEST_FREEZE: Duration = Duration::from_secs(90 * 86_400);

impl Wish {
    fn longest(&self) -> Duration {
        match self.kind {
            PeriodKind::Window => Period::LONGEST_WINDOW,
            PeriodKind::Freeze => LONGEST_FREEZE,
        }
    }
}

/// The service that is meant; `None`: all, which only a freeze can be of.
fn service(
    context: &Context,
    kind: PeriodKind,
    verb: &str,
    given: &str,
) -> Result<Option<ServiceName>, Refusal> {
    if kind == PeriodKind::Freeze && given.eq_ignore_ascii_case(Period::ALL) {
        return Ok(None);
    }
    let sentence = |near: &str| format!("{kind} {verb} {near}");
    let (service, _) = context.catalogue().find(given, sentence)?;
    Ok(Some(service.name.clone()))
}

/// The place whose clocks count for what people type: that of whoever is on call for the service.
fn zone(context: &Context, service: Option<&ServiceName>) -> TimeZone {
    let rotation = context.on_call().rotation_for(service, None);
    let handover = rotation.and_then(|rotation| rotation.handover.as_ref());
    handover.map_or(TimeZone::UTC, |handover| handover.zone().clone())
}

pub(crate) fn period_start(context: &Context, ask: &Ask, wish: Wish) -> Result<Effect, Fault> {
    let service = service(context, wish.kind, "start", &wish.of)?;
    let zone = zone(context, service.as_ref());
    let by = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let (kind, now) = (wish.kind, tx.now());
            let until = wish.until.resolve(now, &zone);
            let good = |until: &Timestamp| *until > now && between(now, *until) <= wish.longest();
            let Some(ends_at) = until.filter(good) else {
                let longest = text(wish.longest());
                let title = format!("A {kind} lasts {longest} at most. Nothing was changed");
                return Err(Refusal::new(title).into());
            };
            let reason = tx.named(&wish.reason).await?;
            let new = Period {
                id: 0,
                kind,
                service,
                begins_at: now,
                ends_at,
                by,
                reason,
                over: false,
            };
            let (period, what) = match open(tx, new).await? {
                Opened::Begun(period) => (period, " is on until "),
                Opened::Longer(period) => (period, " goes on until "),
                Opened::Already(period) => {
                    let line = Line::new().text(format!("There is a {kind} of "));
                    let line = line.code(period.scope()).text(" until ");
                    let line = line.time(period.ends_at).text(" already");
                    let end = format!("{kind} end {}", period.scope());
                    return Err(Refusal::new(line).suggest("End it", end).into());
                }
            };
            let line = Line::new()
                .text(format!("The {kind} of "))
                .code(period.scope());
            let line = line.text(what).time(period.ends_at);
            Ok(Answer::to_asker(Message::new(Tone::Good, line)).into())
        })
    }))
}

pub(crate) fn period_end(
    context: &Context,
    ask: &Ask,
    kind: PeriodKind,
    given: &str,
) -> Result<Effect, Fault> {
    let service = service(context, kind, "end", given)?;
    let by = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let open = tx.periods_open(kind).await?;
            let Some(period) = open.into_iter().find(|one| one.service == service) else {
                let scope = service.as_ref().map_or(Period::ALL, ServiceName::as_str);
                let line = Line::new().text(format!("There is no {kind} of "));
                let line = line.code(scope).text(". Nothing was changed");
                let list = format!("{kind} list");
                return Err(Refusal::new(line).suggest("Which are there?", list).into());
            };
            let line = Line::new().text(format!("The {kind} of "));
            let line = line.code(period.scope()).text(" is over");
            finish(tx, period, Some(&by)).await?;
            Ok(Answer::to_asker(Message::new(Tone::Good, line)).into())
        })
    }))
}

pub(crate) async fn period_list(context: &Context, kind: PeriodKind) -> Result<Effect, Fault> {
    let now = context.now();
    let mut open = context.store().periods_open(kind).await?;
    open.retain(|one| one.is_on(now));
    let what = words::noun(kind);
    let mut message = match open.len() {
        0 => Message::new(Tone::Plain, format!("No {what} is on")),
        n => Message::new(Tone::Warning, format!("{} on", counted(n, what))),
    };
    for one in &open {
        message = message.text(words::row(one));
    }
    let planned = context.settings().routine.periods.iter();
    for one in planned.filter(|one| one.kind == kind) {
        message = message.text(words::plan(one, now));
    }
    let ends = open.iter().take(5).map(|one| {
        let scope = one.scope();
        Button::new(format!("End {scope}"), format!("{kind} end {scope}"))
    });
    Ok(Effect::Say(Answer::to_all(message.buttons(ends.collect()))))
}
