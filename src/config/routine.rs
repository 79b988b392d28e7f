//! `[[window]]`, `[[freeze]]`, `[tasks]`, `[[task]]`: what comes again and again by the calendar.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::at::did_you_mean;
use super::backups::backups;
use super::kind::Kind;
use super::names::{Names, known_service, label};
use super::probes::Probed;
use super::root::Root;
use super::rotations::zone;
use super::section::Section;
use crate::bot::{AlertSettings, Library, Routine};
use crate::domain::Service;
use crate::domain::oncall::Rotation;
use crate::domain::period::{Period, PeriodKind, PlannedPeriod};
use crate::domain::schedule::Schedule;
use crate::domain::task::{Task, TaskBy};
use crate::probe::postgres;

pub(super) const WINDOW: Kind = Kind::list("window", "service schedule timezone length reason");
pub(super) const FREEZE: Kind = Kind::list("freeze", "service schedule timezone length reason");
pub(super) const TASKS: Kind = Kind::single("tasks", "usual timezone");
pub(super) const TASK: Kind = Kind::list("task", "name schedule timezone runbook ask text every");

/// The regular tasks of the handbook, each with when it is due, unless the configuration has a task of
/// this name.
const USUAL: [(&str, &str, &str); 4] = [
    (
        "security-updates",
        "monthly 1 10:00",
        "install the security updates of machines, images and databases, or see that they were",
    ),
    (
        "dependency-updates",
        "weekly monday 10:00",
        "look through the updates of dependencies, and merge what is good",
    ),
    (
        "log-rotation",
        "daily 09:00",
        "see that logs are rotated and disks have room",
    ),
    (
        "backup-verification",
        "weekly wednesday 10:00",
        "see that the last backups can be restored",
    ),
];
/// A task that is not done is asked about so often.
const EVERY: Duration = Duration::from_secs(4 * 3_600);
/// And no more often.
const LEAST: Duration = Duration::from_secs(60);

/// All of them, in the file's order.
pub(super) fn routine(
    root: &Root<'_>,
    services: &[Service],
    library: &Library,
    databases: &[Probed<postgres::Config>],
    alerts: &mut AlertSettings,
) -> Routine {
    let rotations = &alerts.rotations;
    let of = |kind| move |section: &Section<'_>| period(section, kind, services);
    let mut periods = root.list(WINDOW, of(PeriodKind::Window));
    periods.extend(root.list(FREEZE, of(PeriodKind::Freeze)));
    let mut names = Names::default();
    let mut tasks = root.list(TASK, |one| task(one, &mut names, library, rotations));
    let usual = root.single(TASKS, |section| {
        let zone = zone(section);
        zone.filter(|_| section.boolean("usual") == Some(true))
    });
    if let Some(zone) = usual {
        for (name, schedule, text) in USUAL {
            if !tasks.iter().any(|one| one.name == name) {
                tasks.extend(usual_task(name, schedule, text, &zone));
            }
        }
    }
    Routine {
        periods,
        tasks,
        backups: backups(root, databases, services, alerts),
    }
}

fn usual_task(name: &str, schedule: &str, text: &str, zone: &TimeZone) -> Option<Task> {
    Some(Task {
        name: name.to_owned(),
        schedule: Schedule::parse(schedule, zone.clone()).ok()?,
        by: TaskBy::Rotation(None),
        text: text.to_owned(),
        every: EVERY,
    })
}

/// `schedule`, by the clocks of `timezone` (UTC, where it is left out).
pub(super) fn schedule(section: &Section<'_>) -> Option<Schedule> {
    let zone = zone(section);
    let name = section.name();
    let written = section.required(
        "schedule",
        format!("a {name} without `schedule`"),
        "add `schedule`, such as `daily 02:00`, `weekly sunday 03:00` or `monthly 1 04:00`",
    )?;
    // What is wrong with it is told, whatever is wrong with the place.
    let known = zone.is_some();
    let schedule = Schedule::parse(written.value, zone.unwrap_or(TimeZone::UTC));
    written.parsed(schedule).filter(|_| known)
}

fn task(
    section: &Section<'_>,
    names: &mut Names,
    library: &Library,
    rotations: &[Rotation],
) -> Option<Task> {
    let name = label(section, names, "add `name`, such as `log-rotation`");
    let schedule = schedule(section);
    let runbook = section.text("runbook");
    let ask = section.text("ask");
    if let (Some(runbook), Some(_)) = (&runbook, &ask) {
        runbook.error("a task has `runbook` or `ask`, not both", "leave one out");
    }
    if let Some(runbook) = &runbook
        && library.find(runbook.value).is_none()
    {
        let all = library.runbooks().map(|one| one.name.value.as_str());
        let hint = did_you_mean(runbook.value, all, "`runbook list` lists them");
        runbook.error(format!("there is no runbook `{}`", runbook.value), hint);
    }
    if let Some(ask) = &ask
        && !rotations.iter().any(|one| one.name == ask.value)
    {
        let all = rotations.iter().map(|one| one.name.as_str());
        let hint = did_you_mean(ask.value, all, "write the name of a [[rotation]]");
        ask.error(format!("there is no rotation `{}`", ask.value), hint);
    }
    let text = section.string("text");
    let every = section.duration_or("every", EVERY).max(LEAST);
    let name = name?.value.to_owned();
    let by = match (runbook, ask) {
        (Some(runbook), _) => TaskBy::Runbook(runbook.value.to_owned()),
        (None, ask) => TaskBy::Rotation(ask.map(|ask| ask.value.to_owned())),
    };
    let usual = USUAL.iter().find(|(usual, ..)| *usual == name);
    let usual = usual.map(|(.., text)| (*text).to_owned());
    Some(Task {
        schedule: schedule?,
        by,
        text: text
            .or(usual)
            .unwrap_or_else(|| format!("please do {name}")),
        every,
        name,
    })
}

fn period(section: &Section<'_>, kind: PeriodKind, services: &[Service]) -> Option<PlannedPeriod> {
    let schedule = schedule(section);
    if section.written("length").is_none() {
        let hint = "add `length`: how long it lasts, such as `2h`";
        section.error(format!("a {kind} without `length`"), hint);
    }
    let length = section.duration("length");
    let (longest, longest_text) = match kind {
        PeriodKind::Window => (Period::LONGEST_WINDOW, "3d"),
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
