//! What has to be under way.

use std::time::Duration;

use jiff::Timestamp;

use super::state::{Call, Phase, RunState, id_of};
use crate::model::Runbook;

/// Something that has to be under way while the run is in this state.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCall {
    /// Path of the step.
    pub path: String,
    /// Which attempt.
    pub attempt: u32,
    /// What is called.
    pub call: Call,
    /// It has to be begun first: lock, intent, and the step `started`, in one transaction.
    pub begin: bool,
    /// How long it may take, where the step says so.
    pub timeout: Option<Duration>,
}

/// What has to be under way now.
pub(super) fn pending_calls(
    runbook: &Runbook,
    state: &RunState,
    now: Timestamp,
) -> Vec<PendingCall> {
    let mut found = Vec::new();
    if state.verdict.is_some() {
        return found;
    }
    for (path, step) in &state.steps {
        let begin = match step.phase {
            Phase::Running => false,
            Phase::Scheduled if step.until.is_none_or(|until| until <= now) => true,
            _ => continue,
        };
        let Some(call) = &step.call else {
            continue;
        };
        found.push(PendingCall {
            path: path.clone(),
            attempt: step.attempt,
            call: call.clone(),
            begin,
            timeout: runbook.step(id_of(path)).and_then(|step| step.timeout),
        });
    }
    found
}
