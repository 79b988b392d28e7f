//! What happens next.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use treasury_domain::duration;

use super::state::{Phase, RunState, Stop, Verdict, after, id_of};
use super::walk::{ASK_TIMEOUT, Advance, Walk};
use super::work::probe_timeout;
use crate::model::{OnFailure, Runbook, Step, Work};
use crate::template::Condition;
use crate::vocabulary::Vocabulary;

/// How long an approval is waited for.
pub const APPROVAL_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Most items of a `for_each`.
const MAX_ITEMS: usize = 100;

/// Brings the run as far as it gets now.
pub(super) fn advance(
    runbook: &Runbook,
    vocabulary: &Vocabulary,
    state: &mut RunState,
    now: Timestamp,
) -> Advance {
    let mut walk = Walk {
        runbook,
        vocabulary,
        state,
        now,
        ending: None,
        done: Advance::default(),
    };
    walk.run();
    walk.done
}

/// How far a list of steps, or one step, has got.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    /// Ended, well enough to go on.
    Done,
    /// Not at its end.
    Busy,
    /// Failed for good.
    Failed,
    /// Failed for good; the list goes on at this step.
    Jump(String),
}

impl Walk<'_> {
    fn run(&mut self) {
        if self.state.verdict.is_some() {
            return;
        }
        let deadline = after(self.state.start.at, self.runbook.timeout);
        if self.state.stop.is_none() && deadline <= self.now && !self.state.start.rehearsal {
            self.state.stop = Some(Stop {
                by: None,
                reason: format!("it took more than {}", duration::text(self.runbook.timeout)),
                at: self.now,
            });
        }
        let runbook = self.runbook;
        let main = if self.state.stop.is_some() {
            self.wind_up()
        } else {
            self.list(&runbook.steps, "")
        };
        let verdict = match main {
            Flow::Busy => {
                if self.state.stop.is_none() {
                    self.wake(deadline);
                }
                return;
            }
            _ if self.state.stop.is_some() => Verdict::Stopped,
            Flow::Failed => Verdict::Failed,
            _ if self.state.start.rehearsal && self.would_stop(&runbook.steps) => Verdict::Failed,
            Flow::Done | Flow::Jump(_) => Verdict::Succeeded,
        };
        // The steps at the end fail for themselves; nobody is asked about them.
        let mut failed = false;
        self.ending = Some(verdict);
        for step in &runbook.finally {
            match self.step(step, "") {
                Flow::Busy => return,
                Flow::Failed => failed = true,
                Flow::Done | Flow::Jump(_) => {}
            }
        }
        failed |= self.state.start.rehearsal && self.would_stop(&runbook.finally);
        let verdict = if failed && verdict == Verdict::Succeeded {
            Verdict::Failed
        } else {
            verdict
        };
        self.state.verdict = Some(verdict);
    }

    /// A step failed in a rehearsal at which a run would have stopped.
    fn would_stop(&self, steps: &[Step]) -> bool {
        let failed = |id: &str| {
            let mut steps = self.state.steps.iter();
            steps.any(|(path, step)| step.phase == Phase::Failed && id_of(path) == id)
        };
        steps.iter().any(|step| {
            step.on_failure == OnFailure::Stop
                && (failed(&step.id.value) || self.would_stop(step.inner()))
        })
    }

    /// Ends what is not at work on a change; [`Flow::Busy`] while something is.
    fn wind_up(&mut self) -> Flow {
        let at_end: BTreeSet<String> = crate::model::walk(&self.runbook.finally)
            .into_iter()
            .map(|step| step.id.value.clone())
            .collect();
        let open: Vec<String> = self
            .state
            .steps
            .iter()
            .filter(|(path, step)| {
                !at_end.contains(id_of(path)) && (!step.phase.is_end() || step.is_held())
            })
            .map(|(path, _)| path.clone())
            .collect();
        let mut flow = Flow::Done;
        for path in open {
            let changing = self.state.steps.get(&path).is_some_and(|step| {
                step.phase == Phase::Running && step.call.as_ref().is_some_and(|call| call.changes)
            });
            if changing {
                // What has been begun can't be taken back: its end is awaited.
                flow = Flow::Busy;
                continue;
            }
            self.change(&path, |step| {
                if step.phase == Phase::Failed {
                    step.until = None;
                } else {
                    step.phase = Phase::Skipped;
                    step.line = "the run was stopped".into();
                }
            });
        }
        flow
    }

    fn list(&mut self, steps: &[Step], suffix: &str) -> Flow {
        let mut target: Option<String> = None;
        for step in steps {
            if let Some(wanted) = &target {
                if step.id.value != *wanted {
                    continue;
                }
                target = None;
            }
            match self.step(step, suffix) {
                Flow::Done => {}
                Flow::Jump(to) => target = Some(to),
                other => return other,
            }
        }
        Flow::Done
    }

    fn step(&mut self, step: &Step, suffix: &str) -> Flow {
        let path = format!("{}{suffix}", step.id.value);
        if !self.state.steps.contains_key(&path) {
            match self.needed(step, suffix) {
                Ok(true) => {}
                Ok(false) => {
                    let line = match &step.when {
                        Some(condition) => {
                            format!("not needed: {}", condition.shown(&self.values(suffix)))
                        }
                        None => String::new(),
                    };
                    self.begin(&path, step, suffix);
                    self.end(&path, Phase::Skipped, Value::Null, line);
                    return Flow::Done;
                }
                Err(error) => {
                    self.begin(&path, step, suffix);
                    self.no_value(step, &path, &format!("`when`: {error}"));
                    return self.after_end(step, &path);
                }
            }
        }
        if let Some(list) = &step.for_each {
            return self.for_each(step, list, &path, suffix);
        }
        match &step.work {
            Work::Parallel(inner) => self.group(step, inner, &path, suffix, true),
            Work::Block(inner) => self.group(step, inner, &path, suffix, false),
            _ => self.leaf(step, &path, suffix),
        }
    }

    fn for_each(&mut self, step: &Step, list: &Condition, path: &str, suffix: &str) -> Flow {
        if !self.state.steps.contains_key(path) {
            let items = match list.value(&self.values(suffix)) {
                Ok(Value::Array(items)) if items.len() <= MAX_ITEMS => Ok(items),
                Ok(Value::Array(items)) => Err(format!(
                    "`for_each` goes over at most {MAX_ITEMS} items; these are {}",
                    items.len()
                )),
                Ok(_) => Err(format!("`for_each`: `{}` is not a list", list.written)),
                Err(error) => Err(format!("`for_each`: {error}")),
            };
            self.begin(path, step, suffix);
            match items {
                Ok(items) => self.change(path, |state| {
                    state.items = Some(items);
                }),
                Err(why) => self.end_failed(path, &why),
            }
        }
        let Some(state) = self.state.steps.get(path) else {
            return Flow::Busy;
        };
        if state.phase.is_end() {
            return self.after_end(step, path);
        }
        let count = state.items.as_ref().map_or(0, Vec::len);
        let mut results = Vec::with_capacity(count);
        for n in 0..count {
            let inner = format!("{suffix}[{n}]");
            let flow = match &step.work {
                Work::Block(steps) => self.list(steps, &inner),
                Work::Parallel(steps) => self.together(steps, &inner),
                _ => {
                    let item_path = format!("{}{inner}", step.id.value);
                    self.leaf(step, &item_path, &inner)
                }
            };
            match flow {
                Flow::Done => {}
                Flow::Busy => return Flow::Busy,
                Flow::Failed => {
                    self.end_failed(path, &format!("failed at item {} of {count}", n + 1));
                    return self.after_end(step, path);
                }
                Flow::Jump(to) => {
                    self.end_failed(path, &format!("left at item {} of {count}", n + 1));
                    return Flow::Jump(to);
                }
            }
            results.push(self.iteration(step, &inner));
        }
        let line = treasury_domain::counted(count, "item");
        self.end(path, Phase::Succeeded, Value::Array(results), line);
        Flow::Done
    }

    /// What one turn of a loop gave.
    fn iteration(&self, step: &Step, suffix: &str) -> Value {
        let result = |id: &str| {
            let state = self.state.steps.get(&format!("{id}{suffix}"));
            state
                .filter(|state| state.phase == Phase::Succeeded)
                .map_or(Value::Null, |state| state.result.clone())
        };
        match &step.work {
            Work::Block(steps) | Work::Parallel(steps) => Value::Object(
                crate::model::walk(steps)
                    .into_iter()
                    .map(|inner| (inner.id.value.clone(), result(&inner.id.value)))
                    .collect(),
            ),
            _ => result(&step.id.value),
        }
    }

    fn group(
        &mut self,
        step: &Step,
        inner: &[Step],
        path: &str,
        suffix: &str,
        parallel: bool,
    ) -> Flow {
        if !self.state.steps.contains_key(path) {
            self.begin(path, step, suffix);
        }
        if let Some(state) = self.state.steps.get(path)
            && state.phase.is_end()
        {
            return self.after_end(step, path);
        }
        let flow = if parallel {
            self.together(inner, suffix)
        } else {
            self.list(inner, suffix)
        };
        match flow {
            Flow::Busy => Flow::Busy,
            Flow::Done | Flow::Jump(_) => {
                self.succeed(path, String::new());
                Flow::Done
            }
            Flow::Failed => {
                self.end_failed(path, "a step in it failed");
                self.after_end(step, path)
            }
        }
    }

    /// All at the same time; ends when all have ended.
    fn together(&mut self, steps: &[Step], suffix: &str) -> Flow {
        let flows: Vec<Flow> = steps.iter().map(|step| self.step(step, suffix)).collect();
        if flows.contains(&Flow::Busy) {
            Flow::Busy
        } else if flows.contains(&Flow::Failed) {
            Flow::Failed
        } else {
            Flow::Done
        }
    }

    fn leaf(&mut self, step: &Step, path: &str, suffix: &str) -> Flow {
        if !self.state.steps.contains_key(path) {
            self.begin(path, step, suffix);
            self.work(step, path, suffix);
        }
        let Some(state) = self.state.steps.get(path) else {
            return Flow::Busy;
        };
        let due = state.until.is_some_and(|until| until <= self.now);
        match state.phase {
            Phase::Failed if due => self.change(path, |state| state.until = None),
            Phase::Pausing if due => self.again(step, path, suffix),
            Phase::Waiting if due => self.succeed(path, String::new()),
            Phase::Running if due => {
                let line = format!("no answer within {}", duration::text(probe_timeout(step)));
                self.fail(step, path, &line, true);
            }
            Phase::Asking if due => {
                let asked = state
                    .approval
                    .as_ref()
                    .map_or(step.timeout, |_| Some(APPROVAL_TIMEOUT));
                let time = duration::text(asked.unwrap_or(ASK_TIMEOUT));
                let line = format!("nobody answered within {time}");
                self.fail(step, path, &line, false);
            }
            _ => {}
        }
        let Some(state) = self.state.steps.get(path) else {
            return Flow::Busy;
        };
        match state.phase {
            Phase::Succeeded | Phase::Skipped => Flow::Done,
            Phase::Failed => self.after_end(step, path),
            _ => {
                if let Some(until) = state.until {
                    self.wake(until);
                }
                Flow::Busy
            }
        }
    }

    /// What follows a step that has ended.
    fn after_end(&mut self, step: &Step, path: &str) -> Flow {
        let Some(state) = self.state.steps.get(path) else {
            return Flow::Busy;
        };
        match (state.phase, state.until) {
            (Phase::Failed, Some(until)) => {
                self.wake(until);
                Flow::Busy
            }
            // A rehearsal shows all that would follow.
            (Phase::Failed, None) if self.state.start.rehearsal => Flow::Done,
            (Phase::Failed, None) => match &step.on_failure {
                OnFailure::Stop => Flow::Failed,
                OnFailure::Continue => Flow::Done,
                OnFailure::Goto(to) => Flow::Jump(to.value.clone()),
            },
            _ => Flow::Done,
        }
    }
}
