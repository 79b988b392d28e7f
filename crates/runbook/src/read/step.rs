//! Steps.

use std::time::Duration;

use super::fields::{Fields, Reader};
use crate::model::{OnFailure, Retry, Step, Until, Use, Wait, Work};
use crate::source::{At, Finding, Span};
use crate::yaml::{Kind, Node};
use treasury_domain::Role;

/// The keys that say what a step does; each step has exactly one of them.
pub const WORK_KEYS: [&str; 11] = [
    "uses", "wait", "ask", "approve", "assert", "note", "notify", "runbook", "manual", "parallel",
    "steps",
];
/// All keys of a step.
pub const STEP_KEYS: [&str; 20] = [
    "id",
    "title",
    "when",
    "for_each",
    "timeout",
    "retry",
    "on_failure",
    "with",
    "message",
    "uses",
    "wait",
    "ask",
    "approve",
    "assert",
    "note",
    "notify",
    "runbook",
    "manual",
    "parallel",
    "steps",
];

pub(super) fn steps(reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<Step> {
    let items = reader.list(node, what);
    if let (Kind::List(_), true) = (&node.kind, items.is_empty()) {
        reader.wrong(Finding::error(node.span, format!("{what} is empty")));
    }
    items.iter().filter_map(|item| step(reader, item)).collect()
}

/// Gives the steps without an id one by their number, in the order of the text.
pub(super) fn number(steps: &mut [Step], next: &mut usize) {
    for step in steps {
        *next += 1;
        if step.id.value.is_empty() {
            step.id.value = format!("step_{next}");
        }
        if let Work::Parallel(inner) | Work::Block(inner) = &mut step.work {
            number(inner, next);
        }
    }
}

fn step(reader: &mut Reader<'_>, node: &Node) -> Option<Step> {
    let mut fields = reader.map(node, "a step")?;
    // The first line stands for the step.
    let span = fields.keys().next().map_or(node.span, |key| key.span);
    let id = match fields.take("id") {
        Some(node) => reader.name(node, "a step's id", '_'),
        None => None,
    };
    let title = fields
        .take("title")
        .and_then(|n| reader.template(n, "`title`"));
    let when = fields
        .take("when")
        .and_then(|n| reader.condition(n, "`when`"));
    let for_each = fields
        .take("for_each")
        .and_then(|n| reader.condition(n, "`for_each`"));
    let timeout = fields
        .take("timeout")
        .and_then(|n| reader.duration(n, "`timeout`"));
    let retry = fields
        .take("retry")
        .map_or(Retry::ONCE, |node| retry(reader, node));
    let on_failure = fields
        .take("on_failure")
        .map_or(OnFailure::Stop, |node| on_failure(reader, node));
    let work = work(reader, &mut fields, span);
    fields.end(reader, &STEP_KEYS);
    let (work, own_timeout) = work?;
    if let (Some(_), Some(_)) = (timeout, own_timeout) {
        reader.wrong(Finding::error(span, "the step has two time-outs"));
    }
    Some(Step {
        id: id.unwrap_or_else(|| At::new(String::new(), span)),
        title,
        when,
        for_each,
        timeout: timeout.or(own_timeout),
        retry,
        on_failure,
        work,
        span,
    })
}

/// What a step does, and the time-out that is written there.
type Timed = (Work, Option<Duration>);

fn timed(work: Work) -> Timed {
    (work, None)
}

fn work(reader: &mut Reader<'_>, fields: &mut Fields<'_>, span: Span) -> Option<Timed> {
    let found: Vec<At<String>> = fields
        .keys()
        .filter(|key| WORK_KEYS.contains(&key.value.as_str()))
        .cloned()
        .collect();
    // `uses` with `wait` is one thing: calling until something holds.
    let waits = found.len() == 2
        && found.iter().any(|key| key.value == "uses")
        && found.iter().any(|key| key.value == "wait");
    match found.as_slice() {
        [] => {
            reader.wrong(
                Finding::error(span, "the step does nothing")
                    .help(format!("it has one of {}", WORK_KEYS.join(", "))),
            );
            // The other keys are looked at all the same.
            fields.take("with");
            fields.take("message");
            return None;
        }
        [_] => {}
        _ if waits => {}
        [first, second, ..] => {
            reader.wrong(
                Finding::error(
                    second.span,
                    format!("the step has `{}` already", first.value),
                )
                .help("make two steps of it"),
            );
            for key in WORK_KEYS {
                fields.take(key);
            }
            fields.take("with");
            fields.take("message");
            return None;
        }
    }
    let key = if waits {
        "uses"
    } else {
        found[0].value.as_str()
    };
    let node = fields.take(key)?;
    match key {
        "uses" => {
            let name = reader.text(node, "`uses`");
            let with = reader.with(fields.take("with"));
            let (until, timeout) = match fields.take("wait") {
                Some(node) => {
                    let (until, timeout) = until(reader, node)?;
                    (Some(until), timeout)
                }
                None => (None, None),
            };
            let name = name?;
            Some((Work::Use(Use { name, with, until }), timeout))
        }
        "wait" => wait(reader, node).map(Work::Wait).map(timed),
        "ask" => ask(reader, node),
        "approve" => approve(reader, node),
        "assert" => {
            let condition = reader.condition(node, "`assert`");
            let message = fields
                .take("message")
                .and_then(|node| reader.template(node, "`message`"));
            let condition = condition?;
            Some(timed(Work::Assert { condition, message }))
        }
        "note" => reader.template(node, "`note`").map(Work::Note).map(timed),
        "notify" => reader
            .template(node, "`notify`")
            .map(Work::Notify)
            .map(timed),
        "runbook" => {
            let name = reader.text(node, "`runbook`");
            let with = reader.with(fields.take("with"));
            let name = name?;
            Some(timed(Work::Runbook { name, with }))
        }
        "manual" => manual(reader, node),
        "parallel" => Some(timed(Work::Parallel(steps(reader, node, "`parallel`")))),
        _ => Some(timed(Work::Block(steps(reader, node, "`steps`")))),
    }
}

fn retry(reader: &mut Reader<'_>, node: &Node) -> Retry {
    if matches!(node.kind, Kind::Scalar(_)) {
        // `retry: 3`
        return Retry {
            attempts: reader.count(node, "`retry`", 1, 20).unwrap_or(1),
            ..Retry::ONCE
        };
    }
    let Some(mut fields) = reader.map(node, "`retry`") else {
        return Retry::ONCE;
    };
    let attempts = fields
        .need(reader, "attempts", "how often it is tried in all")
        .and_then(|node| reader.count(node, "`attempts`", 1, 20));
    let delay = fields
        .take("delay")
        .and_then(|node| reader.duration(node, "`delay`"));
    let backoff = fields.take("backoff").and_then(|node| {
        let factor = reader.number(node, "`backoff`")?;
        if (1.0..=10.0).contains(&factor) {
            return Some(factor);
        }
        reader.wrong(Finding::error(
            node.span,
            "`backoff` is a factor from 1 to 10",
        ));
        None
    });
    fields.end(reader, &["attempts", "delay", "backoff"]);
    Retry {
        attempts: attempts.unwrap_or(1),
        delay: delay.unwrap_or(Retry::ONCE.delay),
        backoff: backoff.unwrap_or(Retry::ONCE.backoff),
    }
}

fn on_failure(reader: &mut Reader<'_>, node: &Node) -> OnFailure {
    if let Kind::Map(_) = node.kind {
        let Some(mut fields) = reader.map(node, "`on_failure`") else {
            return OnFailure::Stop;
        };
        let target = fields
            .need(reader, "goto", "`on_failure: {goto: STEP}`")
            .and_then(|node| reader.text(node, "`goto`"));
        fields.end(reader, &["goto"]);
        return target.map_or(OnFailure::Stop, OnFailure::Goto);
    }
    let Some(text) = reader.text(node, "`on_failure`") else {
        return OnFailure::Stop;
    };
    match text.value.as_str() {
        "stop" => OnFailure::Stop,
        "continue" => OnFailure::Continue,
        other => {
            let finding =
                Finding::error(node.span, format!("`{other}` is not a way to go on")).help(
                    "it is `stop`, `continue` or `{goto: STEP}`, where STEP stands later in the same list",
                );
            reader.wrong(finding);
            OnFailure::Stop
        }
    }
}

fn wait(reader: &mut Reader<'_>, node: &Node) -> Option<Wait> {
    let node = if let Kind::Map(_) = node.kind {
        let mut fields = reader.map(node, "`wait`")?;
        if let Some(until) = fields.take("until") {
            fields.take("every");
            fields.take("timeout");
            reader.wrong(
                Finding::error(until.span, "nothing changes while the step only waits").help(
                    "add `uses:` with the probe to call until it holds; its result is `result`",
                ),
            );
            return None;
        }
        let inner = fields.need(reader, "for", "`wait: {for: 2m}`");
        fields.end(reader, &["for", "until", "every", "timeout"]);
        inner?
    } else {
        node
    };
    let template = reader.template(node, "`for`")?;
    match template.fixed() {
        Some(_) => reader.duration(node, "`for`").map(Wait::Fixed),
        None => Some(Wait::Computed(template)),
    }
}

fn until(reader: &mut Reader<'_>, node: &Node) -> Option<(Until, Option<Duration>)> {
    let mut fields = reader.map(node, "`wait`")?;
    let condition = fields
        .need(
            reader,
            "until",
            "`wait: {until: result.well, every: 10s, timeout: 5m}`",
        )
        .and_then(|node| reader.condition(node, "`until`"));
    let every = fields
        .take("every")
        .and_then(|node| reader.duration(node, "`every`"));
    let timeout = fields
        .take("timeout")
        .and_then(|node| reader.duration(node, "`timeout`"));
    fields.end(reader, &["until", "every", "timeout"]);
    let until = Until {
        condition: condition?,
        every: every.unwrap_or(Duration::from_secs(10)),
    };
    Some((until, timeout))
}

fn role(reader: &mut Reader<'_>, node: Option<&Node>, default: Role) -> Role {
    let Some(node) = node else {
        return default;
    };
    let Some(text) = reader.text(node, "`by`") else {
        return default;
    };
    match text.value.as_str() {
        "viewer" => Role::Viewer,
        "responder" => Role::Responder,
        "commander" => Role::Commander,
        other => {
            reader.wrong(
                Finding::error(node.span, format!("there is no role `{other}`"))
                    .help("roles are viewer, responder and commander"),
            );
            default
        }
    }
}

fn inner_timeout(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<Duration> {
    let node = fields.take("timeout")?;
    reader.duration(node, "`timeout`")
}

fn ask(reader: &mut Reader<'_>, node: &Node) -> Option<Timed> {
    let mut fields = reader.map(node, "`ask`")?;
    let text = fields
        .need(reader, "text", "the question")
        .and_then(|node| reader.template(node, "`text`"));
    let choices = fields
        .need(reader, "choices", "the answers to choose from")
        .map(|node| {
            reader
                .list(node, "`choices`")
                .iter()
                .filter_map(|node| reader.text(node, "a choice"))
                .collect::<Vec<_>>()
        });
    let by = role(reader, fields.take("by"), Role::Responder);
    let timeout = inner_timeout(reader, &mut fields);
    fields.end(reader, &["text", "choices", "by", "timeout"]);
    let choices = choices?;
    if choices.len() < 2 || choices.len() > 5 {
        reader.wrong(Finding::error(
            node.span,
            "a question has two to five choices",
        ));
        return None;
    }
    let text = text?;
    Some((Work::Ask { text, choices, by }, timeout))
}

fn approve(reader: &mut Reader<'_>, node: &Node) -> Option<Timed> {
    let mut fields = reader.map(node, "`approve`")?;
    let text = fields
        .need(reader, "text", "what is to be approved")
        .and_then(|node| reader.template(node, "`text`"));
    let by = role(reader, fields.take("by"), Role::Responder);
    let count = fields
        .take("count")
        .and_then(|node| reader.count(node, "`count`", 1, 5))
        .unwrap_or(1);
    let other = fields
        .take("other")
        .and_then(|node| reader.flag(node, "`other`"))
        .unwrap_or(false);
    let timeout = inner_timeout(reader, &mut fields);
    fields.end(reader, &["text", "by", "count", "other", "timeout"]);
    let work = Work::Approve {
        text: text?,
        by,
        count,
        other,
    };
    Some((work, timeout))
}

fn manual(reader: &mut Reader<'_>, node: &Node) -> Option<Timed> {
    if let Kind::Scalar(_) = node.kind {
        let text = reader.template(node, "`manual`")?;
        let by = Role::Responder;
        return Some(timed(Work::Manual { text, by }));
    }
    let mut fields = reader.map(node, "`manual`")?;
    let text = fields
        .need(reader, "text", "what is to be done")
        .and_then(|node| reader.template(node, "`text`"));
    let by = role(reader, fields.take("by"), Role::Responder);
    let timeout = inner_timeout(reader, &mut fields);
    fields.end(reader, &["text", "by", "timeout"]);
    let text = text?;
    Some((Work::Manual { text, by }, timeout))
}
