//! What a step does by itself: calls, waits, questions, notes.

use std::time::Duration;

use serde_json::{Map, Value, json};
use treasury_domain::{Role, duration};

use super::state::{Announcement, Call, Phase, after};
use super::walk::Walk;
use crate::expr::{self, EvalError, Values};
use crate::model::{Step, Use, Wait, Work};
use crate::source::At;
use crate::template::{Shape, Template};

/// How long a probe may take if its step does not say.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

impl Walk<'_> {
    /// Does what a step does, as far as it can be done here.
    pub(super) fn work(&mut self, step: &Step, path: &str, suffix: &str) {
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

    pub(super) fn try_work(
        &mut self,
        step: &Step,
        path: &str,
        values: &Values,
    ) -> Result<(), String> {
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
                self.wait(path, time);
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
                    self.succeed(path, condition.shown(values));
                } else {
                    let why = match message {
                        Some(message) => message.text(values).map_err(told)?,
                        None => format!("does not hold: {}", condition.shown(values)),
                    };
                    if !self.state.left_a_change_out(path) {
                        return Err(why);
                    }
                    let line = format!("would check; now: {why}");
                    self.succeed(path, line);
                }
            }
            Work::Note(template) => {
                let text = template.text(values).map_err(told)?;
                if rehearsal {
                    let of_now = self.figures_of_now(path, template);
                    self.succeed(path, format!("would note{of_now}: {text}"));
                } else {
                    self.succeed(path, text.clone());
                    let path = path.to_owned();
                    self.done
                        .announcements
                        .push(Announcement::Note { path, text });
                }
            }
            Work::Notify(template) => {
                let text = template.text(values).map_err(told)?;
                if rehearsal {
                    let of_now = self.figures_of_now(path, template);
                    self.succeed(path, format!("would say{of_now}: {text}"));
                } else {
                    self.succeed(path, text.clone());
                    let path = path.to_owned();
                    self.done
                        .announcements
                        .push(Announcement::Notify { path, text });
                }
            }
            Work::Parallel(_) | Work::Block(_) => {}
        }
        Ok(())
    }

    /// A rehearsal left out the change of which this text tells the results.
    fn figures_of_now(&self, path: &str, text: &Template) -> &'static str {
        if text.tells_results() && self.state.left_a_change_out(path) {
            " (the figures are of now, nothing was changed)"
        } else {
            ""
        }
    }

    fn wait(&mut self, path: &str, time: Duration) {
        let text = duration::text(time);
        if self.state.start.rehearsal {
            return self.succeed(path, format!("would wait {text}"));
        }
        let until = after(self.now, time);
        self.change(path, |state| {
            state.phase = Phase::Waiting;
            state.until = Some(until);
            state.line = format!("waits {text}");
        });
    }

    pub(super) fn call(&mut self, step: &Step, path: &str, call: &Use, with: Map<String, Value>) {
        let callable = self.vocabulary.callables.get(&call.name.value);
        let changes = callable.is_none_or(|callable| callable.changes);
        // A rehearsal asks what a change would come to, as a probe is asked, and has it not done.
        let named = changes && self.state.start.rehearsal;
        let mut line = String::new();
        if named {
            line = format!("would call {}", call_text(&call.name.value, &with));
            let needs = callable.map_or(Role::Nobody, |callable| callable.needs);
            if needs > self.state.start.role {
                line.push_str(&format!("; a {needs} would have to agree"));
            }
        }
        let begun = !changes || named;
        let name = call.name.value.clone();
        let until = begun.then(|| after(self.now, probe_timeout(step)));
        self.change(path, |state| {
            state.phase = if begun {
                Phase::Running
            } else {
                Phase::Scheduled
            };
            state.line = line;
            state.until = until;
            state.call = Some(Call {
                name,
                with,
                changes,
            });
        });
    }

    /// The next attempt, or the next call of an `until`.
    pub(super) fn again(&mut self, step: &Step, path: &str, suffix: &str) {
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

pub(super) fn probe_timeout(step: &Step) -> Duration {
    match &step.work {
        // The time-out of an `until` is for all its calls.
        Work::Use(Use { until: Some(_), .. }) => PROBE_TIMEOUT,
        _ => step.timeout.unwrap_or(PROBE_TIMEOUT),
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
