//! What comes from outside: results, answers, decisions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bounded::bounded;
use super::state::{Announcement, Phase, RunState, StepState, Stop, Vote, after};
use super::values::values;
use crate::model::{Runbook, Step, Use, Work};
use treasury_domain::{Role, duration};

/// Why something can't be said at this moment; for the person who said it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It is too late, too early, or no answer.
    #[error("{0}")]
    So(String),
    /// Somebody else has to say it.
    #[error("{}", needs(*role, *other))]
    Needs {
        /// Who may.
        role: Role,
        /// And not who started the run.
        other: bool,
    },
}

fn needs(role: Role, other: bool) -> String {
    if other {
        format!("a {role} other than who started the run has to answer this")
    } else {
        format!("only a {role} may answer this")
    }
}

/// What a run is told from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "what")]
pub enum Event {
    /// A change, or a run that a step called, has ended.
    Ended {
        /// Path of the step.
        path: String,
        /// Which attempt.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
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
        /// What is done about it.
        decision: Decision,
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

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it should.
    Good {
        /// What it gave.
        result: Value,
        /// One line for people.
        line: String,
    },
    /// It did not.
    Bad {
        /// Why, one line for people.
        line: String,
        /// Trying again may help.
        retry: bool,
    },
}

/// The step of a path, and the path's loop turns.
fn find<'r>(runbook: &'r Runbook, path: &str) -> Option<(&'r Step, String)> {
    let at = path.find('[').unwrap_or(path.len());
    Some((runbook.step(&path[..at])?, path[at..].to_owned()))
}

fn at_end(runbook: &Runbook, step: &Step) -> bool {
    crate::model::walk(&runbook.finally)
        .iter()
        .any(|other| other.id == step.id)
}

/// A call has ended. `None`: what comes for another attempt, or a second time, changes nothing.
/// Otherwise the step is to be written; `true`: and announced, being news for the timeline.
pub(super) fn finished(
    runbook: &Runbook,
    state: &mut RunState,
    path: &str,
    attempt: u32,
    outcome: Outcome,
    now: Timestamp,
) -> Option<bool> {
    let (step, suffix) = find(runbook, path)?;
    let current = state.steps.get(path)?;
    if current.phase != Phase::Running || current.attempt != attempt {
        return None;
    }
    let mut own = current.clone();
    let held = state.hold(step, at_end(runbook, step), now);
    let until = match &step.work {
        Work::Use(Use { until, .. }) => until.as_ref(),
        _ => None,
    };
    // When an `until` is looked at again; `None` when that would be too late.
    let again = until.and_then(|until| {
        let again = after(now, until.every);
        let end = step.timeout.map(|timeout| after(own.began_at, timeout));
        (end.is_none_or(|end| again <= end) && state.stop.is_none()).then_some(again)
    });
    let mut is_news = true;
    // In a rehearsal a change was asked for what it would come to; its line says already what it is.
    let is_named = state.start.rehearsal && own.call.as_ref().is_some_and(|call| call.changes);
    let named = |more: String| match more.as_str() {
        "" => own.line.clone(),
        _ => format!("{}; {more}", own.line),
    };
    let outcome = match outcome {
        Outcome::Good { result, line } if is_named => Outcome::Good {
            result,
            line: named(line),
        },
        Outcome::Bad { line, .. } if is_named && state.left_a_change_out(path) => Outcome::Good {
            result: Value::Null,
            line: named(format!("now: {line}")),
        },
        outcome => outcome,
    };
    match outcome {
        Outcome::Bad { line, retry } => {
            let pause = if until.is_some() && retry {
                is_news = false;
                again
            } else {
                own.pause(step)
                    .filter(|_| retry && state.stop.is_none())
                    .map(|time| after(now, time))
            };
            is_news |= pause.is_none();
            own.fail(&line, pause, held, now);
        }
        Outcome::Good { result, line } => {
            let (result, cut) = bounded(result);
            let holds = until.map(|until| {
                let mut values = values(runbook, state, &suffix, None);
                values.names.insert("result".into(), result.clone());
                let shown = until.condition.shown(&values);
                (shown, until.condition.holds(&values))
            });
            match holds {
                None | Some((_, Ok(true))) => own.end(Phase::Succeeded, result, &line, now),
                Some((shown, Ok(false))) if state.start.rehearsal => {
                    let line = format!("would wait for it; now {shown}: {line}");
                    own.end(Phase::Succeeded, result, &line, now);
                }
                Some((shown, Ok(false))) => match again {
                    Some(again) => {
                        own.phase = Phase::Pausing;
                        own.until = Some(again);
                        own.line = format!("not yet: {line}");
                        // Each look is no news for the timeline.
                        is_news = false;
                    }
                    None => {
                        let time = duration::text(step.timeout.unwrap_or_default());
                        let why = format!("not so within {time}; at last {shown}: {line}");
                        own.fail(&why, None, held, now);
                    }
                },
                Some((_, Err(error))) => {
                    own.fail(&format!("`until`: {error}"), None, held, now);
                }
            }
            own.cut = cut;
        }
    }
    state.steps.insert(path.to_owned(), own);
    Some(is_news)
}

/// Somebody answers an `ask`, `approve` or `manual` step.
pub(super) fn vote(
    runbook: &Runbook,
    state: &mut RunState,
    path: &str,
    vote: Vote,
    now: Timestamp,
) -> Result<Announcement, NotNow> {
    let unknown = || NotNow::So(format!("there is no step `{path}` in this run"));
    let (step, _) = find(runbook, path).ok_or_else(unknown)?;
    let starter = state.start.by_id.clone();
    let own = state.steps.get_mut(path).ok_or_else(unknown)?;
    if own.phase != Phase::Asking {
        return Err(NotNow::So("this question has been answered already".into()));
    }
    let needed = match (&step.work, &own.approval) {
        (Work::Ask { by, .. } | Work::Approve { by, .. } | Work::Manual { by, .. }, _) => *by,
        (Work::Use(_), Some(approval)) => approval.by,
        _ => return Err(unknown()),
    };
    if vote.role < needed {
        return Err(NotNow::Needs {
            role: needed,
            other: false,
        });
    }
    let said = Announcement::step(path);
    match &step.work {
        Work::Ask { choices, .. } => {
            if !choices.iter().any(|choice| choice.value == vote.answer) {
                return Err(NotNow::So(format!("`{}` is not a choice", vote.answer)));
            }
            let line = format!("{} answered: {}", vote.by, vote.answer);
            let result = json!({"answer": vote.answer, "by": vote.by});
            own.votes.push(vote);
            own.end(Phase::Succeeded, result, &line, now);
        }
        Work::Manual { .. } => {
            let line = match &vote.note {
                Some(note) => format!("done by {}: {note}", vote.by),
                None => format!("done by {}", vote.by),
            };
            let result = json!({"by": vote.by, "note": vote.note});
            own.votes.push(vote);
            own.end(Phase::Succeeded, result, &line, now);
        }
        Work::Approve { count, other, .. } => {
            if vote.answer == "decline" {
                declined(own, vote, now);
                return Ok(said);
            }
            if *other && vote.by_id == starter {
                return Err(NotNow::Needs {
                    role: needed,
                    other: true,
                });
            }
            if own.votes.iter().any(|one| one.by_id == vote.by_id) {
                return Err(NotNow::So("you have approved this already".into()));
            }
            own.votes.push(vote);
            let names: Vec<String> = own.votes.iter().map(|vote| vote.by.clone()).collect();
            if names.len() >= *count as usize {
                let line = format!("approved by {}", names.join(" and "));
                own.end(Phase::Succeeded, json!({"by": names}), &line, now);
            }
        }
        Work::Use(_) if vote.answer == "decline" => declined(own, vote, now),
        Work::Use(_) => {
            if own
                .approval
                .as_ref()
                .is_some_and(|approval| !approval.is_given_by(&vote, &starter))
            {
                return Err(NotNow::Needs {
                    role: needed,
                    other: true,
                });
            }
            own.phase = Phase::Scheduled;
            own.until = None;
            own.line = format!("approved by {}", vote.by);
            own.votes.push(vote);
        }
        _ => return Err(unknown()),
    }
    Ok(said)
}

/// A no is a no: nobody is asked to retry it.
fn declined(step: &mut StepState, vote: Vote, now: Timestamp) {
    let why = match &vote.note {
        Some(note) => format!("declined by {}: {note}", vote.by),
        None => format!("declined by {}", vote.by),
    };
    step.votes.push(vote);
    step.fail(&why, None, None, now);
}

/// What is done about a step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It is tried once more, with its automatic attempts.
    Retry,
    /// It is left out.
    Skip,
}

/// Somebody decides about a step that failed.
pub(super) fn decide(
    runbook: &Runbook,
    state: &mut RunState,
    path: &str,
    decision: &Decision,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Announcement, NotNow> {
    let Some(step) = state.steps.get_mut(path) else {
        return Err(NotNow::So(format!("there is no step `{path}` in this run")));
    };
    if !step.is_held() {
        return Err(NotNow::So(
            "this step waits for no decision any more".into(),
        ));
    }
    if *decision == Decision::Skip && !can_be_left_out(runbook, path) {
        return Err(NotNow::So(
            "an approval can't be left out: have it asked again, or stop the run".into(),
        ));
    }
    match decision {
        Decision::Retry => {
            step.phase = Phase::Pausing;
            step.until = Some(now);
            step.ended_at = None;
            step.attempt_base = step.attempt;
            step.line = format!("tried again by {by}");
        }
        Decision::Skip => {
            let why = reason
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            step.phase = Phase::Skipped;
            step.until = None;
            step.ended_at = Some(now);
            step.line = format!("left out by {by}{why}");
        }
    }
    Ok(Announcement::step(path))
}

/// Whether somebody may leave the step out: what has to be approved is not done without.
pub fn can_be_left_out(runbook: &Runbook, path: &str) -> bool {
    !find(runbook, path).is_some_and(|(step, _)| matches!(step.work, Work::Approve { .. }))
}

/// Somebody ends the run early.
pub(super) fn stop(
    state: &mut RunState,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), NotNow> {
    if state.verdict.is_some() {
        return Err(NotNow::So("this run has ended already".into()));
    }
    if state.stop.is_some() {
        return Err(NotNow::So("this run is being stopped already".into()));
    }
    state.stop = Some(Stop {
        by: Some(by.to_owned()),
        reason: reason.to_owned(),
        at: now,
    });
    Ok(())
}
