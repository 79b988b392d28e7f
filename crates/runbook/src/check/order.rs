//! In which order steps may come: jumps, and steps that nothing leads to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Checker, Place};
use crate::expr::{self, Expr, Kind, Values};
use crate::model::{OnFailure, Step, Work};
use crate::source::Finding;
use crate::template::Condition;

/// The jumps of a list.
#[derive(Default)]
pub(super) struct Jumps {
    /// Steps that are gone on at.
    pub(super) targets: BTreeSet<String>,
    /// Steps that may be jumped over.
    pub(super) over: BTreeSet<String>,
}

impl Checker<'_> {
    /// The jumps of a list; wrong ones are told.
    pub(super) fn gotos(&mut self, steps: &[Step], place: &Place) -> Jumps {
        let mut jumps = Jumps::default();
        for (from, step) in steps.iter().enumerate() {
            let OnFailure::Goto(to) = &step.on_failure else {
                continue;
            };
            if place.parallel {
                self.error(
                    to.span,
                    "there is no order between parallel steps to go on in",
                );
                continue;
            }
            if place.is_finally() {
                self.error_help(
                    to.span,
                    "all steps at the end are done, whatever fails",
                    "leave `on_failure` out",
                );
                continue;
            }
            match steps.iter().position(|step| step.id.value == to.value) {
                Some(at) if at > from => {
                    jumps.targets.insert(to.value.clone());
                    jumps
                        .over
                        .extend(steps[from + 1..at].iter().map(|s| s.id.value.clone()));
                }
                Some(_) => self.error_help(
                    to.span,
                    format!(
                        "`{}` stands before this step: that would be a loop",
                        to.value
                    ),
                    "`retry:` tries a step again; `wait: {until: …}` asks again",
                ),
                None if self.left_out.steps.contains(&to.value) => {}
                None => {
                    let known = steps[from + 1..].iter().map(|s| s.id.value.as_str());
                    let finding = Finding::error(
                        to.span,
                        format!("there is no later step `{}` in this list", to.value),
                    );
                    self.wrong(finding.near(&to.value, known));
                }
            }
        }
        jumps
    }

    /// Tells of steps that no way leads to, because the one before them always fails.
    pub(super) fn unreached(&mut self, steps: &[Step], jumps: &Jumps) {
        let mut dead: Option<&Step> = None;
        for step in steps {
            if jumps.targets.contains(&step.id.value) {
                dead = None;
            }
            if let Some(before) = dead.take() {
                self.error(
                    step.span,
                    format!(
                        "this step is never reached: `{}` before it always fails",
                        before.id.value
                    ),
                );
            }
            if always_fails(step) && step.on_failure != OnFailure::Continue {
                dead = Some(step);
            }
        }
    }

    /// Tells of a `when` that decides nothing.
    pub(super) fn decides(&mut self, when: &Condition) {
        match constant(&when.expr) {
            Some(true) => self.warning(when.span, "this always holds: leave it out"),
            Some(false) => self.error(when.span, "this never holds: the step is never reached"),
            None => {}
        }
    }
}

/// The truth of a condition that speaks of nothing that could change.
pub(super) fn constant(condition: &Expr) -> Option<bool> {
    if speaks(condition) {
        return None;
    }
    match expr::eval(condition, &Values::default()) {
        Ok(Value::Bool(truth)) => Some(truth),
        // What is wrong with it is told by its types.
        _ => None,
    }
}

/// It speaks of something that only a run knows.
fn speaks(expr: &Expr) -> bool {
    let itself = match &expr.kind {
        Kind::Name(_) => true,
        Kind::Call(name, _) => matches!(name.as_str(), "succeeded" | "failed" | "skipped" | "cut"),
        _ => false,
    };
    itself || expr.parts().into_iter().any(speaks)
}

/// Once it is begun, it can only fail.
fn always_fails(step: &Step) -> bool {
    // A loop may have no turn.
    if step.when.is_some() || step.for_each.is_some() {
        return false;
    }
    match &step.work {
        Work::Assert { condition, .. } => constant(&condition.expr) == Some(false),
        Work::Parallel(inner) => inner
            .iter()
            .any(|step| always_fails(step) && step.on_failure == OnFailure::Stop),
        Work::Block(inner) => {
            // Jumps may lead around the step that fails.
            let jumps = inner
                .iter()
                .any(|step| matches!(step.on_failure, OnFailure::Goto(_)));
            !jumps
                && inner
                    .iter()
                    .any(|step| always_fails(step) && step.on_failure == OnFailure::Stop)
        }
        _ => false,
    }
}
