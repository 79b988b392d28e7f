//! The value of an expression, when a run needs it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::check::projects;
use super::functions::{asks_state, function};
use super::{Expr, Kind, Op};
use crate::source::Span;
use treasury_domain::duration;

/// What evaluation may cost; each part and each item counts one.
const FUEL: u32 = 200_000;
/// Most bytes of a text that is made.
pub const MAX_TEXT: usize = 16 * 1024;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// Where in the expression.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}

/// What a run knows when an expression is evaluated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// Names: `params`, `steps`, `item` …
    pub names: Map<String, Value>,
    /// How each step that has ended ended: `succeeded`, `failed`, `skipped`.
    pub states: BTreeMap<String, &'static str>,
    /// The steps whose result was too large and is not whole.
    pub cut: BTreeSet<String>,
}

/// The value of an expression.
pub fn eval(expr: &Expr, values: &Values) -> Result<Value, EvalError> {
    Evaluation {
        values,
        fuel: Cell::new(FUEL),
    }
    .value(expr, &[], false)
}

struct Evaluation<'a> {
    values: &'a Values,
    fuel: Cell<u32>,
}

fn wrong<T>(span: Span, message: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError {
        span,
        message: message.into(),
    })
}

/// For people: what a value is.
fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a record",
    }
}

/// A number as JSON: whole numbers without a point.
fn number(value: f64, span: Span) -> Result<Value, EvalError> {
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Ok(Value::from(value as i64));
    }
    serde_json::Number::from_f64(value).map_or_else(
        || {
            wrong(
                span,
                "the result is not a number (divided by zero, or too large)",
            )
        },
        |number| Ok(Value::Number(number)),
    )
}

/// A value as people read it in a text.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.as_i64().is_none() && number.as_u64().is_none() => {
                // Two digits tell enough of a measurement.
                let text = format!("{float:.2}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            _ => number.to_string(),
        },
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

impl Evaluation<'_> {
    fn burn(&self, amount: usize, span: Span) -> Result<(), EvalError> {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        match self.fuel.get().checked_sub(amount) {
            Some(left) => {
                self.fuel.set(left);
                Ok(())
            }
            None => wrong(
                span,
                "the expression costs too much: it looks at too many items",
            ),
        }
    }

    /// `items`: those of the `[? …]` around, innermost last. `lenient`: null comes through.
    fn value(&self, expr: &Expr, items: &[&Value], lenient: bool) -> Result<Value, EvalError> {
        self.burn(1, expr.span)?;
        match &expr.kind {
            Kind::Null => Ok(Value::Null),
            Kind::Bool(value) => Ok(Value::Bool(*value)),
            Kind::Number(value) => number(*value, expr.span),
            Kind::Text(text) => Ok(Value::String(text.clone())),
            Kind::List(list) => list
                .iter()
                .map(|item| self.value(item, items, lenient))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Kind::Name(name) => {
                let inner = items.iter().rev().find_map(|item| item.get(name));
                match inner.or_else(|| self.values.names.get(name)) {
                    Some(found) => Ok(found.clone()),
                    None => wrong(expr.span, format!("`{name}` is not known here")),
                }
            }
            Kind::Field(of, field, at) => {
                let found = self.value(of, items, lenient)?;
                if projects(of) {
                    return match found {
                        Value::Array(list) => {
                            self.burn(list.len(), *at)?;
                            list.into_iter()
                                .map(|item| Self::field(item, field, *at, true))
                                .collect::<Result<_, _>>()
                                .map(Value::Array)
                        }
                        other => Ok(other),
                    };
                }
                Self::field(found, field, *at, lenient)
            }
            Kind::Index(of, index) => {
                let found = self.value(of, items, lenient)?;
                let index_value = self.value(index, items, false)?;
                match (found, index_value) {
                    (Value::Null, _) if lenient => Ok(Value::Null),
                    (Value::Array(mut list), Value::Number(n)) => {
                        let n = n.as_i64().unwrap_or(i64::MAX);
                        let at = if n < 0 { n + list.len() as i64 } else { n };
                        match usize::try_from(at).ok().filter(|at| *at < list.len()) {
                            Some(at) => Ok(list.swap_remove(at)),
                            None if lenient => Ok(Value::Null),
                            None => wrong(
                                index.span,
                                format!("there is no item {n}: the list has {}", list.len()),
                            ),
                        }
                    }
                    (Value::Object(mut fields), Value::String(name)) => {
                        Ok(fields.remove(&name).unwrap_or(Value::Null))
                    }
                    (other, _) => wrong(
                        of.span,
                        format!("this is {}: it has no such item", what(&other)),
                    ),
                }
            }
            Kind::Each(of) => match self.value(of, items, lenient)? {
                list @ Value::Array(_) => Ok(list),
                Value::Null if lenient => Ok(Value::Null),
                other => wrong(of.span, format!("this is {}, not a list", what(&other))),
            },
            Kind::Where(of, condition) => match self.value(of, items, lenient)? {
                Value::Array(list) => {
                    let mut kept = Vec::new();
                    for item in list {
                        let mut inner = items.to_vec();
                        inner.push(&item);
                        let holds = self.bool(condition, &inner)?;
                        if holds {
                            kept.push(item);
                        }
                    }
                    Ok(Value::Array(kept))
                }
                Value::Null if lenient => Ok(Value::Null),
                other => wrong(of.span, format!("this is {}, not a list", what(&other))),
            },
            Kind::Call(name, arguments) => self.call(name, arguments, items, expr.span),
            Kind::Not(inner) => Ok(Value::Bool(!self.bool(inner, items)?)),
            Kind::Minus(inner) => number(-self.number(inner, items)?, expr.span),
            Kind::Binary(op, left, right) => self.binary(*op, left, right, items, expr.span),
        }
    }

    fn field(of: Value, field: &str, at: Span, lenient: bool) -> Result<Value, EvalError> {
        match of {
            Value::Object(mut fields) => match fields.remove(field) {
                Some(found) => Ok(found),
                None if lenient => Ok(Value::Null),
                None => wrong(at, format!("there is no `{field}` here")),
            },
            Value::Null if lenient => Ok(Value::Null),
            other => wrong(at, format!("this is {}: it has no `{field}`", what(&other))),
        }
    }

    fn bool(&self, expr: &Expr, items: &[&Value]) -> Result<bool, EvalError> {
        match self.value(expr, items, false)? {
            Value::Bool(value) => Ok(value),
            other => wrong(
                expr.span,
                format!("this is {}; true or false is needed", what(&other)),
            ),
        }
    }

    fn number(&self, expr: &Expr, items: &[&Value]) -> Result<f64, EvalError> {
        let found = self.value(expr, items, false)?;
        match found.as_f64() {
            Some(value) => Ok(value),
            None => wrong(
                expr.span,
                format!("this is {}; a number is needed", what(&found)),
            ),
        }
    }

    fn text(&self, expr: &Expr, items: &[&Value]) -> Result<String, EvalError> {
        match self.value(expr, items, false)? {
            Value::String(text) => Ok(text),
            other => wrong(
                expr.span,
                format!("this is {}; a text is needed", what(&other)),
            ),
        }
    }

    fn list(&self, expr: &Expr, items: &[&Value]) -> Result<Vec<Value>, EvalError> {
        match self.value(expr, items, false)? {
            Value::Array(list) => {
                self.burn(list.len(), expr.span)?;
                Ok(list)
            }
            other => wrong(
                expr.span,
                format!("this is {}; a list is needed", what(&other)),
            ),
        }
    }

    fn binary(
        &self,
        op: Op,
        left: &Expr,
        right: &Expr,
        items: &[&Value],
        span: Span,
    ) -> Result<Value, EvalError> {
        match op {
            Op::And => {
                return Ok(Value::Bool(
                    self.bool(left, items)? && self.bool(right, items)?,
                ));
            }
            Op::Or => {
                return Ok(Value::Bool(
                    self.bool(left, items)? || self.bool(right, items)?,
                ));
            }
            Op::Subtract | Op::Multiply | Op::Divide | Op::Rest => {
                let (a, b) = (self.number(left, items)?, self.number(right, items)?);
                let result = match op {
                    Op::Subtract => a - b,
                    Op::Multiply => a * b,
                    Op::Divide => a / b,
                    _ => a % b,
                };
                return number(result, span);
            }
            _ => {}
        }
        let null_asked = left.kind == Kind::Null || right.kind == Kind::Null;
        let a = self.value(left, items, null_asked)?;
        let b = self.value(right, items, null_asked)?;
        let different = || {
            wrong(
                span,
                format!("{} `{}` {}: different types", what(&a), op.sign(), what(&b)),
            )
        };
        match op {
            Op::Equal | Op::Unequal => match same(&a, &b) {
                Some(equal) => Ok(Value::Bool(equal == (op == Op::Equal))),
                None => different(),
            },
            Op::In => match (&a, &b) {
                (_, Value::Array(list)) => {
                    self.burn(list.len(), span)?;
                    let mut found = false;
                    for item in list {
                        match same(&a, item) {
                            Some(equal) => found |= equal,
                            None => return different(),
                        }
                    }
                    Ok(Value::Bool(found))
                }
                (Value::String(part), Value::String(whole)) => {
                    Ok(Value::Bool(whole.contains(part.as_str())))
                }
                _ => different(),
            },
            Op::Add => match (&a, &b) {
                (Value::String(a), Value::String(b)) => {
                    if a.len() + b.len() > MAX_TEXT {
                        return wrong(span, "the text becomes too long");
                    }
                    Ok(Value::String(format!("{a}{b}")))
                }
                _ => match (a.as_f64(), b.as_f64()) {
                    (Some(a), Some(b)) => number(a + b, span),
                    _ => different(),
                },
            },
            _ => {
                let order = match (&a, &b) {
                    (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                    _ => match (a.as_f64(), b.as_f64()) {
                        (Some(a), Some(b)) => a.partial_cmp(&b),
                        _ => None,
                    },
                };
                let Some(order) = order else {
                    return different();
                };
                Ok(Value::Bool(match op {
                    Op::Less => order == Ordering::Less,
                    Op::LessEqual => order != Ordering::Greater,
                    Op::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }))
            }
        }
    }

    fn call(
        &self,
        name: &str,
        arguments: &[Expr],
        items: &[&Value],
        span: Span,
    ) -> Result<Value, EvalError> {
        let Some(known) = function(name) else {
            return wrong(span, format!("there is no function `{name}`"));
        };
        let (least, most) = known.arguments;
        if arguments.len() < least || arguments.len() > most {
            return wrong(span, known.about);
        }
        let first = &arguments[0];
        if asks_state(name) {
            let step = self.text(first, items)?;
            if name == "cut" {
                return Ok(Value::Bool(self.values.cut.contains(&step)));
            }
            let state = self.values.states.get(step.as_str());
            return Ok(Value::Bool(state.is_some_and(|state| *state == name)));
        }
        match name {
            "default" => match self.value(first, items, true)? {
                Value::Null => self.value(&arguments[1], items, false),
                found => Ok(found),
            },
            "text" => Ok(Value::String(text_of(&self.value(first, items, true)?))),
            "abs" => number(self.number(first, items)?.abs(), span),
            "ceil" => number(self.number(first, items)?.ceil(), span),
            "floor" => number(self.number(first, items)?.floor(), span),
            "round" => {
                let digits = match arguments.get(1) {
                    Some(digits) => self.number(digits, items)?.clamp(0.0, 9.0) as i32,
                    None => 0,
                };
                let scale = 10f64.powi(digits);
                number((self.number(first, items)? * scale).round() / scale, span)
            }
            "at_least" => number(
                self.number(first, items)?
                    .max(self.number(&arguments[1], items)?),
                span,
            ),
            "at_most" => number(
                self.number(first, items)?
                    .min(self.number(&arguments[1], items)?),
                span,
            ),
            "bytes" => Ok(Value::String(duration::bytes_text(
                self.number(first, items)?.max(0.0) as u64,
            ))),
            "duration" => {
                let ms = self.number(first, items)?.max(0.0);
                let ms = Duration::from_millis(ms as u64);
                Ok(Value::String(duration::text(ms)))
            }
            "lower" => Ok(Value::String(self.text(first, items)?.to_lowercase())),
            "starts_with" => Ok(Value::Bool(
                self.text(first, items)?
                    .starts_with(&self.text(&arguments[1], items)?),
            )),
            "number" => {
                let text = self.text(first, items)?;
                match text.trim().parse::<f64>() {
                    Ok(value) if value.is_finite() => number(value, span),
                    _ => wrong(
                        first.span,
                        format!(
                            "`{}` is not a number",
                            text.chars().take(40).collect::<String>()
                        ),
                    ),
                }
            }
            "len" => match self.value(first, items, false)? {
                Value::Array(list) => Ok(Value::from(list.len())),
                Value::String(text) => Ok(Value::from(text.chars().count())),
                Value::Object(fields) => Ok(Value::from(fields.len())),
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
        let or_else = || match arguments.get(1) {
            Some(other) => self.value(other, items, false),
            None => Ok(Value::Null),
        };
        match name {
            "any" | "all" => {
                let mut flags = Vec::with_capacity(list.len());
                for item in &list {
                    match item {
                        Value::Bool(flag) => flags.push(*flag),
                        other => {
                            return wrong(
                                first.span,
                                format!("an item is {}; true or false is needed", what(other)),
                            );
                        }
                    }
                }
                let found = if name == "any" {
                    flags.contains(&true)
                } else {
                    !flags.contains(&false)
                };
                Ok(Value::Bool(found))
            }
            "sum" | "max" | "min" | "avg" => {
                let numbers = numbers(&list, first.span)?;
                if name == "sum" {
                    return number(numbers.iter().sum(), span);
                }
                let found = match name {
                    "max" => numbers.iter().copied().reduce(f64::max),
                    "min" => numbers.iter().copied().reduce(f64::min),
                    _ if numbers.is_empty() => None,
                    _ => Some(numbers.iter().sum::<f64>() / numbers.len() as f64),
                };
                found.map_or_else(or_else, |found| number(found, span))
            }
            "first" => list.into_iter().next().map_or_else(or_else, Ok),
            "last" => list.into_iter().next_back().map_or_else(or_else, Ok),
            "join" => {
                let between = self.text(&arguments[1], items)?;
                let mut text = String::new();
                for (n, item) in list.iter().enumerate() {
                    let Value::String(part) = item else {
                        return wrong(
                            first.span,
                            format!("an item is {}; a text is needed", what(item)),
                        );
                    };
                    if n > 0 {
                        text.push_str(&between);
                    }
                    text.push_str(part);
                    if text.len() > MAX_TEXT {
                        return wrong(span, "the text becomes too long");
                    }
                }
                Ok(Value::String(text))
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
                let mut best: Option<(f64, Value)> = None;
                for item in list {
                    let Some(value) = item.get(&field).and_then(Value::as_f64) else {
                        continue;
                    };
                    let better = best.as_ref().is_none_or(|(other, _)| {
                        if name == "max_by" {
                            value > *other
                        } else {
                            value < *other
                        }
                    });
                    if better {
                        best = Some((value, item));
                    }
                }
                Ok(best.map_or(Value::Null, |(_, item)| item))
            }
            _ => wrong(span, format!("there is no function `{name}`")),
        }
    }
}

/// The numbers of a list; null items don't count.
fn numbers(list: &[Value], span: Span) -> Result<Vec<f64>, EvalError> {
    let mut numbers = Vec::with_capacity(list.len());
    for item in list {
        match item.as_f64() {
            Some(value) => numbers.push(value),
            None if item.is_null() => {}
            None => {
                return wrong(
                    span,
                    format!("an item is {}; a number is needed", what(item)),
                );
            }
        }
    }
    Ok(numbers)
}

/// Whether two values are equal; `None` for values of different types. Null equals only null.
fn same(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Null, other) | (other, Value::Null) => Some(other.is_null()),
        (Value::Number(a), Value::Number(b)) => Some(a.as_f64() == b.as_f64()),
        (Value::Bool(_), Value::Bool(_))
        | (Value::String(_), Value::String(_))
        | (Value::Array(_), Value::Array(_))
        | (Value::Object(_), Value::Object(_)) => Some(a == b),
        _ => None,
    }
}
