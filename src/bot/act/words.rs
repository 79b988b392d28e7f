//! The sentences about actions.

use std::time::Instant;

use super::{Outcome, ServiceChange};
use crate::bot::Refusal;
use crate::bot::worker::Ask;
use crate::domain::service::{End, Progress, Service, ServiceStatus, images, well_text};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Tone, duration};
use crate::store::{ActionKind, ActionRecord, ActionRow};

/// The words of the command.
pub(in crate::bot) fn verb(kind: &ActionKind) -> &'static str {
    match kind {
        ActionKind::Restart => "restart",
        ActionKind::Scale(_) => "scale",
        ActionKind::Session { how, .. } => match how {
            End::Cancel => "db cancel",
            End::Terminate => "db terminate",
        },
        ActionKind::Client { .. } => "cache kill",
    }
}

/// `cancelling`, `cancel`, and so on, with what it is done to.
fn doing(record: &ActionRecord) -> Line {
    let line = Line::new();
    match &record.what {
        ActionKind::Restart => line.text("Restarting ").code(&record.service),
        ActionKind::Scale(n) => line
            .text("Scaling ")
            .code(&record.service)
            .text(format!(" to {n} replicas")),
        ActionKind::Session {
            database, pid, how, ..
        } => line
            .text(match how {
                End::Cancel => "Cancelling the query of session ",
                End::Terminate => "Terminating session ",
            })
            .bold(pid)
            .text(" of ")
            .code(database),
        ActionKind::Client { cache, id, .. } => line
            .text("Closing the connection of client ")
            .bold(id)
            .text(" of ")
            .code(cache),
    }
}

/// `The restart of frontend`: the subject of a failure.
fn deed(record: &ActionRecord) -> Line {
    let line = Line::new();
    match &record.what {
        ActionKind::Restart => line.text("The restart of ").code(&record.service),
        ActionKind::Scale(_) => line.text("The scaling of ").code(&record.service),
        ActionKind::Session {
            database, pid, how, ..
        } => line
            .text(match how {
                End::Cancel => format!("The cancelling of session {pid} of "),
                End::Terminate => format!("The end of session {pid} of "),
            })
            .code(database),
        ActionKind::Client { cache, id, .. } => line
            .text(format!("Closing the connection of client {id} of "))
            .code(cache),
    }
}

pub(in crate::bot) fn intent_text(record: &ActionRecord) -> String {
    match record.what {
        ActionKind::Scale(n) => format!(
            "scaling {} from {} to {n} replicas ({})",
            record.service,
            record.before.len(),
            record.before_text
        ),
        _ => {
            let mut text = doing(record).plain();
            if let Some(first) = text.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            format!("{text} ({})", record.before_text)
        }
    }
}

/// `healthy 2/3 · nginx:1.25`.
pub(in crate::bot) fn state_text(status: &ServiceStatus) -> String {
    let mut text = well_text(status);
    for image in images(status).keys() {
        text.push_str(" · ");
        text.push_str(&cut(image, 80));
    }
    text
}

pub(in crate::bot) fn within_bounds(service: &Service, wanted: u32) -> Result<(), Refusal> {
    let (min, max) = (service.min_replicas, service.max_replicas);
    if (min..=max).contains(&wanted) {
        return Ok(());
    }
    let near = wanted.clamp(min, max);
    let refusal = Refusal::new(Line::new().code(&service.name).text(format!(
        " may have {min} to {max} replicas, not {wanted}. Nothing was done"
    )));
    Err(refusal.suggest(
        format!("Scale to {near}"),
        format!("scale {} {near}", service.name),
    ))
}

pub(super) fn busy(row: &ActionRow, now: jiff::Timestamp) -> Refusal {
    let record = &row.record;
    let doing = match record.what {
        ActionKind::Restart => "restarted".to_owned(),
        ActionKind::Scale(n) => format!("scaled to {n}"),
        ActionKind::Session { .. } | ActionKind::Client { .. } => "worked on".to_owned(),
    };
    Refusal::new(
        Line::new()
            .code(&record.service)
            .text(format!(" is being {doing} by "))
            .person(&record.actor)
            .text(format!(
                " since {}. Nothing further was done",
                duration::text(duration::between(row.intended_at, now))
            )),
    )
    .suggest("Status", format!("status {}", record.service))
}

pub(super) fn question(
    ask: &Ask,
    service: &Service,
    kind: ServiceChange,
    before: &ServiceStatus,
    reason: Option<&str>,
) -> (Message, String) {
    let count = before.replicas.len();
    let (title, label, will) = match kind {
        ServiceChange::Restart => (
            Line::new().text("Restart ").code(&service.name).text("?"),
            format!("Restart {}", service.name),
            match count {
                1 => "Its one replica is restarted: expect a short interruption".to_owned(),
                _ => format!("Its {count} replicas are restarted one after another"),
            },
        ),
        ServiceChange::Scale(wanted) => (
            Line::new()
                .text("Scale ")
                .code(&service.name)
                .text(format!(" from {count} to {wanted} replicas?")),
            format!("Scale to {wanted}"),
            if (wanted as usize) < count {
                format!(
                    "The newest {} are stopped and removed",
                    count - wanted as usize
                )
            } else {
                format!("{} more are made", wanted as usize - count)
            },
        ),
    };
    let mut fields = vec![("Now".to_owned(), Line::from(state_text(before)))];
    fields.push(("Asked by".into(), Line::new().person(&ask.request.person)));
    if let Some(reason) = reason {
        fields.push(("Reason".into(), Line::from(reason)));
    }
    let label = cut(&label, 70);
    (
        Message::new(Tone::Question, title)
            .text(will)
            .part(Part::Fields(fields)),
        label,
    )
}

/// The message while the work goes on.
pub(super) fn working(record: &ActionRecord, step: Option<&Progress>) -> Message {
    let line = match step {
        None => "Started".to_owned(),
        Some(step) => format!("{} {}", bar(step.done, step.total), step.line),
    };
    Message::new(Tone::Progress, doing(record))
        .text(line)
        .part(Part::Fields(by(
            record,
            vec![("Before".into(), record.before_text.as_str().into())],
        )))
}

fn bar(done: u32, total: u32) -> String {
    let total = total.max(1);
    let full = (done.min(total) * 8 / total) as usize;
    format!(
        "{}{} {done}/{total}",
        "▰".repeat(full),
        "▱".repeat(8 - full)
    )
}

fn by(record: &ActionRecord, mut fields: Vec<(String, Line)>) -> Vec<(String, Line)> {
    fields.push(("By".into(), Line::new().person(&record.actor)));
    if let Some(reason) = &record.reason {
        fields.push(("Reason".into(), reason.as_str().into()));
    }
    fields
}

/// The message once it is over.
pub(super) fn told(record: &ActionRecord, outcome: &Outcome) -> Message {
    let tone = if outcome.good { Tone::Good } else { Tone::Bad };
    let mut fields = vec![("Before".to_owned(), Line::from(record.before_text.as_str()))];
    if let Some(after) = &outcome.after {
        fields.push(("After".into(), state_text(after).into()));
    }
    let mut message =
        Message::new(tone, outcome.title.clone()).part(Part::Fields(by(record, fields)));
    if let Some(cause) = &outcome.cause {
        message = message.code(cause.clone());
    }
    let name = &record.service;
    let mut buttons = match &record.what {
        ActionKind::Restart | ActionKind::Scale(_) => vec![
            Button::new("Status", format!("status {name}")),
            Button::new("Logs", format!("logs {name}")),
        ],
        ActionKind::Session { database, .. } => vec![
            Button::new("Locks", format!("db locks --database {database}")),
            Button::new(
                "Connections",
                format!("db connections --database {database}"),
            ),
        ],
        ActionKind::Client { cache, .. } => {
            vec![Button::new(
                "Clients",
                format!("cache clients --cache {cache}"),
            )]
        }
    };
    let again = match record.what {
        ActionKind::Restart => Some(format!("restart {name}")),
        ActionKind::Scale(n) => Some(format!("scale {name} {n}")),
        // Who failed to be ended may be somebody else by now: look first.
        ActionKind::Session { .. } | ActionKind::Client { .. } => None,
    };
    if let Some(again) = again.filter(|_| !outcome.good) {
        buttons.push(Button::new("Events", format!("events {name}")));
        buttons.push(Button::new("Try again", again));
    }
    message.buttons(buttons)
}

pub(super) fn outcome_good(
    record: &ActionRecord,
    after: ServiceStatus,
    started: Instant,
) -> Outcome {
    let took = started.elapsed();
    let (title, text) = match record.what {
        ActionKind::Scale(_) => (
            Line::new().code(&record.service).text(format!(
                " scaled from {} to {} replicas in {}, {}",
                record.before.len(),
                after.replicas.len(),
                duration::text(took),
                well_text(&after)
            )),
            format!(
                "scaled {} from {} to {} replicas",
                record.service,
                record.before.len(),
                after.replicas.len()
            ),
        ),
        _ => (
            Line::new().code(&record.service).text(format!(
                " restarted in {}, {}",
                duration::text(took),
                well_text(&after)
            )),
            format!("restarted {}", record.service),
        ),
    };
    let text = format!(
        "{text} in {}: {} → {}",
        duration::text(took),
        record.before_text,
        state_text(&after)
    );
    Outcome {
        good: true,
        title,
        text,
        after: Some(after),
        cause: None,
        took,
        there: true,
    }
}

pub(in crate::bot) fn outcome_failed(
    record: &ActionRecord,
    cause: &str,
    after: Option<ServiceStatus>,
    started: Instant,
) -> Outcome {
    let what = deed(record);
    let now = after
        .as_ref()
        .map(|after| format!("; it is now {}", state_text(after)));
    let now = now.unwrap_or_else(|| match ServiceChange::of(&record.what) {
        Some(_) => "; its state is not known".to_owned(),
        None => String::new(),
    });
    Outcome {
        good: false,
        text: format!("{} failed: {cause}{now}", what.plain()),
        title: what.text(format!(
            " failed after {}",
            duration::text(started.elapsed())
        )),
        after,
        cause: Some(cut(cause, 2_000)),
        took: started.elapsed(),
        there: false,
    }
}

impl Outcome {
    /// Says that it was found out after a crash, and how.
    pub(in crate::bot) fn after_crash(mut self, found: &str) -> Self {
        self.text = format!(
            "found after an interruption of the bot: {found}; {}",
            self.text
        );
        self.title = self
            .title
            .text(format!(" (found after an interruption: {found})"));
        self
    }
}
