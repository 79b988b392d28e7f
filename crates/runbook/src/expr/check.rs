//! Types of expressions, found before anything runs.

use std::collections::BTreeSet;

use super::scope::{Scope, collect};
use super::{Expr, Kind, Op, path, projects};
use crate::source::{Finding, Span};
use crate::types::Type;

/// The type of an expression. What is wrong in it is added to `findings`, with spans within it.
pub fn check(expr: &Expr, scope: &Scope, findings: &mut Vec<Finding>) -> Type {
    Checker {
        scope,
        findings,
        items: Vec::new(),
        present: Vec::new(),
    }
    .check(expr, false)
}

pub(super) struct Checker<'a> {
    pub(super) scope: &'a Scope,
    pub(super) findings: &'a mut Vec<Finding>,
    /// Types of the items of the `[? …]` around, innermost last.
    items: Vec<Type>,
    /// What the left sides of `and` around make sure.
    present: Vec<BTreeSet<String>>,
}

impl Checker<'_> {
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>) -> Type {
        self.findings.push(Finding::error(span, message));
        Type::Any
    }

    /// `lenient`: null may come through, as within `default(…)`.
    pub(super) fn check(&mut self, expr: &Expr, lenient: bool) -> Type {
        let found = self.kind(expr, lenient);
        match path(expr) {
            Some(name) if self.is_present(&name) => found.present(),
            _ => found,
        }
    }

    fn is_present(&self, name: &str) -> bool {
        self.scope.present.contains(name) || self.present.iter().any(|paths| paths.contains(name))
    }

    fn kind(&mut self, expr: &Expr, lenient: bool) -> Type {
        match &expr.kind {
            Kind::Null => Type::Null,
            Kind::Bool(_) => Type::Bool,
            Kind::Number(_) => Type::Number,
            Kind::Text(_) => Type::Text,
            Kind::List(items) => Type::List(Box::new(
                items
                    .iter()
                    .map(|item| self.check(item, lenient))
                    .reduce(Type::join)
                    .unwrap_or(Type::Any),
            )),
            Kind::Name(name) => self.name(name, expr.span),
            Kind::Field(of, field, at) => self.field(of, field, *at, lenient),
            Kind::Index(of, index) => {
                let of_type = self.check(of, lenient);
                let index_type = self.check(index, false);
                match self.solid(of_type, of, lenient) {
                    (Type::List(item), null) => {
                        self.want(&Type::Number, &index_type, index.span);
                        // Whether there is such an item shows only when it runs.
                        null_if(*item, null)
                    }
                    (Type::Map(value), null) => {
                        self.want(&Type::Text, &index_type, index.span);
                        null_if(value.optional(), null)
                    }
                    (Type::Any, _) => Type::Any,
                    (other, _) => self.wrong(of.span, format!("this is {other}: it has no items")),
                }
            }
            Kind::Each(of) => {
                let of_type = self.check(of, lenient);
                match self.solid(of_type, of, lenient) {
                    (list @ (Type::List(_) | Type::Any), null) => null_if(list, null),
                    (other, _) => self.wrong(of.span, format!("this is {other}, not a list")),
                }
            }
            Kind::Where(of, condition) => {
                let of_type = self.check(of, lenient);
                let (of_type, null) = self.solid(of_type, of, lenient);
                let item = match &of_type {
                    Type::List(item) => (**item).clone(),
                    Type::Any => Type::Any,
                    other => return self.wrong(of.span, format!("this is {other}, not a list")),
                };
                self.items.push(item);
                let found = self.check(condition, false);
                self.want(&Type::Bool, &found, condition.span);
                self.items.pop();
                null_if(of_type, null)
            }
            Kind::Call(name, arguments) => self.call(name, arguments, expr.span),
            Kind::Not(inner) => {
                let found = self.check(inner, false);
                self.want(&Type::Bool, &found, inner.span);
                Type::Bool
            }
            Kind::Minus(inner) => {
                let found = self.check(inner, false);
                self.want(&Type::Number, &found, inner.span);
                Type::Number
            }
            Kind::Binary(op, left, right) => self.binary(*op, left, right),
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Type {
        for item in self.items.iter().rev() {
            match item {
                Type::Record(fields) => {
                    if let Some(found) = fields.get(name) {
                        return found.clone();
                    }
                }
                Type::Any => return Type::Any,
                _ => {}
            }
        }
        if let Some(found) = self.scope.names.get(name) {
            return found.clone();
        }
        let inner = self.items.last().and_then(|item| match item {
            Type::Record(fields) => Some(fields.keys()),
            _ => None,
        });
        let known: Vec<&str> = inner
            .into_iter()
            .flatten()
            .chain(self.scope.names.keys())
            .map(String::as_str)
            .collect();
        let finding = Finding::error(span, format!("`{name}` is not known here"));
        let is_in = |record: &str| matches!(self.scope.names.get(record), Some(Type::Record(fields)) if fields.contains_key(name));
        let finding = if is_in("steps") {
            finding.help(format!("a step's result is `steps.{name}`"))
        } else if is_in("params") {
            finding.help(format!("a parameter is `params.{name}`"))
        } else {
            suggested(finding, name, &known, "known are")
        };
        self.findings.push(finding);
        Type::Any
    }

    fn field(&mut self, of: &Expr, field: &str, at: Span, lenient: bool) -> Type {
        let is_steps = matches!(&of.kind, Kind::Name(name) if name == "steps");
        if is_steps && self.scope.absent.contains(field) {
            let finding = Finding::error(at, format!("step `{field}` has no result yet here"))
                .help(
                    "a step sees the results of the steps before it in its own and the outer lists",
                );
            self.findings.push(finding);
            return Type::Any;
        }
        let of_type = self.check(of, lenient);
        if projects(of) {
            let (of_type, null) = self.solid(of_type, of, lenient);
            return match of_type {
                Type::List(item) => {
                    let item = self.field_of(&item.present(), field, at);
                    null_if(Type::List(Box::new(item)), null)
                }
                _ => Type::Any,
            };
        }
        let (of_type, null) = self.solid(of_type, of, lenient);
        let found = self.field_of(&of_type, field, at);
        null_if(found, null)
    }

    pub(super) fn field_of(&mut self, of: &Type, field: &str, at: Span) -> Type {
        match of {
            Type::Any => Type::Any,
            Type::Map(value) => (**value).clone().optional(),
            Type::Record(fields) => match fields.get(field) {
                Some(found) => found.clone(),
                None => {
                    let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                    let finding = Finding::error(at, format!("there is no `{field}` here"));
                    self.findings
                        .push(suggested(finding, field, &known, "there are"));
                    Type::Any
                }
            },
            Type::List(_) => {
                let finding = Finding::error(at, format!("this is a list: it has no `{field}`"));
                self.findings.push(finding.help(format!(
                    "`[*].{field}` takes it of every item, `[0].{field}` of the first"
                )));
                Type::Any
            }
            other => self.wrong(at, format!("this is {other}: it has no `{field}`")),
        }
    }

    /// The type without null; and whether null comes through instead of being an error.
    fn solid(&mut self, found: Type, expr: &Expr, lenient: bool) -> (Type, bool) {
        match found {
            Type::Optional(inner) => {
                if !lenient {
                    self.maybe_null(expr);
                }
                (*inner, lenient)
            }
            Type::Null => {
                self.wrong(expr.span, "this is null");
                (Type::Any, false)
            }
            other => (other, false),
        }
    }

    pub(super) fn maybe_null(&mut self, expr: &Expr) {
        let name = path(expr);
        let step = name
            .as_deref()
            .and_then(|name| name.strip_prefix("steps."))
            .filter(|step| !step.contains('.'));
        self.findings.push(match (step, name.as_deref()) {
            (Some(step), _) => {
                Finding::error(expr.span, format!("step `{step}` may have been skipped")).help(
                    format!("ask `succeeded('{step}') and …` first, or write `default(…, value)`"),
                )
            }
            (None, Some(name)) => Finding::error(expr.span, format!("`{name}` may be null")).help(
                format!("write `default({name}, value)`, or ask `{name} != null and …` first"),
            ),
            (None, None) => Finding::error(expr.span, "this may be null")
                .help("write `default(…, value)` around it"),
        });
    }

    pub(super) fn want(&mut self, wanted: &Type, found: &Type, span: Span) {
        if wanted.takes(found) {
            return;
        }
        if let Type::Optional(inner) = found
            && wanted.takes(inner)
        {
            let finding = Finding::error(span, format!("this may be null; {wanted} is needed"));
            self.findings
                .push(finding.help("write `default(…, value)` around it"));
            return;
        }
        self.wrong(span, format!("this is {found}; {wanted} is needed"));
    }

    fn binary(&mut self, op: Op, left: &Expr, right: &Expr) -> Type {
        if matches!(op, Op::And | Op::Or) {
            let found = self.check(left, false);
            self.want(&Type::Bool, &found, left.span);
            if op == Op::And {
                let mut present = BTreeSet::new();
                collect(left, &mut present);
                self.present.push(present);
            }
            let found = self.check(right, false);
            self.want(&Type::Bool, &found, right.span);
            if op == Op::And {
                self.present.pop();
            }
            return Type::Bool;
        }
        let null_asked = matches!(op, Op::Equal | Op::Unequal)
            && (left.kind == Kind::Null || right.kind == Kind::Null);
        let a = self.check(left, null_asked);
        let b = self.check(right, null_asked);
        match op {
            Op::And | Op::Or => Type::Bool,
            Op::Equal | Op::Unequal => {
                let both = (a.clone().present(), b.clone().present());
                if !null_asked && !both.0.takes(&both.1) && !both.1.takes(&both.0) {
                    self.different(op, left, &a, right, &b);
                }
                Type::Bool
            }
            Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
                self.ordered(op, left, &a, right, &b);
                Type::Bool
            }
            Op::In => {
                match (&a, &b) {
                    (_, Type::Any) => {}
                    (_, Type::List(item)) if item.takes(&a) || a.takes(item) => {}
                    (_, Type::List(item)) => {
                        let item = (**item).clone();
                        self.different(op, left, &a, right, &item);
                    }
                    (a, Type::Text) => self.want(&Type::Text, a, left.span),
                    (_, other) => {
                        self.wrong(
                            right.span,
                            format!("this is {other}; a list or a text is needed"),
                        );
                    }
                }
                Type::Bool
            }
            Op::Add => match (&a, &b) {
                (Type::Text, _) | (_, Type::Text) => {
                    self.want(&Type::Text, &a, left.span);
                    self.want(&Type::Text, &b, right.span);
                    Type::Text
                }
                (Type::Any, Type::Any) => Type::Any,
                _ => {
                    self.want(&Type::Number, &a, left.span);
                    self.want(&Type::Number, &b, right.span);
                    Type::Number
                }
            },
            Op::Subtract | Op::Multiply | Op::Divide | Op::Rest => {
                self.want(&Type::Number, &a, left.span);
                self.want(&Type::Number, &b, right.span);
                Type::Number
            }
        }
    }

    fn ordered(&mut self, op: Op, left: &Expr, a: &Type, right: &Expr, b: &Type) {
        for (side, found) in [(left, a), (right, b)] {
            match found {
                Type::Number | Type::Text | Type::Any => {}
                Type::Optional(_) | Type::Null => {
                    self.maybe_null(side);
                    return;
                }
                other => {
                    self.wrong(
                        side.span,
                        format!("this is {other}: it has no order for `{}`", op.sign()),
                    );
                    return;
                }
            }
        }
        if !a.takes(b) {
            self.different(op, left, a, right, b);
        }
    }

    pub(super) fn different(&mut self, op: Op, left: &Expr, a: &Type, right: &Expr, b: &Type) {
        let span = Span::new(left.span.start, right.span.end);
        let finding = Finding::error(span, format!("{a} `{}` {b}: different types", op.sign()));
        let text = matches!(left.kind, Kind::Text(_)) || matches!(right.kind, Kind::Text(_));
        let number = *a == Type::Number || *b == Type::Number;
        self.findings.push(if text && number {
            finding.help("a number is written without quotes")
        } else {
            finding
        });
    }
}

fn null_if(found: Type, null: bool) -> Type {
    if null { found.optional() } else { found }
}

/// Adds the nearest of the known words; where none is near, the known words.
pub(super) fn suggested(finding: Finding, word: &str, known: &[&str], intro: &str) -> Finding {
    let near = finding.near(word, known.iter().copied());
    if near.help.is_some() || known.is_empty() {
        near
    } else {
        near.help(format!("{intro} {}", list(known)))
    }
}

/// `` `a`, `b`, `c` and 7 more``.
fn list(words: &[&str]) -> String {
    const MOST: usize = 12;
    let mut text = words
        .iter()
        .take(MOST)
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if words.len() > MOST {
        text.push_str(&format!(" and {} more", words.len() - MOST));
    }
    text
}
