//! What the expressions of a run see, and the titles they make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::state::{Phase, RunState, Verdict};
use crate::expr::Values;
use crate::model::{Runbook, Step};

/// A step's title; what it does where it has none, or where that of a loop speaks of an item that
/// is not known yet.
pub(super) fn title_of(step: &Step, values: &Values) -> String {
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
        names.insert("verdict".into(), verdict.as_str().into());
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
