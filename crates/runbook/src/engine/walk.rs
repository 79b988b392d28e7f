//! A run on its way through its steps: what every kind of step does to it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::state::{Announcement, Phase, RunState, StepState, Verdict, after};
use super::values::{title_of, values};
use crate::expr::{EvalError, Values};
use crate::model::{Runbook, Step};
use crate::vocabulary::Vocabulary;

/// How long people are waited for if the step does not say (the checker wants that it does).
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(3_600);

/// How far a run has got.
#[derive(Debug, Default)]
pub(super) struct Advance {
    /// Paths of the steps that are to be written.
    pub(super) changed: BTreeSet<String>,
    /// What is to be written with them, in order.
    pub(super) announcements: Vec<Announcement>,
    /// The next moment at which something happens by itself.
    pub(super) wake: Option<Timestamp>,
}

pub(super) struct Walk<'a> {
    pub(super) runbook: &'a Runbook,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) state: &'a mut RunState,
    pub(super) now: Timestamp,
    /// The steps at the end are being done: how the others ended.
    pub(super) ending: Option<Verdict>,
    pub(super) done: Advance,
}

impl Walk<'_> {
    /// Begins a step: it is known from now on.
    pub(super) fn begin(&mut self, path: &str, step: &Step, suffix: &str) {
        let title = title_of(step, &self.values(suffix));
        let state = StepState::new(&title, self.now);
        self.state.steps.insert(path.to_owned(), state);
        self.done.changed.insert(path.to_owned());
    }

    pub(super) fn end(&mut self, path: &str, phase: Phase, result: Value, line: String) {
        let now = self.now;
        self.change(path, |state| state.end(phase, result, &line, now));
    }

    /// It is done and gave nothing.
    pub(super) fn succeed(&mut self, path: &str, line: String) {
        self.end(path, Phase::Succeeded, json!({}), line);
    }

    pub(super) fn end_failed(&mut self, path: &str, line: &str) {
        let now = self.now;
        self.change(path, |state| state.fail(line, None, None, now));
    }

    pub(super) fn fail(&mut self, step: &Step, path: &str, why: &str, retry: bool) {
        let now = self.now;
        let hold = self.state.hold(step, self.ending.is_some(), now);
        self.change(path, |state| {
            let pause = state.pause(step).filter(|_| retry);
            state.fail(why, pause.map(|time| after(now, time)), hold, now);
        });
        self.done.announcements.push(Announcement::step(path));
    }

    /// An expression has no value: a failure; in a rehearsal, often for lack of a result that only
    /// a change would give.
    pub(super) fn no_value(&mut self, step: &Step, path: &str, why: &str) {
        if self.state.start.rehearsal {
            let line = format!("can't be told before it runs: {why}");
            self.end(path, Phase::Skipped, Value::Null, line);
        } else {
            self.fail(step, path, why, false);
        }
    }

    pub(super) fn ask(&mut self, step: &Step, path: &str, text: String, rehearsed: Value) {
        if self.state.start.rehearsal {
            let line = format!("would ask: {text}");
            self.end(path, Phase::Succeeded, rehearsed, line);
            return;
        }
        let until = after(self.now, step.timeout.unwrap_or(ASK_TIMEOUT));
        self.change(path, |state| {
            state.phase = Phase::Asking;
            state.asked = true;
            state.until = Some(until);
            state.line = text;
        });
        self.done.announcements.push(Announcement::step(path));
    }

    pub(super) fn change(&mut self, path: &str, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.state.steps.get_mut(path) {
            change(state);
            self.done.changed.insert(path.to_owned());
        }
    }

    pub(super) fn wake(&mut self, at: Timestamp) {
        self.done.wake = Some(self.done.wake.map_or(at, |other| other.min(at)));
    }

    pub(super) fn values(&self, suffix: &str) -> Values {
        values(self.runbook, self.state, suffix, self.ending)
    }

    /// Whether the step's condition holds.
    pub(super) fn needed(&self, step: &Step, suffix: &str) -> Result<bool, EvalError> {
        match &step.when {
            None => Ok(true),
            Some(condition) => condition.holds(&self.values(suffix)),
        }
    }
}
