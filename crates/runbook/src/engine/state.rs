//! What is known of a run, and nothing that can't be written to the store.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bounded::bounded;
use crate::model::{OnFailure, Runbook, Step, Work};
use treasury_domain::{Role, timeline};

/// Most bytes of what a step says in one line.
pub(super) const MAX_LINE: usize = 500;

/// What a run was started with; never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Its parameters, complete and checked.
    pub params: Map<String, Value>,
    /// Id of who started it.
    pub by_id: String,
    /// Name of who started it.
    pub by: String,
    /// Their role then.
    #[serde(default = "responder")]
    pub role: Role,
    /// The runs that called it, the nearest last.
    #[serde(default)]
    pub callers: Vec<i64>,
    /// What had been approved in those before they called it.
    #[serde(default)]
    pub approvals: Vec<Vote>,
    /// The incident it belongs to: number and title.
    pub incident: Option<(i64, String)>,
    /// Changes are only told, not made.
    pub rehearsal: bool,
    /// When.
    pub at: Timestamp,
    /// How long a failed step waits for somebody to retry or skip it, ms.
    pub hold_ms: u64,
}

/// Whoever could start or answer a run before roles were kept.
fn responder() -> Role {
    Role::Responder
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// Its number; `run.id` in expressions.
    pub id: i64,
    /// What it was started with.
    pub start: Start,
    /// The steps that have begun, by path: `stats`, `restart[2]`, `inner[0][1]`.
    pub steps: BTreeMap<String, StepState>,
    /// Somebody, or the time-out, has ended it early.
    pub stop: Option<Stop>,
    /// How it ended.
    pub verdict: Option<Verdict>,
}

/// Why a run ends early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Who; `None` for the time-out.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every step that was needed has been done.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was ended early.
    Stopped,
}

treasury_domain::words!(Verdict {
    Succeeded: "succeeded",
    Failed: "failed",
    Stopped: "stopped",
});

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It changes something and has not been begun: the service may be busy.
    Scheduled,
    /// It is at work; what it calls may have taken effect.
    Running,
    /// It will be tried or called again at `until`.
    Pausing,
    /// It waits until `until`.
    Waiting,
    /// It waits for people, at most until `until`.
    Asking,
    /// It has failed; with `until`, somebody may still retry or skip it until then.
    Failed,
    /// It is done and has a result.
    Succeeded,
    /// It was not needed, or somebody decided so.
    Skipped,
}

impl Phase {
    /// Nothing more happens to it by itself.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

/// A call with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What is called; `runbook NAME` for another runbook.
    pub name: String,
    /// Its parameters.
    pub with: Map<String, Value>,
    /// It changes something.
    pub changes: bool,
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who, by id.
    pub by_id: String,
    /// Who, by name.
    pub by: String,
    /// The answer: a choice, `approve`, `decline`, `done`.
    pub answer: String,
    /// What was added.
    pub note: Option<String>,
    /// The role of who answered.
    #[serde(default = "responder")]
    pub role: Role,
}

/// Who has to approve a change that whoever started the run may not make alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// At least this role.
    pub by: Role,
    /// Who started the run does not count.
    pub other: bool,
    /// The attempt at which it was asked for.
    #[serde(default)]
    pub attempt: u32,
}

impl Approval {
    /// This answer gives it.
    pub fn is_given_by(&self, vote: &Vote, starter: &str) -> bool {
        vote.answer == "approve" && vote.role >= self.by && !(self.other && vote.by_id == starter)
    }
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Where it is.
    pub phase: Phase,
    /// Its title, computed when it began.
    pub title: String,
    /// From 1; of the present or last attempt.
    pub attempt: u32,
    /// Retries by a person start the count of automatic attempts anew from here.
    #[serde(default)]
    pub attempt_base: u32,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The moment its phase waits for.
    pub until: Option<Timestamp>,
    /// What it calls.
    pub call: Option<Call>,
    /// What it gave.
    #[serde(default)]
    pub result: Value,
    /// What was left out of that, because it was too large: `lines 100 of 500`.
    #[serde(default)]
    pub cut: Option<String>,
    /// Whose approval the change waits for, or waited for.
    #[serde(rename = "leave", default)]
    pub approval: Option<Approval>,
    /// One line for people: what came of it, why it failed, what it waits for.
    #[serde(default)]
    pub line: String,
    /// People were asked.
    #[serde(default)]
    pub asked: bool,
    /// What people answered.
    #[serde(default)]
    pub votes: Vec<Vote>,
    /// The items of a `for_each`, fixed when it began.
    #[serde(default)]
    pub items: Option<Vec<Value>>,
    /// How often a crash of the bot cut it off.
    #[serde(default)]
    pub interruptions: u32,
}

impl StepState {
    /// Failed, and somebody may decide.
    pub fn is_held(&self) -> bool {
        self.phase == Phase::Failed && self.until.is_some()
    }

    /// A step that begins.
    pub(super) fn new(title: &str, now: Timestamp) -> Self {
        Self {
            phase: Phase::Running,
            title: timeline::cut(title, 200),
            attempt: 1,
            attempt_base: 0,
            began_at: now,
            ended_at: None,
            until: None,
            call: None,
            result: Value::Null,
            cut: None,
            approval: None,
            line: String::new(),
            asked: false,
            votes: Vec::new(),
            items: None,
            interruptions: 0,
        }
    }

    /// It has ended, and has given this.
    pub(super) fn end(&mut self, phase: Phase, result: Value, line: &str, now: Timestamp) {
        self.phase = phase;
        self.until = None;
        self.ended_at = Some(now);
        (self.result, self.cut) = bounded(result);
        self.line = timeline::cut(line, MAX_LINE);
    }

    /// The pause before its next attempt; `None` where there is none left.
    pub(super) fn pause(&self, step: &Step) -> Option<Duration> {
        let tried = self.attempt - self.attempt_base;
        (tried < step.retry.attempts).then(|| step.retry.pause(tried))
    }

    /// It has failed: tried again at `pause`; without that it has ended, and somebody may decide
    /// about it until `hold`.
    pub(super) fn fail(
        &mut self,
        why: &str,
        pause: Option<Timestamp>,
        hold: Option<Timestamp>,
        now: Timestamp,
    ) {
        self.line = timeline::cut(why, MAX_LINE);
        if pause.is_some() {
            self.phase = Phase::Pausing;
            self.until = pause;
        } else {
            self.phase = Phase::Failed;
            self.ended_at = Some(now);
            self.until = hold;
        }
    }
}

impl RunState {
    /// A run that has not begun.
    pub fn new(id: i64, start: Start) -> Self {
        Self {
            id,
            start,
            steps: BTreeMap::new(),
            stop: None,
            verdict: None,
        }
    }

    /// What has been approved so far, in the runs that called it too: the answers to its `approve`
    /// steps that succeeded.
    pub fn approvals(&self, runbook: &Runbook) -> Vec<Vote> {
        let own = self.steps.iter().filter(|(path, step)| {
            let own = runbook.step(id_of(path));
            step.phase == Phase::Succeeded
                && own.is_some_and(|step| matches!(step.work, Work::Approve { .. }))
        });
        let own = own.flat_map(|(_, step)| step.votes.clone());
        self.start.approvals.iter().cloned().chain(own).collect()
    }

    /// Whether a scheduled change may begin: who started the run may do it, or somebody who may has
    /// approved it, or something before it.
    pub fn may(&self, runbook: &Runbook, path: &str, approval: &Approval) -> bool {
        if self.start.role >= approval.by && !approval.other {
            return true;
        }
        let given = self.steps.get(path).map_or(&[][..], |step| &step.votes);
        self.approvals(runbook)
            .iter()
            .chain(given)
            .any(|vote| approval.is_given_by(vote, &self.start.by_id))
    }

    /// Until when somebody may decide about a step that fails now; `None` where nobody is asked.
    /// `at_end`: it is one of those that are done at the end.
    pub(super) fn hold(&self, step: &Step, at_end: bool, now: Timestamp) -> Option<Timestamp> {
        let asks = step.on_failure == OnFailure::Stop
            && !at_end
            && !self.start.rehearsal
            && self.start.hold_ms > 0
            && self.stop.is_none();
        asks.then(|| after(now, Duration::from_millis(self.start.hold_ms)))
    }

    /// In this rehearsal a change other than this step's was only named: what would be so after it
    /// is not so now.
    pub(super) fn left_a_change_out(&self, path: &str) -> bool {
        let is_change = |call: &Call| call.changes;
        let mut others = self.steps.iter().filter(|(other, _)| *other != path);
        self.start.rehearsal && others.any(|(_, step)| step.call.as_ref().is_some_and(is_change))
    }

    /// The paths that somebody has to decide on.
    pub fn held(&self) -> Vec<&str> {
        self.steps
            .iter()
            .filter(|(_, step)| step.is_held())
            .map(|(path, _)| path.as_str())
            .collect()
    }
}

/// What is said or noted, in the transaction of the steps that say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// A step began, ended or waits for somebody: for the timeline.
    Step {
        /// Its path.
        path: String,
    },
    /// For the timeline, in the words of the runbook.
    Note {
        /// Path of the step.
        path: String,
        /// The words.
        text: String,
    },
    /// For the room.
    Notify {
        /// Path of the step.
        path: String,
        /// The words.
        text: String,
    },
}

impl Announcement {
    /// Path of the step that it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Step { path } | Self::Note { path, .. } | Self::Notify { path, .. } => path,
        }
    }

    pub(super) fn step(path: &str) -> Self {
        Self::Step {
            path: path.to_owned(),
        }
    }
}

/// The id of the step of a path: without its turns of loops.
pub(super) fn id_of(path: &str) -> &str {
    path.split_once('[').map_or(path, |(id, _)| id)
}

/// A moment later; the last moment there is where it would be beyond it.
pub(super) fn after(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}
