//! `[[window]]`, `[[freeze]]`: what comes again and again by the calendar.

use std::time::Duration;

use super::kind::Kind;
use super::names::known_service;
use super::root::Root;
use super::rotations::zone;
use super::section::Section;
use crate::bot::Routine;
use crate::domain::Service;
use crate::domain::period::{Period, PeriodKind, PlannedPeriod};
use crate::domain::schedule::Schedule;

pub(super) const WINDOW: Kind = Kind::list("window", "service schedule timezone length reason");
pub(super) const FREEZE: Kind = Kind::list("freeze", "service schedule timezone length reason");

/// All of them, in the file's order.
pub(super) fn routine(root: &Root<'_>, services: &[Service]) -> Routine {
    let of = |kind| move |section: &Section<'_>| period(section, kind, services);
    let mut periods = root.list(WINDOW, of(PeriodKind::Window));
    periods.extend(root.list(FREEZE, of(PeriodKind::Freeze)));
    Routine { periods }
}

/// `schedule`, by the clocks of `timezone` (UTC, where it is left out).
pub(super) fn schedule(section: &Section<'_>) -> Option<Schedule> {
    // What is wrong with it is told, whatever is wrong with the place.
    let zone = zone(section);
    let name = section.name();
    let written = section.required(
        "schedule",
        format!("a {name} without `schedule`"),
        "add `schedule`, such as `daily 02:00`, `weekly sunday 03:00` or `monthly 1 04:00`",
    )?;
    let schedule = Schedule::parse(written.value, zone.clone()?);
    written.parsed(schedule)
}

fn period(section: &Section<'_>, kind: PeriodKind, services: &[Service]) -> Option<PlannedPeriod> {
    let schedule = schedule(section);
    if section.written("length").is_none() {
        let hint = "add `length`: how long it lasts, such as `2h`";
        section.error(format!("a {kind} without `length`"), hint);
    }
    let length = section.duration("length");
    let (longest, longest_text) = match kind {
        PeriodKind::Window => (Duration::from_secs(3 * 86_400), "3d"),
        PeriodKind::Freeze => (Duration::from_secs(31 * 86_400), "31d"),
    };
    if length.is_some_and(|length| length > longest) {
        let message = format!("`{kind}.length` must be at most {longest_text}");
        section.error_at("length", message, "");
    }
    let hint = match kind {
        PeriodKind::Window => "add `service`: whose alerts are held",
        PeriodKind::Freeze => "add `service`, or write `service = \"all\"`",
    };
    let text = section.required("service", format!("a {kind} without `service`"), hint);
    let reason = section.string("reason");
    let service = match text? {
        text if kind == PeriodKind::Freeze && text.value == Period::ALL => None,
        text => Some(known_service(&text, services)?),
    };
    Some(PlannedPeriod {
        kind,
        service,
        schedule: schedule?,
        length: length?,
        reason: reason.unwrap_or_else(|| "planned".to_owned()),
    })
}
