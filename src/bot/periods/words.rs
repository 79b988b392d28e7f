//! The sentences about windows and freezes.

use jiff::Timestamp;

use crate::bot::alerts::held_text;
use crate::domain::alert::AlertRecord;
use crate::domain::duration::{between, text, utc_text};
use crate::domain::period::{Period, PeriodKind, PlannedPeriod};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Person, Tone};

fn of(period: &Period) -> Line {
    let line = Line::new().text(match period.kind {
        PeriodKind::Window => "Maintenance of ",
        PeriodKind::Freeze => "Freeze of ",
    });
    line.code(period.scope())
}

pub(super) fn noun(kind: PeriodKind) -> &'static str {
    match kind {
        PeriodKind::Window => "maintenance window",
        PeriodKind::Freeze => "freeze",
    }
}

fn plain(period: &Period) -> String {
    format!("{} of {}", noun(period.kind), period.scope())
}

/// What the audit says.
pub(super) fn begins(period: &Period) -> String {
    let until = utc_text(period.ends_at);
    format!("{} until {until}: {}", plain(period), period.reason)
}

pub(super) fn goes_on(period: &Period) -> String {
    let until = utc_text(period.ends_at);
    format!("the {} goes on until {until}", plain(period))
}

pub(super) fn ended(period: &Period) -> String {
    let after = text(between(period.begins_at, period.ends_at));
    format!("the {} is over after {after}", plain(period))
}

/// The message of a freeze that is on.
pub(super) fn freeze(period: &Period) -> Message {
    let title = of(period).text(" until ").time(period.ends_at);
    let by = Line::new().person(&period.by).text(": ");
    let end = Button::new("End it now", format!("freeze end {}", period.scope()));
    Message::new(Tone::Plain, title)
        .text(by.text(cut(&period.reason, 300)))
        .buttons(vec![end])
        .footer(
            "Nothing is deployed meanwhile, by people or by runbooks; restarts, scaling and rollbacks go on",
        )
}

fn over_title(period: &Period, by: Option<&Person>) -> Line {
    let after = text(between(period.begins_at, period.ends_at));
    let line = of(period).text(format!(" is over after {after}"));
    match by {
        Some(person) => line.text(", ended by ").person(person),
        None => line,
    }
}

/// What becomes of the message of one that is over.
pub(super) fn over_card(period: &Period, by: Option<&Person>) -> Message {
    Message::new(Tone::Plain, over_title(period, by)).text(cut(&period.reason, 300))
}

/// The end, by a message of its own.
pub(super) fn over(period: &Period, by: Option<&Person>, held: &[AlertRecord]) -> Message {
    let fires = held.iter().filter(|one| one.tracked.is_active()).count();
    let tone = if fires > 0 {
        Tone::Warning
    } else {
        Tone::Plain
    };
    let message = Message::new(tone, over_title(period, by));
    match (period.kind, held_text(held)) {
        (PeriodKind::Freeze, _) => message.text("Deployments are possible again"),
        (_, None) => message.text("Nothing is held any more"),
        (_, Some(held)) if fires > 0 => message.text(format!(
            "{held}. What fires is told and asked about from now on"
        )),
        (_, Some(held)) => message.text(held),
    }
}

/// One that is on, in a line of a list.
pub(super) fn row(period: &Period) -> Line {
    let mark = match period.kind {
        PeriodKind::Window => "🔧 ",
        PeriodKind::Freeze => "🧊 ",
    };
    let line = Line::new().text(mark).code(period.scope()).text("  until ");
    let line = line.time(period.ends_at).text("  ");
    line.person(&period.by)
        .text(format!(": {}", cut(&period.reason, 200)))
}

/// A plan, in a line of a list.
pub(super) fn plan(planned: &PlannedPeriod, now: Timestamp) -> Line {
    let scope = planned.service.as_ref();
    let scope = scope.map_or(Period::ALL, |service| service.as_str());
    let length = text(planned.length);
    let line = Line::new().text("📅 ").code(scope);
    let line = line.text(format!("  {} for {length}", planned.schedule));
    let line = match planned.schedule.next(now) {
        Some(next) => line.text(", next ").time(next),
        None => line,
    };
    line.text(format!("  {}", cut(&planned.reason, 200)))
}
