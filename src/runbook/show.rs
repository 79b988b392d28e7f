//! A runbook as people read it.

use super::model::{OnFailure, Runbook, Step, Trigger, Use, Work};
use crate::domain::duration;

/// A procedure that a person can follow without the bot.
pub fn markdown(runbook: &Runbook) -> String {
    let mut text = format!("# {}\n\n", runbook.title);
    if !runbook.summary.is_empty() {
        text.push_str(&format!("{}\n\n", runbook.summary.trim()));
    }
    for trigger in &runbook.triggers {
        text.push_str(&match trigger {
            Trigger::Alert(labels) => {
                let all: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("- Offered for alerts with `{}`\n", all.join("`, `"))
            }
            Trigger::Keyword(word) => format!("- Offered for incidents about “{word}”\n"),
        });
    }
    if !runbook.triggers.is_empty() {
        text.push('\n');
    }
    if !runbook.params.is_empty() {
        text.push_str("| Parameter | Takes | Default | For |\n|---|---|---|---|\n");
        for param in &runbook.params {
            let default = param.default.as_ref().map(super::expr::text_of);
            let default = default.unwrap_or_else(|| {
                let word = if param.optional {
                    "none"
                } else {
                    "has to be given"
                };
                word.to_owned()
            });
            text.push_str(&format!(
                "| `{}` | {} | {default} | {} |\n",
                param.name.value,
                param.kind.word(),
                param.summary.replace('|', "\\|")
            ));
        }
        text.push('\n');
    }
    text.push_str("## Steps\n\n");
    numbered(&runbook.steps, 0, &mut text);
    if !runbook.finally.is_empty() {
        text.push_str("\n## At the end in any case\n\n");
        numbered(&runbook.finally, 0, &mut text);
    }
    text
}

fn numbered(steps: &[Step], depth: usize, text: &mut String) {
    for (n, step) in steps.iter().enumerate() {
        let line = words(step).replace('\n', " ");
        text.push_str(&format!("{}{}. {line}\n", "   ".repeat(depth), n + 1));
        numbered(step.inner(), depth + 1, text);
    }
}

/// A Mermaid flow chart.
pub fn mermaid(runbook: &Runbook) -> String {
    let mut text = "flowchart TD\n  begin([begin])\n".to_owned();
    let mut last = vec!["begin".to_owned()];
    chain(&runbook.steps, &mut last, &mut text);
    chain(&runbook.finally, &mut last, &mut text);
    text.push_str("  finish([end])\n");
    for from in last {
        text.push_str(&format!("  {from} --> finish\n"));
    }
    text
}

/// Draws a list; `last` are the boxes that lead to what follows.
fn chain(steps: &[Step], last: &mut Vec<String>, text: &mut String) {
    for step in steps {
        let id = format!("s_{}", step.id.value);
        if step.inner().is_empty() {
            let (open, close) = match &step.work {
                Work::Approve { .. } | Work::Ask { .. } => ("{{", "}}"),
                Work::Manual { .. } => ("[/", "/]"),
                _ => ("[", "]"),
            };
            text.push_str(&format!(
                "  {id}{open}\"{}\"{close}\n",
                safe(&step.heading())
            ));
        }
        let enter = if let Some(when) = &step.when {
            let ask = format!("{id}_if");
            text.push_str(&format!("  {ask}{{\"{}?\"}}\n", safe(&when.written)));
            join(last, &ask, text);
            let arrow = format!("  {ask} -->|yes| ");
            if step.inner().is_empty() {
                text.push_str(&format!("{arrow}{id}\n"));
                *last = vec![id.clone(), ask.clone()];
            } else {
                *last = vec![ask.clone()];
            }
            Some(ask)
        } else {
            if step.inner().is_empty() {
                join(last, &id, text);
                *last = vec![id.clone()];
            }
            None
        };
        match &step.work {
            Work::Parallel(inner) => {
                let from = last.clone();
                let mut ends = Vec::new();
                text.push_str(&format!("  subgraph {id}[\"{}\"]\n", safe(&step.heading())));
                for one in inner {
                    let mut own = from.clone();
                    chain(std::slice::from_ref(one), &mut own, text);
                    ends.extend(own);
                }
                text.push_str("  end\n");
                *last = ends;
            }
            Work::Block(inner) => {
                text.push_str(&format!("  subgraph {id}[\"{}\"]\n", safe(&step.heading())));
                chain(inner, last, text);
                text.push_str("  end\n");
            }
            _ => {}
        }
        if let (Some(ask), false) = (&enter, step.inner().is_empty()) {
            last.push(ask.clone());
        }
        if let OnFailure::Goto(to) = &step.on_failure {
            text.push_str(&format!("  {id} -.->|fails| s_{}\n", to.value));
        }
        last.sort();
        last.dedup();
    }
}

fn join(last: &[String], to: &str, text: &mut String) {
    for from in last {
        text.push_str(&format!("  {from} --> {to}\n"));
    }
}

/// A label that can't end its box.
fn safe(label: &str) -> String {
    label
        .chars()
        .map(|c| match c {
            '"' => '\'',
            '[' | '{' => '(',
            ']' | '}' => ')',
            '<' => '‹',
            '>' => '›',
            '#' | ';' | '\n' | '\r' => ' ',
            c => c,
        })
        .take(80)
        .collect()
}

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
