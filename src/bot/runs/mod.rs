//! Runs of runbooks: the engine's core ([`crate::runbook::engine`]) driven by the store's commits
//! and the platforms' answers.
//!
//! A run belongs to one process at a time. It commits each batch before it does what follows from
//! it; when it dies, another takes the run over and goes on by the same road. A change is an
//! action like any other: the service's lock and the intent are taken in the transaction that
//! begins the step, `recover.rs` finds out what became of it after a crash, and its outcome reaches
//! the run as an event, written in the transaction that records the outcome. What people answer
//! reaches it the same way.

pub(in crate::bot) mod call;
pub(in crate::bot) mod command;
pub(in crate::bot) mod drive;
pub(in crate::bot) mod record;
pub(in crate::bot) mod told;
pub(in crate::bot) mod wakers;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actions::Outcome as Acted;
use crate::domain::action::ActionRecord;
use crate::runbook::engine::{Decision, Outcome, RunState, Start, Vote};
use crate::runbook::{Runbook, Source};
use crate::store::{RunRow, Store, StoreError};
pub(in crate::bot) use wakers::Wakers;

/// What a run is told from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "what")]
pub(super) enum Event {
    /// A change, or a run that a step called, has ended.
    Ended {
        /// Path of the step.
        path: String,
        /// Which attempt.
        attempt: u32,
        /// It is as it was meant to be.
        good: bool,
        /// One line for people.
        line: String,
        /// What it gave.
        result: Value,
    },
    /// Somebody answered a question.
    Vote {
        /// Path of the step.
        path: String,
        /// The answer.
        vote: Vote,
    },
    /// Somebody decided about a step that failed.
    Decide {
        /// Path of the step.
        path: String,
        /// It is tried again; otherwise left out.
        retry: bool,
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Somebody ends the run.
    Stop {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

impl Event {
    fn outcome(good: bool, line: String, result: Value) -> Outcome {
        if good {
            Outcome::Good { result, line }
        } else {
            // An action's own driver has tried what can be tried; a further attempt is the
            // runbook's to want.
            Outcome::Bad { line, retry: true }
        }
    }

    fn decision(retry: bool) -> Decision {
        if retry {
            Decision::Retry
        } else {
            Decision::Skip
        }
    }
}

/// What a run is told when an action of one of its steps has ended, JSON.
pub(super) fn ended(record: &ActionRecord, acted: &Acted) -> String {
    let step = record.step.as_ref();
    let line = match &acted.cause {
        Some(cause) if !acted.good => format!("{}: {cause}", acted.title.plain()),
        _ => acted.title.plain(),
    };
    let event = Event::Ended {
        path: step.map(|step| step.path.clone()).unwrap_or_default(),
        attempt: step.map_or(1, |step| step.attempt),
        good: acted.good,
        line,
        result: call::result_of(record, acted),
    };
    // An event is made of texts, numbers and JSON values: it can always be written.
    serde_json::to_string(&event).unwrap_or_default()
}

/// A run with its runbook, as the store has it.
pub(super) struct Loaded {
    pub(super) row: RunRow,
    pub(super) runbook: Runbook,
    pub(super) state: RunState,
}

/// Why a run can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(i64),
    /// It was written by another version of the bot.
    #[error("run {run} was written by another version of the bot: {why}")]
    Strange {
        /// The run.
        run: i64,
        /// What can't be read.
        why: String,
    },
}

/// Reads a run.
pub(super) async fn load(store: &Store, id: i64) -> Result<Loaded, Unreadable> {
    let row = store.run(id).await?.ok_or(Unreadable::Unknown(id))?;
    let strange = |why: String| Unreadable::Strange { run: id, why };
    let source = Source::new(&format!("{}.yml", row.name), &row.source);
    let runbook = crate::runbook::read(&source).map_err(|findings| {
        strange(
            findings
                .first()
                .map(|finding| finding.message.clone())
                .unwrap_or_default(),
        )
    })?;
    let json = |error: serde_json::Error| strange(error.to_string());
    let start: Start = serde_json::from_str(&row.start).map_err(json)?;
    let mut state = RunState::new(id, start);
    for (path, record) in store.run_steps(id).await? {
        let step = serde_json::from_str(&record).map_err(json)?;
        state.steps.insert(path, step);
    }
    if let Some(stop) = &row.stop {
        state.stop = Some(serde_json::from_str(stop).map_err(json)?);
    }
    if let Some(verdict) = &row.verdict {
        state.verdict = Some(serde_json::from_str(verdict).map_err(json)?);
    }
    Ok(Loaded {
        row,
        runbook,
        state,
    })
}

/// The time until a moment; none if it is over.
fn until(at: Timestamp, now: Timestamp) -> std::time::Duration {
    crate::domain::duration::between(now, at)
}
