//! Steps.

use std::time::Duration;

use super::fields::{Fields, Reader};
use crate::model::{OnFailure, Retry, Step, Until, Use, Wait, Work};
use crate::source::{At, Span};
use crate::yaml::{Kind, Node};
use treasury_domain::Role;

/// The keys that say what a step does; each step has exactly one of them.
pub const WORK_KEYS: [&str; 11] = [
    "uses", "wait", "ask", "approve", "assert", "note", "notify", "runbook", "manual", "parallel",
    "steps",
];
/// All keys of a step.
#[rustfmt::skip] // in the order of the language's manual, by rows
pub const STEP_KEYS: [&str; 20] = [
    "id", "title", "when", "for_each", "timeout", "retry", "on_failure", "with", "message",
    "uses", "wait", "ask", "approve", "assert", "note", "notify", "runbook", "manual", "parallel",
    "steps",
];

pub(super) fn steps(reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<Step> {
    let items = reader.list(node, what);
    if let (Kind::List(_), true) = (&node.kind, items.is_empty()) {
        reader.error(node.span, format!("{what} is empty"));
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

/// A step, unless it has a mistake of form: then its id is remembered, which others may speak of.
fn step(reader: &mut Reader<'_>, node: &Node) -> Option<Step> {
    let before = reader.findings.len();
    let step = read_step(reader, node);
    // Those within a list are told, and left out, one by one.
    let is_list = |step: &Step| matches!(step.work, Work::Parallel(_) | Work::Block(_));
    let step = step.filter(|step| reader.findings.len() == before || is_list(step));
    if let (None, Kind::Map(pairs)) = (&step, &node.kind)
        && let Some((_, id)) = pairs.iter().find(|(key, _)| key.value == "id")
        && let Kind::Scalar(id) = &id.kind
    {
        reader.left_out.steps.insert(id.text.clone());
    }
    step
}

fn read_step(reader: &mut Reader<'_>, node: &Node) -> Option<Step> {
    let mut fields = reader.map(node, "a step")?;
    // The first line stands for the step.
    let span = fields.keys().next().map_or(node.span, |key| key.span);
    let id = fields.take("id");
    let id = id.and_then(|node| reader.name(node, "a step's id", '_'));
    let title = fields.read(reader, "title", Reader::template);
    let when = fields.read(reader, "when", Reader::condition);
    let for_each = fields.read(reader, "for_each", Reader::condition);
    let timeout = fields.read(reader, "timeout", Reader::duration);
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
        reader.error(span, "the step has two time-outs");
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
            // A key that nobody knows is told, and was meant to do something.
            let is_known = |key: &At<String>| STEP_KEYS.contains(&key.value.as_str());
            if fields.keys().all(is_known) {
                reader.error_help(
                    span,
                    "the step does nothing",
                    format!("it has one of {}", WORK_KEYS.join(", ")),
                );
            }
            // The other keys are looked at all the same.
            fields.take_all(&["with", "message"]);
            return None;
        }
        [_] => {}
        _ if waits => {}
        [first, second, ..] => {
            reader.error_help(
                second.span,
                format!("the step has `{}` already", first.value),
                "make two steps of it",
            );
            fields.take_all(&WORK_KEYS);
            fields.take_all(&["with", "message"]);
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
                Some(node) => until(reader, node).map(|(until, timeout)| (Some(until), timeout))?,
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
            let message = fields.read(reader, "message", Reader::template);
            let condition = condition?;
            Some(timed(Work::Assert { condition, message }))
        }
        "note" => reader.template(node, "`note`").map(Work::Note).map(timed),
        "notify" => {
            let text = reader.template(node, "`notify`")?;
            Some(timed(Work::Notify(text)))
        }
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
    let delay = fields.read(reader, "delay", Reader::duration);
    let backoff = fields.take("backoff").and_then(|node| {
        let factor = reader.number(node, "`backoff`")?;
        if (1.0..=10.0).contains(&factor) {
            return Some(factor);
        }
        reader.refuse(node.span, "`backoff` is a factor from 1 to 10")
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
        let target = fields.read_needed(reader, "goto", "`on_failure: {goto: STEP}`", Reader::text);
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
            reader.error_help(
                node.span,
                format!("`{other}` is not a way to go on"),
                "it is `stop`, `continue` or `{goto: STEP}`, where STEP stands later in the same \
                 list",
            );
            OnFailure::Stop
        }
    }
}

fn wait(reader: &mut Reader<'_>, node: &Node) -> Option<Wait> {
    let node = if let Kind::Map(_) = node.kind {
        let mut fields = reader.map(node, "`wait`")?;
        if let Some(until) = fields.take("until") {
            fields.take_all(&["every", "timeout"]);
            reader.error_help(
                until.span,
                "nothing changes while the step only waits",
                "add `uses:` with the probe to call until it holds; its result is `result`",
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
    let condition = fields.read_needed(
        reader,
        "until",
        "`wait: {until: result.well, every: 10s, timeout: 5m}`",
        Reader::condition,
    );
    let every = fields.read(reader, "every", Reader::duration);
    let timeout = fields.read(reader, "timeout", Reader::duration);
    fields.end(reader, &["until", "every", "timeout"]);
    let until = Until {
        condition: condition?,
        every: every.unwrap_or(Duration::from_secs(10)),
    };
    Some((until, timeout))
}

/// Who may answer: a responder, if it does not say.
fn role(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Role {
    let found = fields.read(reader, "by", |reader, node, what| {
        let text = reader.text(node, what)?;
        let role = Role::parse(&text.value).filter(|role| *role != Role::Nobody);
        if role.is_none() {
            reader.error_help(
                node.span,
                format!("there is no role `{}`", text.value),
                "roles are viewer, responder and commander",
            );
        }
        role
    });
    found.unwrap_or(Role::Responder)
}

fn ask(reader: &mut Reader<'_>, node: &Node) -> Option<Timed> {
    let mut fields = reader.map(node, "`ask`")?;
    let text = fields.read_needed(reader, "text", "the question", Reader::template);
    let choices = fields
        .need(reader, "choices", "the answers to choose from")
        .map(|node| {
            reader
                .list(node, "`choices`")
                .iter()
                .filter_map(|node| reader.text(node, "a choice"))
                .collect::<Vec<_>>()
        });
    let by = role(reader, &mut fields);
    let timeout = fields.read(reader, "timeout", Reader::duration);
    fields.end(reader, &["text", "choices", "by", "timeout"]);
    let choices = choices?;
    if choices.len() < 2 || choices.len() > 5 {
        return reader.refuse(node.span, "a question has two to five choices");
    }
    let text = text?;
    Some((Work::Ask { text, choices, by }, timeout))
}

fn approve(reader: &mut Reader<'_>, node: &Node) -> Option<Timed> {
    let mut fields = reader.map(node, "`approve`")?;
    let text = fields.read_needed(reader, "text", "what is to be approved", Reader::template);
    let by = role(reader, &mut fields);
    let count = fields
        .take("count")
        .and_then(|node| reader.count(node, "`count`", 1, 5))
        .unwrap_or(1);
    let other = fields.read(reader, "other", Reader::flag).unwrap_or(false);
    let timeout = fields.read(reader, "timeout", Reader::duration);
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
    let text = fields.read_needed(reader, "text", "what is to be done", Reader::template);
    let by = role(reader, &mut fields);
    let timeout = fields.read(reader, "timeout", Reader::duration);
    fields.end(reader, &["text", "by", "timeout"]);
    let text = text?;
    Some((Work::Manual { text, by }, timeout))
}
