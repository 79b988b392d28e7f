//! What came of an action, and how it is said.

use std::time::Duration;

use serde_json::{Value, json};

use super::job::{Failure, Job, Success, Worked};
use super::kinds::kind_of;
use super::state::state_text;
use crate::domain::action::{ActionRecord, ActionRow};
use crate::domain::service::{Progress, ReplicaMark, ServiceStatus};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{Button, EntryKind, Line, Message, Part, Tone, counted, duration};
use crate::runbook::engine;

/// What came of an action.
pub(in crate::bot) struct Outcome {
    /// It is as it was meant to be.
    pub(super) good: bool,
    tone: Tone,
    /// One line for the chat.
    pub(super) title: Line,
    /// The same and more for the timeline.
    pub(super) text: String,
    /// The state after, if it is known.
    pub(super) after: Option<ServiceStatus>,
    /// What is wrong, if it is.
    cause: Option<String>,
    /// How long it took.
    took: Duration,
    /// What a runbook's step gets.
    result: Value,
    /// How many pieces of evidence were kept before, or why none could be.
    evidence: Option<Result<usize, String>>,
    /// The memory after, where it was measured.
    memory: String,
}

impl Outcome {
    /// What a job came to.
    pub(super) fn of(job: Job<'_>, worked: Worked) -> Self {
        let took = job.started.elapsed();
        let mut outcome = match worked {
            Err(failure) => Self::failed(job.record(), failure, took),
            Ok(Success {
                tone,
                title,
                text,
                after,
                result,
            }) => Self {
                good: true,
                tone,
                title,
                text,
                after,
                cause: None,
                took,
                result,
                evidence: None,
                memory: job.memory.into_inner().unwrap_or_default(),
            },
        };
        outcome.evidence = job.evidence.into_inner();
        if let Some(Err(why)) = &outcome.evidence {
            let why = cut(why, 500);
            let text = outcome.text;
            outcome.text = format!("{text}; no evidence could be kept: {why}");
        }
        outcome
    }

    /// It failed after so long.
    pub(super) fn failed(record: &ActionRecord, failure: Failure, took: Duration) -> Self {
        let Failure { cause, after } = failure;
        let kind = kind_of(&record.what);
        let subject = kind.sentences(record).subject;
        let now = match &after {
            Some(after) => format!("; it is now {}", state_text(after)),
            None if kind.is_on_platform() => "; its state is not known".to_owned(),
            None => String::new(),
        };
        Self {
            good: false,
            tone: Tone::Bad,
            text: format!("{} failed: {cause}{now}", subject.plain()),
            title: subject.text(format!(" failed after {}", duration::text(took))),
            after,
            cause: Some(cut(&cause, 2_000)),
            took,
            result: Value::Null,
            evidence: None,
            memory: String::new(),
        }
    }

    /// Says that it was found out after a crash, and how.
    pub(super) fn after_crash(self, found: &str) -> Self {
        Self {
            text: format!(
                "found after an interruption of the bot: {found}; {}",
                self.text
            ),
            title: self
                .title
                .text(format!(" (found after an interruption: {found})")),
            ..self
        }
    }

    /// `done`, `failed`.
    pub(super) fn word(&self) -> &'static str {
        if self.good { "done" } else { "failed" }
    }

    /// For the timeline.
    pub(super) fn entry(&self, row: &ActionRow) -> Draft {
        let marks = |after: &ServiceStatus| {
            let marks = after.replicas.iter().map(ReplicaMark::from);
            marks.collect::<Vec<_>>()
        };
        let text = self.text.clone();
        Draft::new(&row.record.actor, EntryKind::Outcome, text).data(json!({
            "action": row.id,
            "good": self.good,
            "cause": self.cause,
            "after": self.after.as_ref().map(marks),
            "took_ms": self.took.as_millis() as u64,
        }))
    }

    /// For the timeline, when a success did not last.
    pub(super) fn relapse_entry(&self, row: &ActionRow) -> Draft {
        let text = self.text.clone();
        Draft::new(&row.record.actor, EntryKind::Outcome, text).data(json!({
            "action": row.id,
            "good": false,
            "relapse": true,
            "cause": self.cause,
        }))
    }

    /// For the run whose step asked for it.
    pub(super) fn for_run(&self) -> engine::Outcome {
        let title = self.title.plain();
        match &self.cause {
            None => engine::Outcome::Good {
                result: self.result.clone(),
                line: title,
            },
            // The action's own driver has tried what can be tried; a further attempt is the
            // runbook's to want.
            Some(cause) => engine::Outcome::Bad {
                line: format!("{title}: {cause}"),
                retry: true,
            },
        }
    }

    /// The message once it is over.
    pub(super) fn message(&self, row: &ActionRow) -> Message {
        let record = &row.record;
        let sentences = kind_of(&record.what).sentences(record);
        let mut fields = vec![("Before".to_owned(), Line::from(record.before_text.as_str()))];
        if let Some(after) = &self.after {
            let after = format!("{}{}", state_text(after), self.memory);
            fields.push(("After".into(), after.into()));
        }
        let evidence = self.evidence.as_ref().map(|evidence| match evidence {
            Ok(count) => Line::new()
                .text(format!("{} kept: ", counted(count, "piece")))
                .code(format!("treasury-bot evidence {}", row.id)),
            Err(why) => format!("none could be kept: {}", cut(why, 300)).into(),
        });
        fields.extend(evidence.map(|line| ("Evidence".into(), line)));
        let name = &record.service;
        let mut buttons = sentences.buttons;
        if self.good {
            buttons.extend(sentences.undo);
        } else if let Some(again) = sentences.again {
            buttons.push(Button::new("Events", format!("events {name}")));
            buttons.push(Button::new("Try again", again));
        }
        Message::new(self.tone, self.title.clone())
            .part(Part::Fields(with_actor(record, fields)))
            .code(self.cause.clone().unwrap_or_default())
            .buttons(buttons)
    }
}

/// The message while the work goes on.
pub(super) fn progress_message(record: &ActionRecord, step: Option<&Progress>) -> Message {
    let line = match step {
        None => "Started".to_owned(),
        Some(step) => format!("{} {}", bar(step.done, step.total), step.line),
    };
    let before = vec![("Before".into(), record.before_text.as_str().into())];
    let doing = kind_of(&record.what).sentences(record).doing;
    Message::new(Tone::Progress, doing)
        .text(line)
        .part(Part::Fields(with_actor(record, before)))
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

fn with_actor(record: &ActionRecord, mut fields: Vec<(String, Line)>) -> Vec<(String, Line)> {
    fields.push(("By".into(), Line::new().person(&record.actor)));
    if let Some(reason) = &record.reason {
        fields.push(("Reason".into(), Line::mentioning(reason)));
    }
    fields
}
