//! The value of an expression, when a run needs it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Expr, Kind, Op, projects};
use crate::source::Span;

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

pub(super) struct Evaluation<'a> {
    pub(super) values: &'a Values,
    fuel: Cell<u32>,
}

pub(super) fn wrong<T>(span: Span, message: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError {
        span,
        message: message.into(),
    })
}

/// `this is null; a number is needed`.
pub(super) fn unfit(span: Span, subject: &str, found: &Value, wanted: &str) -> EvalError {
    EvalError {
        span,
        message: format!("{subject} is {}; {wanted} is needed", what(found)),
    }
}

/// For people: what a value is.
pub(super) fn what(value: &Value) -> &'static str {
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
pub(super) fn number(value: f64, span: Span) -> Result<Value, EvalError> {
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
    pub(super) fn burn(&self, amount: usize, span: Span) -> Result<(), EvalError> {
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
    pub(super) fn value(
        &self,
        expr: &Expr,
        items: &[&Value],
        lenient: bool,
    ) -> Result<Value, EvalError> {
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
            Kind::Each(of) | Kind::Where(of, _) => {
                let list = match self.value(of, items, lenient)? {
                    Value::Array(list) => list,
                    Value::Null if lenient => return Ok(Value::Null),
                    other => {
                        return wrong(of.span, format!("this is {}, not a list", what(&other)));
                    }
                };
                let Kind::Where(_, condition) = &expr.kind else {
                    return Ok(Value::Array(list));
                };
                let mut kept = Vec::new();
                for item in list {
                    let mut inner = items.to_vec();
                    inner.push(&item);
                    if self.bool(condition, &inner)? {
                        kept.push(item);
                    }
                }
                Ok(Value::Array(kept))
            }
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
        let found = self.value(expr, items, false)?;
        let flag = found.as_bool();
        flag.ok_or_else(|| unfit(expr.span, "this", &found, "true or false"))
    }

    pub(super) fn number(&self, expr: &Expr, items: &[&Value]) -> Result<f64, EvalError> {
        let found = self.value(expr, items, false)?;
        let number = found.as_f64();
        number.ok_or_else(|| unfit(expr.span, "this", &found, "a number"))
    }

    pub(super) fn text(&self, expr: &Expr, items: &[&Value]) -> Result<String, EvalError> {
        match self.value(expr, items, false)? {
            Value::String(text) => Ok(text),
            other => Err(unfit(expr.span, "this", &other, "a text")),
        }
    }

    pub(super) fn list(&self, expr: &Expr, items: &[&Value]) -> Result<Vec<Value>, EvalError> {
        match self.value(expr, items, false)? {
            Value::Array(list) => {
                self.burn(list.len(), expr.span)?;
                Ok(list)
            }
            other => Err(unfit(expr.span, "this", &other, "a list")),
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
            Op::And | Op::Or => {
                // The right side is not looked at where the left one decides.
                let holds = self.bool(left, items)?;
                let open = holds == (op == Op::And);
                return Ok(Value::Bool(if open {
                    self.bool(right, items)?
                } else {
                    holds
                }));
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
