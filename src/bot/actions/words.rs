//! The sentences about actions.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Outcome, Plan};
use crate::bot::Refusal;
use crate::bot::request::Ask;
use crate::command::words::quote;
use crate::domain::action::{ActionKind, ActionRecord, ActionRow};
use crate::domain::service::{
    Attachment, End, Progress, Service, ServiceStatus, images, well_text,
};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Tone, duration};

/// The words of the command.
pub(in crate::bot) fn verb(kind: &ActionKind) -> &'static str {
    match kind {
        ActionKind::Restart => "restart",
        ActionKind::Scale(_) => "scale",
        ActionKind::Bounds { .. } => "bounds",
        ActionKind::Deploy { back: false, .. } => "deploy",
        ActionKind::Deploy { back: true, .. } => "rollback",
        ActionKind::Isolate { .. } => "isolate",
        ActionKind::Release { .. } => "release",
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
        ActionKind::Bounds { wanted, .. } => line
            .text("Setting the bounds of ")
            .code(&record.service)
            .text(format!(" to {wanted} replicas")),
        ActionKind::Deploy { version, back, .. } => {
            let (word, to) = if *back {
                ("Rolling ", " back to ")
            } else {
                ("Bringing ", " to ")
            };
            line.text(word)
                .code(&record.service)
                .text(to)
                .code(cut(&version.image, 120))
        }
        ActionKind::Isolate { .. } => line.text("Cutting off ").code(&record.service),
        ActionKind::Release { .. } => line.text("Joining ").code(&record.service).text(" again"),
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
        ActionKind::Bounds { .. } => line.text("Setting the bounds of ").code(&record.service),
        ActionKind::Deploy { version, back, .. } => {
            let word = if *back { "rollback" } else { "deployment" };
            line.text(format!("The {word} of "))
                .code(&record.service)
                .text(" to ")
                .code(cut(&version.image, 120))
        }
        ActionKind::Isolate { .. } => line.text("The isolation of ").code(&record.service),
        ActionKind::Release { .. } => line.text("The release of ").code(&record.service),
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
    let doing = match &record.what {
        ActionKind::Restart => "restarted".to_owned(),
        ActionKind::Scale(n) => format!("scaled to {n}"),
        ActionKind::Bounds { .. } => "given other bounds".to_owned(),
        ActionKind::Deploy { version, .. } => format!("brought to {}", cut(&version.image, 120)),
        ActionKind::Isolate { .. } => "cut off".to_owned(),
        ActionKind::Release { .. } => "joined again".to_owned(),
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

/// The question, and the label of its button.
pub(super) fn question(
    ask: &Ask,
    service: &Service,
    plan: &Plan,
    reason: Option<&str>,
) -> (Message, String) {
    let before = &plan.before;
    let count = before.replicas.len();
    let name = &service.name;
    let line = Line::new();
    let (title, label, will) = match &plan.kind {
        ActionKind::Scale(wanted) => (
            line.text("Scale ")
                .code(name)
                .text(format!(" from {count} to {wanted} replicas?")),
            format!("Scale to {wanted}"),
            if (*wanted as usize) < count {
                format!(
                    "The newest {} are stopped and removed",
                    count - *wanted as usize
                )
            } else {
                format!("{} more are made", *wanted as usize - count)
            },
        ),
        ActionKind::Bounds { former, wanted } => (
            line.text("Have ")
                .code(name)
                .text(format!(" scaled between {wanted} replicas?")),
            format!("Set {wanted}"),
            format!(
                "Its autoscaler keeps {former} replicas now; it goes on within the new bounds, and \
                 the old ones come back with: bounds {name} {} {}",
                former.min, former.max
            ),
        ),
        ActionKind::Deploy { version, back, .. } => (
            line.text(if *back { "Roll " } else { "Bring " })
                .code(name)
                .text(if *back { " back to " } else { " to " })
                .code(cut(&version.image, 120))
                .text("?"),
            if *back {
                format!("Roll {name} back")
            } else {
                format!("Deploy to {name}")
            },
            format!(
                "{}; what does not get well is put back as it is now",
                match count {
                    1 => "Its one replica is replaced".to_owned(),
                    _ => format!("Its {count} replicas are replaced one after another"),
                },
            ),
        ),
        ActionKind::Isolate { attachments } => (
            line.text("Cut ").code(name).text(" off?"),
            format!("Isolate {name}"),
            format!(
                "Its logs, description and processes are kept first; then it is cut off from {}. \
                 Its processes go on; its users will see errors",
                joined_to(attachments),
            ),
        ),
        ActionKind::Release { attachments } => (
            line.text("Join ").code(name).text(" again?"),
            format!("Release {name}"),
            format!("It is joined as it was: {}", joined_to(attachments)),
        ),
        ActionKind::Restart | ActionKind::Session { .. } | ActionKind::Client { .. } => (
            line.text("Restart ").code(name).text("?"),
            format!("Restart {name}"),
            match count {
                1 => "Its one replica is restarted: expect a short interruption".to_owned(),
                _ => format!("Its {count} replicas are restarted one after another"),
            },
        ),
    };
    let mut fields = vec![("Now".to_owned(), Line::from(state_text(before)))];
    if let ActionKind::Deploy { version, .. } = &plan.kind
        && let Some(since) = version.since
    {
        let since = since.strftime("%F %R UTC").to_string();
        fields.push(("Deployed first".into(), since.into()));
    }
    if let ActionKind::Deploy { version, .. } = &plan.kind
        && !version.changes.is_empty()
    {
        let changes = cut(&version.changes.join(", "), 500);
        fields.push(("Changes besides the image".into(), changes.into()));
    }
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

/// What ties lead to, each once: `network treasury_default`.
pub(in crate::bot) fn joined_to(attachments: &[Attachment]) -> String {
    let to: BTreeSet<&str> = attachments
        .iter()
        .map(|attachment| attachment.to.as_str())
        .collect();
    let shown: Vec<String> = to.iter().take(5).map(|to| cut(to, 80)).collect();
    match to.len().saturating_sub(shown.len()) {
        0 if to.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
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
    let unwell = outcome.after.as_ref().is_some_and(|after| !after.is_well());
    let tone = match (outcome.good, &record.what) {
        (true, ActionKind::Release { .. }) if unwell => Tone::Warning,
        (true, _) => Tone::Good,
        (false, _) => Tone::Bad,
    };
    let mut fields = vec![("Before".to_owned(), Line::from(record.before_text.as_str()))];
    if let Some(after) = &outcome.after {
        fields.push(("After".into(), state_text(after).into()));
    }
    match &outcome.evidence {
        None => {}
        Some(Ok((action, count))) => fields.push((
            "Evidence".into(),
            Line::new()
                .text(format!("{count} pieces kept: "))
                .code(format!("treasury-bot evidence {action}")),
        )),
        Some(Err(why)) => fields.push((
            "Evidence".into(),
            format!("none could be kept: {}", cut(why, 300)).into(),
        )),
    }
    let mut message =
        Message::new(tone, outcome.title.clone()).part(Part::Fields(by(record, fields)));
    if let Some(cause) = &outcome.cause {
        message = message.code(cause.clone());
    }
    let name = &record.service;
    let mut buttons = match &record.what {
        ActionKind::Restart | ActionKind::Scale(_) | ActionKind::Bounds { .. } => vec![
            Button::new("Status", format!("status {name}")),
            Button::new("Logs", format!("logs {name}")),
        ],
        ActionKind::Deploy { .. } => {
            let mut buttons = vec![
                Button::new("Status", format!("status {name}")),
                Button::new("Logs", format!("logs {name}")),
            ];
            // What failed was put back already.
            if outcome.good {
                buttons.push(Button::new("Roll back", format!("rollback {name}")));
            }
            buttons
        }
        ActionKind::Isolate { .. } => vec![
            Button::new("Status", format!("status {name}")),
            Button::new("Release", format!("release {name}")),
        ],
        ActionKind::Release { .. } => vec![
            Button::new("Status", format!("status {name}")),
            Button::new("Check", format!("check {name}")),
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
    let again = match &record.what {
        ActionKind::Restart => Some(format!("restart {name}")),
        ActionKind::Scale(n) => Some(format!("scale {name} {n}")),
        ActionKind::Bounds { wanted, .. } => {
            Some(format!("bounds {name} {} {}", wanted.min, wanted.max))
        }
        ActionKind::Deploy {
            back: false,
            version,
            ..
        } => Some(format!("deploy {name} {}", quote(&version.image))),
        ActionKind::Isolate { .. } => Some(format!("isolate {name}")),
        ActionKind::Release { .. } => Some(format!("release {name}")),
        // What was the former version, or who failed to be ended, may be another by now: look first.
        ActionKind::Deploy { back: true, .. }
        | ActionKind::Session { .. }
        | ActionKind::Client { .. } => None,
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
    let service = || Line::new().code(&record.service);
    let in_time = duration::text(took);
    let (title, text) = match &record.what {
        ActionKind::Deploy { version, back, .. } => {
            let image = cut(&version.image, 120);
            let done = if *back {
                "rolled back to"
            } else {
                "brought to"
            };
            (
                service()
                    .text(format!(" {done} "))
                    .code(&image)
                    .text(format!(" in {in_time}, {}", well_text(&after))),
                format!("{done} {image}: {}", record.service),
            )
        }
        ActionKind::Isolate { attachments } => (
            service().text(format!(" is cut off from {}", joined_to(attachments))),
            format!("cut {} off from {}", record.service, joined_to(attachments)),
        ),
        ActionKind::Release { attachments } => (
            service().text(format!(
                " is joined again to {}, {}",
                joined_to(attachments),
                well_text(&after)
            )),
            format!(
                "joined {} again to {}",
                record.service,
                joined_to(attachments)
            ),
        ),
        ActionKind::Bounds { former, wanted } => (
            service().text(format!(
                " is scaled between {wanted} replicas now, before {former}; {}",
                well_text(&after)
            )),
            format!(
                "set the bounds of {} to {wanted} from {former}",
                record.service
            ),
        ),
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
        evidence: None,
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
    let now = now.unwrap_or_else(|| {
        if record.what.is_on_platform() {
            "; its state is not known".to_owned()
        } else {
            String::new()
        }
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
        evidence: None,
    }
}

impl Outcome {
    /// Says what was kept before.
    pub(super) fn with_evidence(mut self, evidence: Option<Result<(i64, usize), String>>) -> Self {
        if let Some(Err(why)) = &evidence {
            self.text = format!(
                "{}; no evidence could be kept: {}",
                self.text,
                cut(why, 500)
            );
        }
        self.evidence = evidence;
        self
    }

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
