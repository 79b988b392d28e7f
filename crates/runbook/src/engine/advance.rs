//! What happens next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::event::after;
use super::state::{Call, Phase, RunState, StepState, Stop, Verdict};
use crate::expr::{self, EvalError, Values};
use crate::model::{OnFailure, Runbook, Step, Use, Wait, Work};
use crate::source::At;
use crate::template::{Shape, Template};
use crate::vocabulary::Vocabulary;
use treasury_domain::{Role, duration};

/// How long a probe may take if its step does not say.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long people are waited for if the step does not say (the checker wants that it does).
const ASK_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How long an approval is waited for.
pub const APPROVAL_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Most items of a `for_each`.
const MAX_ITEMS: usize = 100;

/// How far a run has got.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Advance {
    /// Paths of the steps that are to be written.
    pub changed: BTreeSet<String>,
    /// What is to be written with them, in order.
    pub said: Vec<Announcement>,
    /// The next moment at which something happens by itself.
    pub wake: Option<Timestamp>,
    /// The run has ended.
    pub verdict: Option<Verdict>,
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

/// Something that has to be under way while the run is in this state.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCall {
    /// Path of the step.
    pub path: String,
    /// Which attempt.
    pub attempt: u32,
    /// What is called.
    pub call: Call,
    /// It has to be begun first: lock, intent, and the step [`super::started`], in one transaction.
    pub begin: bool,
    /// How long it may take, where the step says so.
    pub timeout: Option<Duration>,
}

/// What has to be under way now.
pub fn pending_calls(runbook: &Runbook, state: &RunState, now: Timestamp) -> Vec<PendingCall> {
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
        let id = path.split('[').next().unwrap_or(path);
        found.push(PendingCall {
            path: path.clone(),
            attempt: step.attempt,
            call: call.clone(),
            begin,
            timeout: runbook.step(id).and_then(|step| step.timeout),
        });
    }
    found
}

/// Brings the run as far as it gets now.
pub fn advance(
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

struct Walk<'a> {
    runbook: &'a Runbook,
    vocabulary: &'a Vocabulary,
    state: &'a mut RunState,
    now: Timestamp,
    /// The steps at the end are being done: how the others ended.
    ending: Option<Verdict>,
    done: Advance,
}

impl Walk<'_> {
    fn run(&mut self) {
        if self.state.verdict.is_some() {
            self.done.verdict = self.state.verdict;
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
        self.done.verdict = Some(verdict);
    }

    /// A step failed in a rehearsal at which a run would have stopped.
    fn would_stop(&self, steps: &[Step]) -> bool {
        let failed = |id: &str| {
            self.state.steps.iter().any(|(path, step)| {
                step.phase == Phase::Failed && path.split('[').next() == Some(id)
            })
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
                let id = path.split('[').next().unwrap_or(path);
                !at_end.contains(id) && (!step.phase.is_end() || step.is_held())
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
                        Some(condition) => format!("not needed: {}", condition.written),
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

    /// Whether the step's condition holds.
    fn needed(&self, step: &Step, suffix: &str) -> Result<bool, EvalError> {
        match &step.when {
            None => Ok(true),
            Some(condition) => condition.holds(&self.values(suffix)),
        }
    }

    fn for_each(
        &mut self,
        step: &Step,
        list: &crate::template::Condition,
        path: &str,
        suffix: &str,
    ) -> Flow {
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
                Err(why) => self.end_failed(path, why),
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
                    let line = format!("failed at item {} of {count}", n + 1);
                    self.end_failed(path, line);
                    return self.after_end(step, path);
                }
                Flow::Jump(to) => {
                    self.end_failed(path, format!("left at item {} of {count}", n + 1));
                    return Flow::Jump(to);
                }
            }
            results.push(self.iteration(step, &inner));
        }
        let line = format!("{count} item{}", if count == 1 { "" } else { "s" });
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
                self.end(path, Phase::Succeeded, json!({}), String::new());
                Flow::Done
            }
            Flow::Failed => {
                self.end_failed(path, "a step in it failed".into());
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
            Phase::Succeeded | Phase::Skipped => return Flow::Done,
            Phase::Failed => {
                if due {
                    self.change(path, |state| state.until = None);
                }
                return self.after_end(step, path);
            }
            Phase::Pausing if due => self.again(step, path, suffix),
            Phase::Waiting if due => {
                self.end(path, Phase::Succeeded, json!({}), String::new());
            }
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

    /// Begins a step: it is known from now on.
    fn begin(&mut self, path: &str, step: &Step, suffix: &str) {
        let title = title_of(step, &self.values(suffix));
        let state = StepState {
            phase: Phase::Running,
            title: treasury_domain::timeline::cut(&title, 200),
            attempt: 1,
            attempt_base: 0,
            began_at: self.now,
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
        };
        self.state.steps.insert(path.to_owned(), state);
        self.done.changed.insert(path.to_owned());
    }

    /// Does what a step does, as far as it can be done here.
    fn work(&mut self, step: &Step, path: &str, suffix: &str) {
        let values = self.values(suffix);
        let result = self.try_work(step, path, &values);
        if let Err(why) = result {
            if matches!(step.work, Work::Assert { .. }) {
                self.fail(step, path, &why, false);
            } else {
                self.no_value(step, path, &why);
            }
        }
    }

    /// An expression has no value: a failure; in a rehearsal, often for lack of a result that only
    /// a change would give.
    fn no_value(&mut self, step: &Step, path: &str, why: &str) {
        if self.state.start.rehearsal {
            let line = format!("can't be told before it runs: {why}");
            self.end(path, Phase::Skipped, Value::Null, line);
        } else {
            self.fail(step, path, why, false);
        }
    }

    fn try_work(&mut self, step: &Step, path: &str, values: &Values) -> Result<(), String> {
        let told = |error: EvalError| error.to_string();
        let rehearsal = self.state.start.rehearsal;
        match &step.work {
            Work::Use(call) => {
                let with = arguments(&call.with, values).map_err(told)?;
                self.call(step, path, call, with);
            }
            Work::Runbook { name, with } => {
                let with = arguments(with, values).map_err(told)?;
                if rehearsal {
                    let line = format!("would run the runbook {}", name.value);
                    self.end(path, Phase::Succeeded, Value::Null, line);
                } else {
                    let name = format!("runbook {}", name.value);
                    self.change(path, |state| {
                        state.call = Some(Call {
                            name,
                            with,
                            changes: false,
                        });
                    });
                }
            }
            Work::Wait(wait) => {
                let time = match wait {
                    Wait::Fixed(time) => *time,
                    Wait::Computed(template) => computed(template, values)?,
                };
                if rehearsal {
                    let line = format!("would wait {}", duration::text(time));
                    self.end(path, Phase::Succeeded, json!({}), line);
                } else {
                    let until = after(self.now, time);
                    self.change(path, |state| {
                        state.phase = Phase::Waiting;
                        state.until = Some(until);
                        state.line = format!("waits {}", duration::text(time));
                    });
                }
            }
            Work::Ask { text, choices, .. } => {
                let text = text.text(values).map_err(told)?;
                let first = choices.first().map(|c| c.value.clone()).unwrap_or_default();
                self.ask(step, path, text, json!({"answer": first, "by": "nobody"}));
            }
            Work::Approve { text, .. } => {
                let text = text.text(values).map_err(told)?;
                self.ask(step, path, text, json!({"by": []}));
            }
            Work::Manual { text, .. } => {
                let text = text.text(values).map_err(told)?;
                self.ask(step, path, text, json!({"by": "nobody", "note": null}));
            }
            Work::Assert { condition, message } => {
                if condition.holds(values).map_err(told)? {
                    let line = format!("holds: {}", condition.written);
                    self.end(path, Phase::Succeeded, json!({}), line);
                } else {
                    let why = match message {
                        Some(message) => message.text(values).map_err(told)?,
                        None => format!("does not hold: {}", condition.written),
                    };
                    return Err(why);
                }
            }
            Work::Note(text) => {
                let text = text.text(values).map_err(told)?;
                self.end(path, Phase::Succeeded, json!({}), text.clone());
                let path = path.to_owned();
                self.done.said.push(Announcement::Note { path, text });
            }
            Work::Notify(text) => {
                let text = text.text(values).map_err(told)?;
                if rehearsal {
                    self.end(
                        path,
                        Phase::Succeeded,
                        json!({}),
                        format!("would say: {text}"),
                    );
                } else {
                    self.end(path, Phase::Succeeded, json!({}), text.clone());
                    let path = path.to_owned();
                    self.done.said.push(Announcement::Notify { path, text });
                }
            }
            Work::Parallel(_) | Work::Block(_) => {}
        }
        Ok(())
    }

    fn call(&mut self, step: &Step, path: &str, call: &Use, with: Map<String, Value>) {
        let callable = self.vocabulary.callables.get(&call.name.value);
        let changes = callable.is_none_or(|callable| callable.changes);
        if changes && self.state.start.rehearsal {
            let mut line = format!("would call {}", call_text(&call.name.value, &with));
            let needs = callable.map_or(Role::Nobody, |callable| callable.needs);
            if needs > self.state.start.role {
                line.push_str(&format!("; a {needs} would have to agree"));
            }
            self.end(path, Phase::Succeeded, Value::Null, line);
            return;
        }
        let name = call.name.value.clone();
        let until = (!changes).then(|| after(self.now, probe_timeout(step)));
        self.change(path, |state| {
            state.phase = if changes {
                Phase::Scheduled
            } else {
                Phase::Running
            };
            state.until = until;
            state.call = Some(Call {
                name,
                with,
                changes,
            });
        });
    }

    fn ask(&mut self, step: &Step, path: &str, text: String, rehearsed: Value) {
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
        self.done.said.push(Announcement::Step {
            path: path.to_owned(),
        });
    }

    /// The next attempt, or the next call of an `until`.
    fn again(&mut self, step: &Step, path: &str, suffix: &str) {
        self.change(path, |state| {
            state.phase = Phase::Running;
            state.until = None;
            state.attempt += 1;
            if state.approval.is_none() {
                state.votes.clear();
            }
        });
        // A condition that had no value is asked again; one that held, held for good.
        let known = self.state.steps.get(path).is_some_and(|s| s.call.is_some());
        match self.needed(step, suffix) {
            _ if known || step.for_each.is_some() => self.work(step, path, suffix),
            Ok(true) => self.work(step, path, suffix),
            Ok(false) => self.end(path, Phase::Skipped, Value::Null, "not needed".into()),
            Err(error) => self.no_value(step, path, &format!("`when`: {error}")),
        }
    }

    fn fail(&mut self, step: &Step, path: &str, why: &str, retry: bool) {
        let now = self.now;
        let hold = hold(self.state, step, self.ending.is_some());
        let asked = |time: Duration| after(now, time);
        let hold = hold.map(asked);
        let attempt = self
            .state
            .steps
            .get(path)
            .map(|s| (s.attempt, s.attempt_base));
        let pause = attempt
            .filter(|(attempt, base)| retry && attempt - base < step.retry.attempts)
            .map(|(attempt, base)| asked(step.retry.pause(attempt - base)));
        self.change(path, |state| failed(state, why, pause, hold, now));
        self.done.said.push(Announcement::Step {
            path: path.to_owned(),
        });
    }

    fn end_failed(&mut self, path: &str, line: String) {
        let now = self.now;
        self.change(path, |state| failed(state, &line, None, None, now));
    }

    fn end(&mut self, path: &str, phase: Phase, result: Value, line: String) {
        let now = self.now;
        self.change(path, |state| {
            state.phase = phase;
            state.until = None;
            state.ended_at = Some(now);
            (state.result, state.cut) = super::bounded(result);
            state.line = treasury_domain::timeline::cut(&line, 500);
        });
    }

    fn change(&mut self, path: &str, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.state.steps.get_mut(path) {
            change(state);
            self.done.changed.insert(path.to_owned());
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.done.wake = Some(self.done.wake.map_or(at, |other| other.min(at)));
    }

    fn values(&self, suffix: &str) -> Values {
        values(self.runbook, self.state, suffix, self.ending)
    }
}

/// A step's title; what it does where it has none, or where that of a loop speaks of an item that
/// is not known yet.
fn title_of(step: &Step, values: &Values) -> String {
    let own = step
        .title
        .as_ref()
        .and_then(|title| title.text(values).ok());
    own.unwrap_or_else(|| {
        Step {
            title: None,
            ..step.clone()
        }
        .heading()
    })
}

/// The titles of the steps that have not begun, as far as they can be told now, by id.
pub fn titles(runbook: &Runbook, state: &RunState) -> BTreeMap<String, String> {
    let values = values(runbook, state, "", None);
    let all = runbook.all_steps().into_iter();
    all.map(|step| {
        let own = step
            .title
            .as_ref()
            .map(|title| title.text(&values).unwrap_or_else(|_| title.written()));
        (step.id.value.clone(), own.unwrap_or_else(|| step.heading()))
    })
    .collect()
}

/// What expressions see at a place.
pub(super) fn values(
    runbook: &Runbook,
    state: &RunState,
    suffix: &str,
    verdict: Option<Verdict>,
) -> Values {
    let start = &state.start;
    let mut names = Map::new();
    names.insert("params".into(), Value::Object(start.params.clone()));
    names.insert(
        "run".into(),
        json!({"id": state.id, "by": start.by, "started_at": start.at}),
    );
    names.insert(
        "incident".into(),
        match &start.incident {
            Some((id, title)) => json!({"id": id, "title": title}),
            None => Value::Null,
        },
    );
    if let Some(verdict) = verdict {
        names.insert("verdict".into(), verdict.word().into());
    }
    let mut states = BTreeMap::new();
    let mut cut = BTreeSet::new();
    let mut steps = Map::new();
    for (path, step) in &state.steps {
        let (id, own) = match path.find('[') {
            Some(at) => path.split_at(at),
            None => (path.as_str(), ""),
        };
        // A step sees those around it, and those of its own turn of each loop.
        if !suffix.starts_with(own) {
            continue;
        }
        let word = match step.phase {
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
            Phase::Skipped => "skipped",
            _ => continue,
        };
        states.insert(id.to_owned(), word);
        if step.cut.is_some() {
            cut.insert(id.to_owned());
        }
        if step.phase == Phase::Succeeded {
            steps.insert(id.to_owned(), step.result.clone());
        }
    }
    // A step that gave nothing is null, not unknown.
    for step in runbook.all_steps() {
        steps.entry(step.id.value.clone()).or_insert(Value::Null);
    }
    names.insert("steps".into(), Value::Object(steps));
    if let Some((item, index)) = item(state, suffix, runbook) {
        names.insert("item".into(), item);
        names.insert("index".into(), index.into());
    }
    Values { names, states, cut }
}

/// The item of the innermost loop around.
fn item(state: &RunState, suffix: &str, runbook: &Runbook) -> Option<(Value, usize)> {
    let open = suffix.rfind('[')?;
    let index: usize = suffix[open + 1..suffix.len() - 1].parse().ok()?;
    let outer = &suffix[..open];
    // The loop that has begun at the outer place and is not over, or just ends.
    state.steps.iter().find_map(|(path, step)| {
        let id = path.strip_suffix(outer)?;
        let is_loop = runbook.step(id).is_some_and(|step| step.for_each.is_some());
        let open = step.phase == Phase::Running && step.items.is_some();
        (is_loop && open)
            .then(|| step.items.as_ref()?.get(index).cloned())
            .flatten()
            .map(|item| (item, index))
    })
}

fn arguments(
    with: &[(At<String>, At<Shape>)],
    values: &Values,
) -> Result<Map<String, Value>, EvalError> {
    let mut arguments = Map::new();
    for (name, shape) in with {
        arguments.insert(name.value.clone(), shape.value.value(values)?);
    }
    Ok(arguments)
}

/// A duration that an expression gives: milliseconds, or a text such as `10m`.
fn computed(template: &Template, values: &Values) -> Result<Duration, String> {
    match template.value(values).map_err(|error| error.to_string())? {
        Value::Number(ms) => {
            let ms = ms.as_f64().unwrap_or_default();
            if (1.0..=366.0 * 86_400_000.0).contains(&ms) {
                Ok(Duration::from_millis(ms as u64))
            } else {
                Err(format!("can't wait {ms} ms"))
            }
        }
        Value::String(text) => duration::parse(&text).map_err(|error| error.to_string()),
        _ => Err("a duration is needed".into()),
    }
}

fn probe_timeout(step: &Step) -> Duration {
    match &step.work {
        // The time-out of an `until` is for all its calls.
        Work::Use(Use { until: Some(_), .. }) => PROBE_TIMEOUT,
        _ => step.timeout.unwrap_or(PROBE_TIMEOUT),
    }
}

/// How long somebody may decide about a failed step; `None` where nobody is asked.
pub(super) fn hold(state: &RunState, step: &Step, at_end: bool) -> Option<Duration> {
    let asks = step.on_failure == OnFailure::Stop
        && !at_end
        && !state.start.rehearsal
        && state.start.hold_ms > 0
        && state.stop.is_none();
    asks.then(|| Duration::from_millis(state.start.hold_ms))
}

/// A failure: a pause before the next attempt, or the end.
pub(super) fn failed(
    state: &mut StepState,
    why: &str,
    pause: Option<Timestamp>,
    hold: Option<Timestamp>,
    now: Timestamp,
) {
    state.line = treasury_domain::timeline::cut(why, 500);
    if let Some(until) = pause {
        state.phase = Phase::Pausing;
        state.until = Some(until);
    } else {
        state.phase = Phase::Failed;
        state.ended_at = Some(now);
        state.until = hold;
    }
}

/// `service.restart service=api`.
pub(super) fn call_text(name: &str, with: &Map<String, Value>) -> String {
    let mut text = name.to_owned();
    for (key, value) in with {
        text.push_str(&format!(" {key}={}", expr::text_of(value)));
    }
    text
}
