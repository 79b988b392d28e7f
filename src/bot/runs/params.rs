//! What a run is started with.

use serde_json::{Map, Value};

use super::about::{About, Which, found};
use crate::bot::{Context, Refusal};
use crate::command::{nearest, words::quote};
use crate::domain::duration;
use crate::domain::timeline::cut;
use crate::runbook::model::{Param, ParamKind, Runbook};
use crate::runbook::read::{allowed, parse_param};

/// Why a run can't begin.
pub(super) enum Unfilled {
    /// A parameter lacks or is wrong: the sentence says it.
    Wrong(String),
    /// There are several, of which one has to be chosen for this parameter.
    Which(String, Which),
}

impl Unfilled {
    /// In one line.
    pub(super) fn line(self) -> String {
        match self {
            Self::Wrong(line) => line,
            Self::Which(key, which) => format!("{key}: {} {}", which.line, which.names.join(", ")),
        }
    }

    /// As a question: one press for each choice, by the sentence that it makes.
    pub(super) fn question(self, runbook: &Runbook, sentence: impl Fn(&str) -> String) -> Refusal {
        match self {
            Self::Which(key, which) if !which.names.is_empty() => {
                let title = format!("{}: {}", runbook.title, which.line);
                let refusal = Refusal::new(title).detail(which.names.join(", "));
                let names = which.names.iter().take(CHOICES);
                names.fold(refusal, |refusal, name| {
                    refusal.suggest(name, sentence(&format!("{key}={}", quote(name))))
                })
            }
            other => {
                let name = &runbook.name.value;
                Refusal::new(other.line())
                    .detail(usage(runbook))
                    .suggest("Show it", format!("runbook show {name}"))
            }
        }
    }
}

/// Most buttons of a question which one is meant.
const CHOICES: usize = 10;

/// The parameters of a run: each as it is given, or what the run is about, or its default.
pub(super) fn fill(
    context: &Context,
    runbook: &Runbook,
    about: &About,
    given: impl Fn(&Param) -> Result<Option<Value>, String>,
) -> Result<Map<String, Value>, Unfilled> {
    let mut params = Map::new();
    for param in &runbook.params {
        let key = &param.name.value;
        let given = given(param).map_err(Unfilled::Wrong)?;
        let told = given.or_else(|| about.service(runbook, param).map(Value::String));
        let mut value = told.or_else(|| param.default.clone()).unwrap_or_default();
        if param.kind.is_found() {
            let found = found(context, param, value.as_str(), about);
            value = found
                .map_err(|which| Unfilled::Which(key.clone(), which))?
                .into();
        } else if value.is_null() && param.is_needed() {
            return Err(Unfilled::Wrong(format!("{key} is missing")));
        }
        let wrong = |why| Unfilled::Wrong(format!("{key}: {why}"));
        allowed(param, &value).map_err(wrong)?;
        params.insert(key.clone(), value);
    }
    Ok(params)
}

/// The parameters as they are typed: `service=api limit=90`. `tail` is what was typed behind them.
pub(super) fn typed(
    context: &Context,
    runbook: &Runbook,
    given: &[String],
    about: &About,
    (verb, tail): (&str, &str),
) -> Result<Map<String, Value>, Refusal> {
    let name = &runbook.name.value;
    let refuse = |text: String| Unfilled::Wrong(text).question(runbook, str::to_owned);
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
    fill(context, runbook, about, |param| {
        Ok(params.get(&param.name.value).cloned())
    })
    .map_err(|unfilled| {
        unfilled.question(runbook, |choice| {
            let key = choice.split('=').next().unwrap_or_default();
            let others = given
                .iter()
                .filter(|word| word.split('=').next() != Some(key));
            let others: String = others.map(|word| format!(" {}", quote(word))).collect();
            format!("{verb} {name}{others} {choice}{tail}")
        })
    })
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
            None if !param.is_needed() => format!(" [{name}=…]"),
            None => format!(" {name}={}", param.kind.word().to_uppercase()),
        });
    }
    text
}
