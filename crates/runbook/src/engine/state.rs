//! What is known of a run, and nothing that can't be written to the store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Runbook, Work};
use treasury_domain::Role;

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

impl Verdict {
    /// As people and expressions read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

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
            let id = path.split('[').next().unwrap_or(path);
            let own = runbook.step(id);
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

    /// The paths that somebody has to decide on.
    pub fn held(&self) -> Vec<&str> {
        self.steps
            .iter()
            .filter(|(_, step)| step.is_held())
            .map(|(path, _)| path.as_str())
            .collect()
    }
}

/// Most bytes of a step's result as JSON.
const MAX_RESULT: usize = 32 * 1024;

/// The result, made smaller where it is too large: lists and texts are cut until it fits. Then also
/// what was left out, for people: `lines 100 of 500, long texts`.
pub fn bounded(value: Value) -> (Value, Option<String>) {
    if value.to_string().len() <= MAX_RESULT {
        return (value, None);
    }
    let (mut small, mut left_out) = (value, LeftOut::default());
    for (items, bytes) in [(100, 2_000), (30, 500), (10, 200), (3, 80), (0, 40)] {
        cut(&mut small, "items", items, bytes, &mut left_out);
        if small.to_string().len() <= MAX_RESULT {
            break;
        }
    }
    (small, Some(left_out.words()))
}

/// What had to be left out of a result.
#[derive(Default)]
struct LeftOut {
    /// Of the first list of each name, how many items are left of how many.
    lists: BTreeMap<String, (usize, usize)>,
    texts: bool,
}

impl LeftOut {
    fn words(&self) -> String {
        let lists = self.lists.iter().take(3);
        let lists = lists.map(|(name, (left, of))| format!("{name} {left} of {of}"));
        let texts = self.texts.then(|| "long texts".to_owned());
        lists.chain(texts).collect::<Vec<_>>().join(", ")
    }
}

fn cut(value: &mut Value, name: &str, items: usize, bytes: usize, left_out: &mut LeftOut) {
    match value {
        Value::String(text) if text.len() > bytes => {
            *text = treasury_domain::timeline::cut(text, bytes);
            left_out.texts = true;
        }
        Value::Array(list) => {
            if list.len() > items {
                let counts = left_out.lists.entry(name.to_owned());
                counts.or_insert((items, list.len())).0 = items;
                if is_in_time(list) {
                    list.drain(..list.len() - items);
                } else {
                    list.truncate(items);
                }
            }
            for item in list {
                cut(item, name, items, bytes, left_out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                cut(field, name, items, bytes, left_out);
            }
        }
        _ => {}
    }
}

/// Its items are in the order of their time: the last ones matter most.
fn is_in_time(list: &[Value]) -> bool {
    let at = |item: Option<&Value>| Some(item?.get("at")?.as_str()?.to_owned());
    at(list.first())
        .zip(at(list.last()))
        .is_some_and(|(first, last)| first < last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_is_cut_and_keeps_its_shape() {
        let line = serde_json::json!({"text": "x".repeat(1_000), "n": 1});
        let value = serde_json::json!({"count": 500, "lines": vec![line; 500]});
        let (small, left_out) = bounded(value);
        assert!(small.to_string().len() <= MAX_RESULT);
        assert_eq!(left_out.as_deref(), Some("lines 30 of 500, long texts"));
        assert_eq!(small["count"], 500);
        assert_eq!(small["lines"][0]["n"], 1);
        let line = |n: i32| serde_json::json!({"at": format!("{n:04}"), "text": "x".repeat(400)});
        let (small, _) =
            bounded(serde_json::json!({"lines": (0..500).map(line).collect::<Vec<_>>()}));
        assert_eq!(small["lines"].as_array().unwrap().last(), Some(&line(499)));
        let little = serde_json::json!({"a": [1, 2]});
        assert_eq!(bounded(little.clone()), (little, None));
    }
}
