//! The sentences about tasks.

use jiff::Timestamp;

use crate::domain::duration::{between, text, utc_text};
use crate::domain::task::{Due, Task, TaskBy, TaskState};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Person, Style, Tone, counted};

/// How a task ends.
pub(super) enum End {
    Done,
    Skipped(String),
    /// It was due again before anybody did it.
    Missed,
}

/// How it ended, in words after its name.
pub(super) fn how(by: &Person, how: &End) -> String {
    match how {
        End::Done if by.id == Person::BOT_ID => "done by its runbook".to_owned(),
        End::Done => format!("done by {by}"),
        End::Skipped(reason) => format!("skipped by {by}: {reason}"),
        End::Missed => "missed: it is due again".to_owned(),
    }
}

pub(super) fn is_due(task: &Task, due: &Due) -> String {
    let at = utc_text(due.at);
    let missed = match due.missed {
        0 => String::new(),
        n => format!(
            "; {} before it passed while no bot was there",
            counted(n as usize, "time")
        ),
    };
    format!("task {} is due since {at}{missed}", task.name)
}

pub(super) fn runs(task: &Task, runbook: &str, run: i64) -> String {
    format!("task {}: run {run} of {runbook} begins", task.name)
}

pub(super) fn run_failed(task: &Task, run: i64, verdict: &str) -> String {
    format!("task {}: run {run} {verdict}", task.name)
}

pub(super) fn ended(task: &Task, due: &Due, end: &End, now: Timestamp) -> String {
    let after = text(between(due.at, now));
    match end {
        End::Done => format!("task {} is done, {after} after it was due", task.name),
        End::Skipped(reason) => format!("task {} is skipped: {reason}", task.name),
        End::Missed => format!("task {} was not done: it is due again", task.name),
    }
}

/// Asks somebody to do it.
pub(super) fn ask(
    task: &Task,
    due: &Due,
    whom: Option<&Person>,
    is_first: bool,
    now: Timestamp,
) -> Message {
    let since = text(between(due.at, now));
    let title = Line::new().text("📋 ").bold(&task.name);
    let title = match (is_first, due.late) {
        (true, false) => title.text(" is due"),
        (true, true) => title
            .text(" was due at ")
            .time(due.at)
            .text(", while no bot was there"),
        (false, _) => title.text(format!(" is still not done, {since} after it was due")),
    };
    let line = match whom {
        Some(person) => Line::new().person(person).text(": "),
        None => Line::new().text("Nobody is on call. Whoever sees it: "),
    };
    let mut message = Message::new(Tone::Question, title).text(line.text(cut(&task.text, 300)));
    if let Some(why) = &due.failed {
        message = message.text(format!("Its runbook did not do it: {}", cut(why, 300)));
    }
    if due.missed > 0 {
        let times = counted(due.missed as usize, "earlier time");
        message = message.text(format!("{times} passed while no bot was there"));
    }
    let name = &task.name;
    let mut buttons = vec![
        Button::new("Done", format!("task done {name}")).style(Style::Primary),
        Button::new(
            "Skip this time",
            format!("task skip {name} --reason 'not this time'"),
        ),
    ];
    if matches!(task.by, TaskBy::Runbook(_)) {
        buttons.insert(1, Button::new("Run it again", format!("task run {name}")));
    }
    message.buttons(buttons)
}

/// What an ask becomes when somebody is asked again.
pub(super) fn asked_again(task: &Task, due: &Due) -> Message {
    let title = Line::new()
        .text("📋 ")
        .bold(&task.name)
        .text(" was not done");
    let message = Message::new(Tone::Plain, title);
    match &due.asked {
        Some(person) => message.text(
            Line::new()
                .person(person)
                .text(" was asked; it is asked again below"),
        ),
        None => message.text("It is asked again below"),
    }
}

/// What the asks become once it is over.
pub(super) fn over(task: &Task, by: &Person, end: &End) -> Message {
    let tone = match end {
        End::Done => Tone::Good,
        _ => Tone::Plain,
    };
    let title = Line::new().text("📋 ").bold(&task.name);
    Message::new(tone, title.text(format!(" {}", cut(&how(by, end), 300))))
}

/// One of the list.
pub(super) fn row(task: &Task, state: Option<&TaskState>, now: Timestamp) -> Line {
    let open = state.and_then(|state| state.open.as_ref());
    let mark = if open.is_some() { "🔔 " } else { "📋 " };
    let mut line = Line::new().text(mark).code(&task.name);
    line = line.text(format!("  {}", task.schedule));
    match open {
        Some(due) => {
            let since = text(between(due.at, now));
            let what = match (&due.run, &due.asked) {
                (Some(run), _) => format!(", run {run} is at it"),
                (None, Some(person)) => format!(", {person} is asked"),
                (None, None) => String::new(),
            };
            line = line.text(format!("; due for {since}{what}"));
        }
        None => {
            if let Some(next) = task.schedule.next(now) {
                line = line.text("; next ").time(next);
            }
        }
    }
    match state.and_then(|state| state.last.as_ref()) {
        Some((how, at)) => line.text(format!("; last {} at ", cut(how, 120))).time(*at),
        None => line.text("; never done yet"),
    }
}
