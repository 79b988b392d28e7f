//! What a run is started with.

use serde_json::{Map, Value};

use crate::bot::{Context, Refusal};
use crate::command::{nearest, words::quote};
use crate::domain::duration;
use crate::domain::timeline::cut;
use crate::runbook::model::{Param, ParamKind, Runbook};
use crate::runbook::read::{allowed, parse_param};

/// The parameters of a run: each as it is given, or its default.
pub(super) fn fill(
    runbook: &Runbook,
    given: impl Fn(&Param) -> Result<Option<Value>, String>,
) -> Result<Map<String, Value>, String> {
    let mut params = Map::new();
    for param in &runbook.params {
        let key = &param.name.value;
        let value = match (given(param)?, &param.default) {
            (Some(value), _) => value,
            (None, Some(default)) => default.clone(),
            (None, None) if param.optional => Value::Null,
            (None, None) => return Err(format!("{key} is missing")),
        };
        allowed(param, &value).map_err(|why| format!("{key}: {why}"))?;
        params.insert(key.clone(), value);
    }
    Ok(params)
}

/// The parameters as they are typed: `service=api limit=90`.
pub(super) fn typed(
    context: &Context,
    runbook: &Runbook,
    given: &[String],
) -> Result<Map<String, Value>, Refusal> {
    let name = &runbook.name.value;
    let refuse = |text: String| {
        Refusal::new(text)
            .detail(usage(runbook))
            .suggest("Show it", format!("runbook show {name}"))
    };
    let mut params = Map::new();
    for word in given {
        let Some((key, value)) = word.split_once('=') else {
            return Err(refuse(format!(
                "Parameters are given as key=value, not as “{}”",
                cut(word, 60)
            )));
        };
        let Some(param) = runbook.params.iter().find(|p| p.name.value == key) else {
            let names = runbook.params.iter().map(|p| p.name.value.as_str());
            let near = nearest(key, names).map(|near| format!(": did you mean {near}?"));
            return Err(refuse(format!(
                "{name} has no parameter “{}”{}",
                cut(key, 60),
                near.unwrap_or_default()
            )));
        };
        let value =
            parse_param(param.kind, value).map_err(|why| refuse(format!("{key}: {why}")))?;
        if param.kind == ParamKind::Service
            && let Some(service) = value.as_str()
        {
            context.catalogue().find(service, |near| {
                format!("runbook run {name} {key}={}", quote(near))
            })?;
        }
        params.insert(key.to_owned(), value);
    }
    fill(runbook, |param| Ok(params.get(&param.name.value).cloned())).map_err(refuse)
}

/// `memory-leak service=SERVICE [limit=90]`.
pub(super) fn usage(runbook: &Runbook) -> String {
    let mut text = runbook.name.value.clone();
    for param in &runbook.params {
        let name = &param.name.value;
        text.push_str(&match &param.default {
            Some(value) => {
                let value = match (param.kind, value.as_u64()) {
                    (ParamKind::Duration, Some(ms)) => {
                        duration::text(std::time::Duration::from_millis(ms)).replace(' ', "")
                    }
                    _ => crate::runbook::expr::text_of(value),
                };
                format!(" [{name}={value}]")
            }
            None if param.optional => format!(" [{name}=…]"),
            None => format!(" {name}={}", param.kind.word().to_uppercase()),
        });
    }
    text
}
