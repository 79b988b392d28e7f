//! A runbook as people read it.

mod mermaid;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use self::words::{Style, brief, words};
use super::expr::text_of;
use super::model::{Param, Runbook, Step, Trigger};
use super::vocabulary::Vocabulary;
use treasury_domain::duration;

pub use mermaid::mermaid;

/// A procedure that a person can follow without the bot.
pub fn markdown(runbook: &Runbook, vocabulary: &Vocabulary) -> String {
    let mut text = format!("# {}\n\n", one_line(&runbook.title));
    if !runbook.summary.is_empty() {
        text.push_str(&format!("{}\n\n", runbook.summary.trim()));
    }
    for trigger in &runbook.triggers {
        text.push_str(&match trigger {
            Trigger::Alert(labels) => {
                let all: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| Style::Markdown.code(&format!("{name}={value}")))
                    .collect();
                format!("- Offered for alerts with {}\n", all.join(", "))
            }
            Trigger::Keyword(word) => format!("- Offered for incidents about “{word}”\n"),
        });
    }
    text.push_str(&format!(
        "- Ends after {} at the latest\n\n",
        duration::text(runbook.timeout)
    ));
    if !runbook.params.is_empty() {
        text.push_str("| Parameter | Takes | Default | For |\n|---|---|---|---|\n");
        for param in &runbook.params {
            let row = [
                Style::Markdown.code(&param.name.value),
                takes(param),
                default(param),
                param.summary.clone(),
            ];
            let cells = row.map(|cell| one_line(&cell).replace('|', "\\|"));
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        text.push('\n');
    }
    let known = Known::of(runbook, vocabulary);
    text.push_str("## Steps\n\n");
    numbered(&runbook.steps, 0, &known, &mut text);
    if !runbook.finally.is_empty() {
        text.push_str("\n## At the end in any case\n\n");
        numbered(&runbook.finally, 0, &known, &mut text);
    }
    text
}

/// What a parameter takes, with its bounds.
fn takes(param: &Param) -> String {
    let mut text = param.kind.word().to_owned();
    if !param.choices.is_empty() {
        let all: Vec<String> = param.choices.iter().map(|one| human(param, one)).collect();
        text.push_str(&format!(": {}", all.join(", ")));
    }
    let bound = |bound: Option<f64>| bound.map(|number| human(param, &number.into()));
    match (bound(param.min), bound(param.max)) {
        (Some(min), Some(max)) => text.push_str(&format!(", {min} to {max}")),
        (Some(min), None) => text.push_str(&format!(", at least {min}")),
        (None, Some(max)) => text.push_str(&format!(", at most {max}")),
        (None, None) => {}
    }
    text
}

fn default(param: &Param) -> String {
    match &param.default {
        Some(value) => human(param, value),
        None if param.optional => "none".to_owned(),
        None if param.kind.is_found() => "the only one".to_owned(),
        None => "has to be given".to_owned(),
    }
}

/// A parameter's value as it would be typed: `10m`, not 600000.
fn human(param: &Param, value: &serde_json::Value) -> String {
    use super::model::ParamKind;
    match (param.kind, value.as_f64()) {
        (ParamKind::Duration, Some(ms)) if ms >= 0.0 => {
            duration::text(std::time::Duration::from_millis(ms as u64))
        }
        (ParamKind::Bytes, Some(bytes)) if bytes >= 0.0 => duration::bytes_text(bytes as u64),
        _ => text_of(value),
    }
}

fn numbered(steps: &[Step], depth: usize, known: &Known<'_>, text: &mut String) {
    for (n, step) in steps.iter().enumerate() {
        let line = words(step, Style::Markdown, known);
        text.push_str(&format!("{}{}. {line}\n", "   ".repeat(depth), n + 1));
        numbered(step.inner(), depth + 1, known, text);
    }
}

/// The steps in brief with their numbers: `1.`, `2.`, `2.1.` …; each text is one line.
pub fn outline(runbook: &Runbook, vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let known = Known::of(runbook, vocabulary);
    let mut lines = Vec::new();
    list(&runbook.steps, "", &known, &mut lines);
    if !runbook.finally.is_empty() {
        lines.push((String::new(), "At the end in any case:".to_owned()));
        list(&runbook.finally, "", &known, &mut lines);
    }
    lines
}

fn list(steps: &[Step], prefix: &str, known: &Known<'_>, lines: &mut Vec<(String, String)>) {
    for (n, step) in steps.iter().enumerate() {
        let number = format!("{prefix}{}.", n + 1);
        lines.push((number.clone(), brief(step, known)));
        list(step.inner(), &number, known, lines);
    }
}

/// What steps in words need to know beside the step.
struct Known<'a> {
    /// The number of each step by its id, such as `2.1`.
    numbers: BTreeMap<String, String>,
    vocabulary: &'a Vocabulary,
}

impl<'a> Known<'a> {
    fn of(runbook: &Runbook, vocabulary: &'a Vocabulary) -> Self {
        Self {
            numbers: numbers(runbook),
            vocabulary,
        }
    }
}

/// The number of each step by its id, such as `2.1`.
fn numbers(runbook: &Runbook) -> BTreeMap<String, String> {
    fn walk(steps: &[Step], prefix: &str, numbers: &mut BTreeMap<String, String>) {
        for (n, step) in steps.iter().enumerate() {
            let number = format!("{prefix}{}", n + 1);
            walk(step.inner(), &format!("{number}."), numbers);
            numbers.insert(step.id.value.clone(), number);
        }
    }
    let mut numbers = BTreeMap::new();
    walk(&runbook.steps, "", &mut numbers);
    walk(&runbook.finally, "", &mut numbers);
    numbers
}

/// Without line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
