//! A runbook as people read it.

use super::model::{OnFailure, Runbook, Step, Use, Work};
use crate::domain::duration;

/// The steps with their numbers: `1.`, `2.`, `2.1.` …
pub fn outline(runbook: &Runbook) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    list(&runbook.steps, "", &mut lines);
    if !runbook.finally.is_empty() {
        lines.push((String::new(), "At the end in any case:".to_owned()));
        list(&runbook.finally, "", &mut lines);
    }
    lines
}

fn list(steps: &[Step], prefix: &str, lines: &mut Vec<(String, String)>) {
    for (n, step) in steps.iter().enumerate() {
        let number = format!("{prefix}{}.", n + 1);
        lines.push((number.clone(), words(step)));
        list(step.inner(), &number, lines);
    }
}

/// A step in words.
fn words(step: &Step) -> String {
    let mut text = String::new();
    if let Some(condition) = &step.when {
        text.push_str(&format!("If {}: ", condition.written));
    }
    if let Some(list) = &step.for_each {
        text.push_str(&format!("For each of {}: ", list.written));
    }
    if let Some(title) = &step.title {
        text.push_str(&title.written());
        text.push_str(": ");
    }
    text.push_str(&match &step.work {
        Work::Use(call) => used(call),
        Work::Approve {
            text,
            by,
            count,
            other,
        } => {
            let who = if *other { ", not who started it" } else { "" };
            format!("approval by {count} {by}{who}: {}", text.written())
        }
        Work::Ask { text, choices, by } => {
            let all: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
            format!("ask a {by}: {} ({})", text.written(), all.join(" / "))
        }
        Work::Manual { text, by } => format!("by hand ({by}): {}", text.written()),
        Work::Assert { condition, .. } => format!("make sure that {}", condition.written),
        Work::Note(text) => format!("note: {}", text.written()),
        Work::Notify(text) => format!("say: {}", text.written()),
        Work::Parallel(_) => "at the same time".to_owned(),
        Work::Block(_) => "these steps".to_owned(),
        Work::Runbook { .. } | Work::Wait(_) => {
            let bare = Step {
                title: None,
                ..step.clone()
            };
            bare.heading()
        }
    });
    if step.retry.attempts > 1 {
        text.push_str(&format!("; up to {} attempts", step.retry.attempts));
    }
    if let Some(timeout) = step.timeout {
        text.push_str(&format!("; within {}", duration::text(timeout)));
    }
    match &step.on_failure {
        OnFailure::Stop => {}
        OnFailure::Continue => text.push_str("; goes on if it fails"),
        OnFailure::Goto(to) => text.push_str(&format!("; goes to {} if it fails", to.value)),
    }
    text
}

fn used(call: &Use) -> String {
    let mut text = call.name.value.clone();
    for (name, shape) in &call.with {
        let value = match (&shape.value, shape.value.fixed()) {
            (_, Some(value)) => super::expr::text_of(&value),
            (super::template::Shape::Text(template), None) => template.written(),
            _ => "…".to_owned(),
        };
        text.push_str(&format!(" {}={value}", name.value));
    }
    if let Some(until) = &call.until {
        text.push_str(&format!(
            ", again every {} until {}",
            duration::text(until.every),
            until.condition.written
        ));
    }
    text
}
