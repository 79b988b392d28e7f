//! Steps in words.

use super::{Known, one_line};
use crate::expr::text_of;
use crate::model::{OnFailure, Step, Wait, Work};
use crate::source::At;
use crate::template::{Shape, Template};
use treasury_domain::{Role, counted, duration};

/// How names and conditions are set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Plain,
    /// As code.
    Markdown,
}

impl Style {
    /// A name, a condition, a value.
    pub(super) fn code(self, text: &str) -> String {
        let text = one_line(text);
        match self {
            Self::Plain => text,
            // More backticks around than there are within.
            Self::Markdown if text.contains('`') => format!("`` {} ``", text.replace("``", "'")),
            Self::Markdown => format!("`{text}`"),
        }
    }
}

/// A step in words, on one line.
pub(super) fn words(step: &Step, style: Style, known: &Known<'_>) -> String {
    let mut text = String::new();
    if let Some(condition) = &step.when {
        text.push_str(&format!("If {}: ", style.code(&condition.written)));
    }
    if let Some(list) = &step.for_each {
        text.push_str(&format!("For each of {}: ", style.code(&list.written)));
    }
    if let Some(title) = &step.title {
        text.push_str(&title.written());
        text.push_str(": ");
    }
    text.push_str(&description(step, style));
    if let Work::Use(call) = &step.work
        && let Some(callable) = known.vocabulary.callables.get(&call.name.value)
        && callable.needs > Role::Responder
    {
        text.push_str(&format!("; a {} has to agree", callable.needs));
    }
    if step.retry.attempts > 1 {
        text.push_str(&format!(
            "; up to {} attempts, {} apart{}",
            step.retry.attempts,
            duration::text(step.retry.delay),
            if step.retry.backoff > 1.0 {
                " and ever longer"
            } else {
                ""
            }
        ));
    }
    if let Some(timeout) = step.timeout {
        text.push_str(&format!("; within {}", duration::text(timeout)));
    }
    match &step.on_failure {
        OnFailure::Stop => {}
        OnFailure::Continue => text.push_str("; goes on if it fails"),
        OnFailure::Goto(to) => {
            let number = known.numbers.get(&to.value).unwrap_or(&to.value);
            text.push_str(&format!("; if it fails, goes on at {number}"));
        }
    }
    if style == Style::Markdown && gives(step) {
        let name = style.code(&format!("steps.{}", step.id.value));
        text.push_str(&format!(" → {name}"));
    }
    one_line(&text)
}

/// A step in a few words, as it is read on a phone: without conditions and parameters.
pub(super) fn brief(step: &Step, known: &Known<'_>) -> String {
    let mut text = match &step.title {
        Some(title) => title.named(),
        None => untitled(step, known),
    };
    let callable = match &step.work {
        Work::Use(call) => known.vocabulary.callables.get(&call.name.value),
        _ => None,
    };
    let mut notes = Vec::new();
    if step.when.is_some() {
        notes.push("if needed".to_owned());
    }
    if step.for_each.is_some() {
        notes.push("for each".to_owned());
    }
    match &step.work {
        Work::Approve {
            by, count, other, ..
        } => {
            let other = if *other {
                " other than who started it"
            } else {
                ""
            };
            let who = match count {
                1 => format!("a {by}{other} approves"),
                _ => format!("{}{other} approve", counted(count, by.as_str())),
            };
            notes.push(who);
        }
        Work::Ask { by, .. } => notes.push(format!("a {by} answers")),
        Work::Manual { by, .. } => notes.push(format!("by hand, a {by} says when it is done")),
        Work::Use(_) if callable.is_some_and(|one| one.changes) => {
            notes.push("a change".to_owned());
        }
        _ => {}
    }
    if let Some(callable) = callable.filter(|one| one.needs > Role::Responder) {
        notes.push(format!("a {} has to agree", callable.needs));
    }
    if !notes.is_empty() {
        text.push_str(&format!(" ({})", notes.join("; ")));
    }
    one_line(&text)
}

fn untitled(step: &Step, known: &Known<'_>) -> String {
    match &step.work {
        Work::Use(call) => match known.vocabulary.callables.get(&call.name.value) {
            Some(callable) if !callable.summary.is_empty() => callable.summary.clone(),
            _ => call.name.value.clone(),
        },
        Work::Runbook { name, .. } => format!("The runbook {}", name.value),
        Work::Wait(Wait::Fixed(time)) => format!("Wait {}", duration::text(*time)),
        Work::Wait(Wait::Computed(time)) => format!("Wait {}", time.named()),
        Work::Approve { text, .. } | Work::Ask { text, .. } | Work::Manual { text, .. } => {
            text.named()
        }
        Work::Assert { message, .. } => match message {
            Some(message) => format!("Make sure; else: {}", message.named()),
            None => "Make sure that it is as it should be".to_owned(),
        },
        Work::Note(text) => format!("Note on the timeline: {}", text.named()),
        Work::Notify(text) => format!("Say: {}", text.named()),
        Work::Parallel(_) => "In parallel:".to_owned(),
        Work::Block(_) => "One after another:".to_owned(),
    }
}

/// What a step does, without when and how often.
pub(super) fn description(step: &Step, style: Style) -> String {
    match &step.work {
        Work::Use(call) => {
            let mut text = called(&style.code(&call.name.value), &call.with, style);
            if let Some(until) = &call.until {
                text.push_str(&format!(
                    ", again every {} until {}",
                    duration::text(until.every),
                    style.code(&until.condition.written)
                ));
            }
            text
        }
        Work::Runbook { name, with } => {
            called(&format!("runbook {}", style.code(&name.value)), with, style)
        }
        Work::Wait(Wait::Fixed(time)) => format!("wait {}", duration::text(*time)),
        Work::Wait(Wait::Computed(time)) => format!("wait {}", style.code(&time.written())),
        Work::Approve {
            text,
            by,
            count,
            other,
        } => {
            let other = if *other {
                " other than who started it"
            } else {
                ""
            };
            let who = match count {
                1 => format!("a {by}{other} has"),
                _ => format!("{}{other} have", counted(count, by.as_str())),
            };
            format!("{who} to approve: {}", text.written())
        }
        Work::Ask { text, choices, by } => {
            let all: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
            format!("ask a {by}: {} ({})", text.written(), all.join(" / "))
        }
        Work::Manual { text, by } => format!("by hand ({by}): {}", text.written()),
        Work::Assert { condition, message } => {
            let message = message.as_ref().map(Template::written);
            // `assert: false` is how a runbook gives up.
            match (condition.written.as_str(), message) {
                ("false", Some(message)) => format!("give up: {message}"),
                ("false", None) => "give up".to_owned(),
                (written, Some(message)) => {
                    format!(
                        "make sure that {}; otherwise: {message}",
                        style.code(written)
                    )
                }
                (written, None) => format!("make sure that {}", style.code(written)),
            }
        }
        Work::Note(text) => format!("note: {}", text.written()),
        Work::Notify(text) => format!("say: {}", text.written()),
        Work::Parallel(_) => "at the same time".to_owned(),
        Work::Block(_) => "these steps".to_owned(),
    }
}

/// A call with its parameters.
fn called(name: &str, with: &[(At<String>, At<Shape>)], style: Style) -> String {
    let mut text = name.to_owned();
    for (n, (name, shape)) in with.iter().enumerate() {
        let value = written(&shape.value);
        match style {
            Style::Plain => text.push_str(&format!(" {}={value}", name.value)),
            Style::Markdown => {
                let before = if n == 0 { " with" } else { "," };
                text.push_str(&format!("{before} {} {}", name.value, style.code(&value)));
            }
        }
    }
    text
}

/// A value as it is written.
fn written(shape: &Shape) -> String {
    match shape {
        Shape::Fixed(value) => text_of(value),
        Shape::Text(template) => template.written(),
        Shape::List(items) => {
            let all: Vec<String> = items.iter().map(|item| written(&item.value)).collect();
            format!("[{}]", all.join(", "))
        }
        Shape::Record(fields) => {
            let all: Vec<String> = fields
                .iter()
                .map(|(name, field)| format!("{}: {}", name.value, written(&field.value)))
                .collect();
            format!("{{{}}}", all.join(", "))
        }
    }
}

/// Conditions may speak of its result, by the name that somebody gave it.
fn gives(step: &Step) -> bool {
    let named = step.id.span != step.span;
    let result = matches!(
        step.work,
        Work::Use(_)
            | Work::Ask { .. }
            | Work::Approve { .. }
            | Work::Manual { .. }
            | Work::Runbook { .. }
    );
    named && (result || step.for_each.is_some())
}
