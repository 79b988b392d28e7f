//! YAML to a [`Runbook`], with every mistake of form told at once.

mod fields;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use self::fields::{Fields, Reader};
use super::model::{DEFAULT_TIMEOUT, Param, ParamKind, Runbook, Trigger};
use super::source::{At, Finding, Source};
use super::types::Type;
use super::yaml::{self, Kind, Node};
use treasury_domain::duration;

/// The keys of a runbook.
pub const KEYS: [&str; 8] = [
    "name", "title", "summary", "triggers", "params", "timeout", "steps", "finally",
];
/// The keys of a parameter.
pub const PARAM_KEYS: [&str; 7] = [
    "type", "summary", "default", "optional", "choices", "min", "max",
];
pub use fields::{NO_SHELL, is_shell};
pub use step::{STEP_KEYS, WORK_KEYS};

/// What of a runbook could not be read, though the rest may speak of it.
#[derive(Debug, Clone, Default)]
pub struct LeftOut {
    /// The ids of steps.
    pub steps: BTreeSet<String>,
    /// Something is wrong with its parameters.
    pub params: bool,
}

/// As much of a runbook as could be read.
#[derive(Debug, Clone)]
pub struct InPart {
    /// Without the steps that have a mistake of form; `None` where there is nothing to go on with.
    pub runbook: Option<Runbook>,
    /// What it lacks.
    pub left_out: LeftOut,
    /// All mistakes of form, in the order of the text.
    pub findings: Vec<Finding>,
}

/// Reads a runbook. The findings are those of form; what its words mean is checked by
/// [`super::check()`].
pub fn read(source: &Source) -> Result<Runbook, Vec<Finding>> {
    let part = read_in_part(source);
    match part.runbook {
        Some(runbook) if part.findings.is_empty() => Ok(runbook),
        _ => Err(part.findings),
    }
}

/// Reads what can be read of a runbook, so that all its mistakes are found at once.
pub fn read_in_part(source: &Source) -> InPart {
    let mut reader = Reader {
        source,
        findings: Vec::new(),
        left_out: LeftOut::default(),
    };
    let runbook = match yaml::read(&source.text) {
        Ok(node) => runbook(&mut reader, &node),
        Err(findings) => {
            reader.findings = findings;
            None
        }
    };
    reader.findings.sort_by_key(|finding| finding.span);
    InPart {
        runbook,
        left_out: reader.left_out,
        findings: reader.findings,
    }
}

fn runbook(reader: &mut Reader<'_>, node: &Node) -> Option<Runbook> {
    let mut fields = reader.map(node, "a runbook")?;
    let name = fields
        .need(reader, "name", "for example `name: memory-leak`")
        .and_then(|node| reader.name(node, "a runbook's name", '-'));
    let title = fields.read(reader, "title", Reader::text);
    let summary = fields.read(reader, "summary", Reader::text);
    let triggers = fields
        .take("triggers")
        .map(|node| triggers(reader, node))
        .unwrap_or_default();
    let before = reader.findings.len();
    let params = fields
        .take("params")
        .map(|node| params(reader, node))
        .unwrap_or_default();
    reader.left_out.params = reader.findings.len() > before;
    let timeout = fields.read(reader, "timeout", Reader::duration);
    let steps = fields
        .need(reader, "steps", "a runbook has at least one step")
        .map(|node| step::steps(reader, node, "`steps`"));
    let finally = fields
        .take("finally")
        .map(|node| step::steps(reader, node, "`finally`"))
        .unwrap_or_default();
    fields.end(reader, &KEYS);
    let name = name.unwrap_or_else(|| At::new("unnamed".to_owned(), node.span));
    let mut steps = steps?;
    let mut finally = finally;
    let mut number = 0;
    step::number(&mut steps, &mut number);
    step::number(&mut finally, &mut number);
    Some(Runbook {
        title: title.map_or_else(|| name.value.clone(), |title| title.value),
        summary: summary.map(|summary| summary.value).unwrap_or_default(),
        name,
        triggers,
        params,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        steps,
        finally,
        source: reader.source.clone(),
    })
}

fn triggers(reader: &mut Reader<'_>, node: &Node) -> Vec<Trigger> {
    let mut found = Vec::new();
    for item in reader.list(node, "`triggers`") {
        let Some(mut fields) = reader.map(item, "a trigger") else {
            continue;
        };
        let alert = fields.take("alert");
        let keyword = fields.take("keyword");
        match (alert, keyword) {
            (Some(alert), None) => {
                let labels = match &alert.kind {
                    // `alert: HighMemory` means the alert's name.
                    Kind::Scalar(_) => reader
                        .text(alert, "`alert`")
                        .map(|name| vec![("alertname".to_owned(), name.value)]),
                    Kind::Map(pairs) => Some(
                        pairs
                            .iter()
                            .filter_map(|(key, value)| {
                                let value = reader.text(value, "a label")?;
                                Some((key.value.clone(), value.value))
                            })
                            .collect(),
                    ),
                    Kind::List(_) => {
                        reader.refuse(alert.span, "`alert` is an alert's name or a map of labels")
                    }
                };
                found.extend(labels.map(Trigger::Alert));
            }
            (None, Some(keyword)) => {
                let word = reader.text(keyword, "`keyword`");
                found.extend(word.map(|word| Trigger::Keyword(word.value.to_lowercase())));
            }
            _ => reader.error(item.span, "a trigger has either `alert` or `keyword`"),
        }
        fields.end(reader, &["alert", "keyword"]);
    }
    found
}

fn params(reader: &mut Reader<'_>, node: &Node) -> Vec<Param> {
    let Kind::Map(pairs) = &node.kind else {
        reader.error(
            node.span,
            format!("`params` is a map of names; this is {}", node.what()),
        );
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, value) in pairs {
        let name = Node {
            kind: Kind::Scalar(yaml::Scalar {
                text: key.value.clone(),
                plain: false,
            }),
            span: key.span,
        };
        let Some(name) = reader.name(&name, "a parameter's name", '_') else {
            continue;
        };
        let Some(mut fields) = reader.map(value, "a parameter") else {
            continue;
        };
        let kind = kind(reader, &mut fields);
        let summary = fields.read(reader, "summary", Reader::text);
        let optional = fields
            .read(reader, "optional", Reader::flag)
            .unwrap_or(false);
        let default = fields.take("default");
        let default = default.and_then(|node| param_value(reader, node, kind));
        let choices = match fields.take("choices") {
            Some(node) => reader
                .list(node, "`choices`")
                .iter()
                .filter_map(|node| param_value(reader, node, kind))
                .collect(),
            None => Vec::new(),
        };
        let numeric = kind.value_type() == Type::Number;
        let mut bound = |reader: &mut Reader<'_>, key: &str| {
            let node = fields.take(key)?;
            if !numeric {
                reader.error(
                    node.span,
                    format!("`{key}` is for numbers; this parameter is {}", kind.word()),
                );
                return None;
            }
            param_value(reader, node, kind)?.as_f64()
        };
        let min = bound(reader, "min");
        let max = bound(reader, "max");
        fields.end(reader, &PARAM_KEYS);
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            reader.error(
                name.span,
                format!("`{}`: `min` is more than `max`", name.value),
            );
        }
        let param = Param {
            name,
            kind,
            summary: summary.map(|summary| summary.value).unwrap_or_default(),
            default,
            optional,
            choices,
            min,
            max,
        };
        if let Some(value) = &param.default
            && let Err(why) = allowed(&param, value)
        {
            reader.error(
                param.name.span,
                format!("the default of `{}`: {why}", param.name.value),
            );
        }
        found.push(param);
    }
    found
}

fn kind(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> ParamKind {
    let words = ParamKind::WORDS.map(|(word, _)| word);
    let help = format!("one of {}", words.join(", "));
    let Some(node) = fields.need(reader, "type", &help) else {
        return ParamKind::Text;
    };
    let Some(text) = reader.text(node, "`type`") else {
        return ParamKind::Text;
    };
    match ParamKind::WORDS
        .iter()
        .find(|(word, _)| *word == text.value)
    {
        Some((_, kind)) => *kind,
        None => {
            let finding = Finding::error(node.span, format!("there is no type `{}`", text.value));
            reader.wrong(finding.near_or(&text.value, words, help));
            ParamKind::Text
        }
    }
}

/// A fixed value of a parameter as it is written in the runbook.
fn param_value(reader: &mut Reader<'_>, node: &Node, kind: ParamKind) -> Option<Value> {
    let Kind::Scalar(scalar) = &node.kind else {
        reader.error(
            node.span,
            format!("a {} is needed; this is {}", kind.word(), node.what()),
        );
        return None;
    };
    let value = scalar.value();
    if value.is_null() {
        reader.error_help(
            node.span,
            format!("a {} is needed; this is null", kind.word()),
            "leave it out; `optional: true` makes a parameter null where none is given",
        );
        return None;
    }
    let parsed = match (&value, kind) {
        (Value::Number(_), ParamKind::Number | ParamKind::Bytes)
        | (Value::Bool(_), ParamKind::Bool) => Ok(value),
        // `default: 3` for a text: what is written is meant.
        (_, kind) if kind.value_type() == Type::Text => Ok(Value::String(scalar.text.clone())),
        (Value::String(text), kind) => parse_param(kind, text),
        _ => Err(format!("`{}` is not a {}", scalar.text, kind.word())),
    };
    match parsed {
        Ok(value) => Some(value),
        Err(why) => reader.refuse(node.span, why),
    }
}

/// A parameter's value as somebody types it: `limit=90`, `wait=10m`, `size=512MiB`.
pub fn parse_param(kind: ParamKind, text: &str) -> Result<Value, String> {
    let short: String = text.chars().take(60).collect();
    match kind {
        ParamKind::Text | ParamKind::Service | ParamKind::Database | ParamKind::Cache => {
            Ok(Value::String(text.to_owned()))
        }
        ParamKind::Number => match text.trim_end_matches('%').parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(whole(number)),
            _ => Err(format!("`{short}` is not a number")),
        },
        ParamKind::Bool => match text {
            "true" | "yes" | "on" => Ok(true.into()),
            "false" | "no" | "off" => Ok(false.into()),
            _ => Err(format!("`{short}` is neither true nor false")),
        },
        ParamKind::Duration => duration::parse(text)
            .map(|found| Value::from(found.as_millis() as u64))
            .map_err(|error| error.to_string()),
        ParamKind::Bytes => match super::expr::parse(text).map(|expr| expr.kind) {
            Ok(super::expr::Kind::Number(number)) => Ok(whole(number)),
            _ => Err(format!("`{short}` is not a size, such as `512MiB`")),
        },
    }
}

fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

/// Whether a parameter may have this value; why not.
pub fn allowed(param: &Param, value: &Value) -> Result<(), String> {
    if value.is_null() && (param.optional || param.kind.is_found()) {
        return Ok(());
    }
    let wanted = param.kind.value_type();
    if !wanted.takes(&Type::of(value)) {
        return Err(format!("{wanted} is needed"));
    }
    if !param.choices.is_empty() && !param.choices.contains(value) {
        let all: Vec<String> = param.choices.iter().map(super::expr::text_of).collect();
        return Err(format!("it is one of {}", all.join(", ")));
    }
    if let Some(number) = value.as_f64() {
        if let Some(min) = param.min.filter(|min| number < *min) {
            return Err(format!("it is at least {min}"));
        }
        if let Some(max) = param.max.filter(|max| number > *max) {
            return Err(format!("it is at most {max}"));
        }
    }
    Ok(())
}
