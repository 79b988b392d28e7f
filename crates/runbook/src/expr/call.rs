//! What functions give.

use std::time::Duration;

use serde_json::Value;
use treasury_domain::duration;

use super::Expr;
use super::eval::{EvalError, Evaluation, MAX_TEXT, number, text_of, unfit, what, wrong};
use super::functions::function;
use crate::source::Span;

impl Evaluation<'_> {
    pub(super) fn call(
        &self,
        name: &str,
        arguments: &[Expr],
        items: &[&Value],
        span: Span,
    ) -> Result<Value, EvalError> {
        let Some(known) = function(name) else {
            return wrong(span, format!("there is no function `{name}`"));
        };
        if !known.takes_count(arguments.len()) {
            return wrong(span, known.about);
        }
        let first = &arguments[0];
        if known.asks_state() {
            let step = self.text(first, items)?;
            return Ok(Value::Bool(if name == "cut" {
                self.values.cut.contains(&step)
            } else {
                self.values.states.get(step.as_str()) == Some(&name)
            }));
        }
        let number_of = |n: usize| self.number(&arguments[n], items);
        let text = |n: usize| self.text(&arguments[n], items);
        match name {
            "default" => match self.value(first, items, true)? {
                Value::Null => self.value(&arguments[1], items, false),
                found => Ok(found),
            },
            "text" => Ok(text_of(&self.value(first, items, true)?).into()),
            "abs" => number(number_of(0)?.abs(), span),
            "ceil" => number(number_of(0)?.ceil(), span),
            "floor" => number(number_of(0)?.floor(), span),
            "round" => {
                let digits = match arguments.get(1) {
                    Some(_) => number_of(1)?.clamp(0.0, 9.0) as i32,
                    None => 0,
                };
                let scale = 10f64.powi(digits);
                number((number_of(0)? * scale).round() / scale, span)
            }
            "at_least" => number(number_of(0)?.max(number_of(1)?), span),
            "at_most" => number(number_of(0)?.min(number_of(1)?), span),
            "bytes" => Ok(duration::bytes_text(number_of(0)?.max(0.0) as u64).into()),
            "duration" => {
                let ms = number_of(0)?.max(0.0) as u64;
                Ok(duration::text(Duration::from_millis(ms)).into())
            }
            "lower" => Ok(text(0)?.to_lowercase().into()),
            "starts_with" => Ok(text(0)?.starts_with(&text(1)?).into()),
            "number" => {
                let text = text(0)?;
                match text.trim().parse::<f64>() {
                    Ok(value) if value.is_finite() => number(value, span),
                    _ => {
                        let shown: String = text.chars().take(40).collect();
                        wrong(first.span, format!("`{shown}` is not a number"))
                    }
                }
            }
            "len" => match self.value(first, items, false)? {
                Value::Array(list) => Ok(list.len().into()),
                Value::String(text) => Ok(text.chars().count().into()),
                Value::Object(fields) => Ok(fields.len().into()),
                other => wrong(
                    first.span,
                    format!("this is {}: it has no length", what(&other)),
                ),
            },
            _ => self.of_list(name, arguments, items, span),
        }
    }

    fn of_list(
        &self,
        name: &str,
        arguments: &[Expr],
        items: &[&Value],
        span: Span,
    ) -> Result<Value, EvalError> {
        let first = &arguments[0];
        let list = self.list(first, items)?;
        let if_empty = || match arguments.get(1) {
            Some(other) => self.value(other, items, false),
            None => Ok(Value::Null),
        };
        match name {
            "any" | "all" => {
                let flags = all(&list, first.span, "true or false", Value::as_bool)?;
                let decides = name == "any";
                Ok((flags.contains(&decides) == decides).into())
            }
            "sum" | "max" | "min" | "avg" => {
                let known = list.iter().filter(|item| !item.is_null());
                let numbers = all(known, first.span, "a number", Value::as_f64)?;
                let sum: f64 = numbers.iter().sum();
                let found = match name {
                    "sum" => Some(sum),
                    "max" => numbers.iter().copied().reduce(f64::max),
                    "min" => numbers.iter().copied().reduce(f64::min),
                    _ => (!numbers.is_empty()).then(|| sum / numbers.len() as f64),
                };
                found.map_or_else(if_empty, |found| number(found, span))
            }
            "first" => list.into_iter().next().map_or_else(if_empty, Ok),
            "last" => list.into_iter().next_back().map_or_else(if_empty, Ok),
            "join" => {
                let between = self.text(&arguments[1], items)?;
                let parts = all(&list, first.span, "a text", Value::as_str)?;
                let bytes: usize = parts.iter().map(|part| part.len() + between.len()).sum();
                if bytes > MAX_TEXT + between.len() {
                    return wrong(span, "the text becomes too long");
                }
                Ok(parts.join(&between).into())
            }
            "unique" => {
                let mut kept: Vec<Value> = Vec::new();
                for item in list {
                    self.burn(kept.len(), span)?;
                    if !kept.contains(&item) {
                        kept.push(item);
                    }
                }
                Ok(Value::Array(kept))
            }
            "max_by" | "min_by" => {
                let field = self.text(&arguments[1], items)?;
                let of = |item: Value| Some((item.get(&field)?.as_f64()?, item));
                let best = list.into_iter().filter_map(of).reduce(|best, one| {
                    let better = if name == "max_by" {
                        one.0 > best.0
                    } else {
                        one.0 < best.0
                    };
                    if better { one } else { best }
                });
                Ok(best.map_or(Value::Null, |(_, item)| item))
            }
            _ => wrong(span, format!("there is no function `{name}`")),
        }
    }
}

/// The items, all of which have to be of a type.
fn all<'v, T>(
    list: impl IntoIterator<Item = &'v Value>,
    span: Span,
    wanted: &str,
    of: fn(&'v Value) -> Option<T>,
) -> Result<Vec<T>, EvalError> {
    let read = |item| of(item).ok_or_else(|| unfit(span, "an item", item, wanted));
    list.into_iter().map(read).collect()
}
