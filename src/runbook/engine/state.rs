//! What is known of a run, and nothing that can't be written to the store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a run was started with; never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Its parameters, complete and checked.
    pub params: Map<String, Value>,
    /// Id of who started it.
    pub by_id: String,
    /// Name of who started it.
    pub by: String,
    /// The incident it belongs to: number and title.
    pub incident: Option<(i64, String)>,
    /// Changes are only told, not made.
    pub rehearsal: bool,
    /// When.
    pub at: Timestamp,
    /// How long a failed step waits for somebody to retry or skip it, ms.
    pub hold_ms: u64,
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

/// The result, made smaller where it is too large: lists and texts are cut until it fits.
pub fn bounded(value: Value) -> Value {
    let mut value = value;
    for (items, bytes) in [(100, 2_000), (30, 500), (10, 200), (3, 80), (0, 40)] {
        if value.to_string().len() <= MAX_RESULT {
            break;
        }
        cut(&mut value, items, bytes);
    }
    value
}

fn cut(value: &mut Value, items: usize, bytes: usize) {
    match value {
        Value::String(text) if text.len() > bytes => {
            *text = crate::domain::timeline::cut(text, bytes);
        }
        Value::Array(list) => {
            list.truncate(items);
            for item in list {
                cut(item, items, bytes);
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                cut(field, items, bytes);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_is_cut_and_keeps_its_shape() {
        let line = serde_json::json!({"text": "x".repeat(1_000), "n": 1});
        let value = serde_json::json!({"count": 500, "lines": vec![line; 500]});
        let small = bounded(value);
        assert!(small.to_string().len() <= MAX_RESULT);
        assert_eq!(small["count"], 500);
        assert_eq!(small["lines"][0]["n"], 1);
        let little = serde_json::json!({"a": [1, 2]});
        assert_eq!(bounded(little.clone()), little);
    }
}
