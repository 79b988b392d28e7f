//! Runs that a step of another run calls.

use crate::domain::action::StepRef;
use crate::runbook::engine::PendingCall;

/// The step of a run that a call is for.
pub(super) fn step_of(run: i64, call: &PendingCall) -> StepRef {
    StepRef {
        run,
        path: call.path.clone(),
        attempt: call.attempt,
    }
}

/// What the run that this step calls, and its message, are named by.
pub(super) fn called_key(step: &StepRef) -> String {
    format!("run-of:{}:{}:{}", step.run, step.path, step.attempt)
}

/// The step that a run with such a message was called by, if it was.
pub(super) fn caller_of(key: &str) -> Option<StepRef> {
    let mut parts = key.strip_prefix("run-of:")?.splitn(3, ':');
    Some(StepRef {
        run: parts.next()?.parse().ok()?,
        path: parts.next()?.to_owned(),
        attempt: parts.next()?.parse().ok()?,
    })
}
