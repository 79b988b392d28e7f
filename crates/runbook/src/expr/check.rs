//! Types of expressions, found before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use super::functions::{FUNCTIONS, asks_state, function};
use super::{Expr, Kind, Op, path};
use crate::source::{Finding, Span};
use crate::types::Type;

/// What an expression may speak of.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Names and their types; `steps` is a record of the steps' results.
    pub names: BTreeMap<String, Type>,
    /// Steps that stand later or elsewhere: known, but without a result here.
    pub absent: BTreeSet<String>,
    /// Paths that are known to be there, such as `steps.stats` or `params.image`.
    pub present: BTreeSet<String>,
}

impl Scope {
    /// The same, with what this condition makes sure.
    #[must_use]
    pub fn given(&self, condition: &Expr) -> Self {
        let mut scope = self.clone();
        scope.present.extend(facts(condition).present);
        scope
    }
}

/// What holds when a condition is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Paths that are not null then.
    pub present: BTreeSet<String>,
}

/// What a true condition makes sure: the parts joined by `and` that say that something is there.
pub fn facts(condition: &Expr) -> Facts {
    let mut facts = Facts::default();
    collect(condition, &mut facts);
    facts
}

fn collect(condition: &Expr, facts: &mut Facts) {
    match &condition.kind {
        Kind::Binary(Op::And, left, right) => {
            collect(left, facts);
            collect(right, facts);
        }
        Kind::Binary(Op::Unequal, left, right) => {
            let named = match (&left.kind, &right.kind) {
                (Kind::Null, _) => path(right),
                (_, Kind::Null) => path(left),
                _ => None,
            };
            // A field that is there is in a record that is there.
            let mut name = named.as_deref();
            while let Some(part) = name {
                facts.present.insert(part.to_owned());
                name = part.rsplit_once('.').map(|(of, _)| of);
            }
        }
        Kind::Call(name, arguments) if name == "succeeded" => {
            if let [
                Expr {
                    kind: Kind::Text(step),
                    ..
                },
            ] = arguments.as_slice()
            {
                facts.present.insert(format!("steps.{step}"));
            }
        }
        _ => {}
    }
}

/// The type of an expression. What is wrong in it is added to `findings`, with spans within it.
pub fn check(expr: &Expr, scope: &Scope, findings: &mut Vec<Finding>) -> Type {
    Checker {
        scope,
        findings,
        items: Vec::new(),
        facts: Vec::new(),
    }
    .check(expr, false)
}

struct Checker<'a> {
    scope: &'a Scope,
    findings: &'a mut Vec<Finding>,
    /// Types of the items of the `[? …]` around, innermost last.
    items: Vec<Type>,
    /// What the left sides of `and` around make sure.
    facts: Vec<Facts>,
}

impl Checker<'_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>) -> Type {
        self.findings.push(Finding::error(span, message));
        Type::Any
    }

    /// `lenient`: null may come through, as within `default(…)`.
    fn check(&mut self, expr: &Expr, lenient: bool) -> Type {
        let found = self.kind(expr, lenient);
        match path(expr) {
            Some(name) if self.is_present(&name) => found.present(),
            _ => found,
        }
    }

    fn is_present(&self, name: &str) -> bool {
        self.scope.present.contains(name)
            || self.facts.iter().any(|facts| facts.present.contains(name))
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
        let mut finding = Finding::error(span, format!("`{name}` is not known here"));
        finding = match self.scope.names.get("steps") {
            Some(Type::Record(steps)) if steps.contains_key(name) => {
                finding.help(format!("a step's result is `steps.{name}`"))
            }
            _ => match self.scope.names.get("params") {
                Some(Type::Record(params)) if params.contains_key(name) => {
                    finding.help(format!("a parameter is `params.{name}`"))
                }
                _ => {
                    let near = finding.clone().near(name, known.iter().copied());
                    if near.help.is_some() {
                        near
                    } else {
                        finding.help(format!("known are {}", list(&known)))
                    }
                }
            },
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

    fn field_of(&mut self, of: &Type, field: &str, at: Span) -> Type {
        match of {
            Type::Any => Type::Any,
            Type::Map(value) => (**value).clone().optional(),
            Type::Record(fields) => match fields.get(field) {
                Some(found) => found.clone(),
                None => {
                    let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                    let finding = Finding::error(at, format!("there is no `{field}` here"));
                    let near = finding.clone().near(field, known.iter().copied());
                    self.findings.push(if near.help.is_some() {
                        near
                    } else if known.is_empty() {
                        finding
                    } else {
                        finding.help(format!("there are {}", list(&known)))
                    });
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

    fn maybe_null(&mut self, expr: &Expr) {
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

    fn want(&mut self, wanted: &Type, found: &Type, span: Span) {
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
                self.facts.push(facts(left));
            }
            let found = self.check(right, false);
            self.want(&Type::Bool, &found, right.span);
            if op == Op::And {
                self.facts.pop();
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

    fn different(&mut self, op: Op, left: &Expr, a: &Type, right: &Expr, b: &Type) {
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

    fn call(&mut self, name: &str, arguments: &[Expr], span: Span) -> Type {
        let Some(known) = function(name) else {
            let finding = Finding::error(
                Span::new(span.start, span.start + name.len()),
                format!("there is no function `{name}`"),
            );
            let all: Vec<&str> = FUNCTIONS.iter().map(|known| known.name).collect();
            let near = finding.clone().near(name, all.iter().copied());
            self.findings.push(if near.help.is_some() {
                near
            } else {
                finding.help(format!("there are {}", list(&all)))
            });
            for argument in arguments {
                self.check(argument, true);
            }
            return Type::Any;
        };
        let (least, most) = known.arguments;
        if arguments.len() < least || arguments.len() > most {
            self.findings.push(
                Finding::error(span, format!("`{name}` takes another number of arguments"))
                    .help(known.about),
            );
            return Type::Any;
        }
        if asks_state(name) {
            return self.state(&arguments[0]);
        }
        let lenient = matches!(name, "default" | "text");
        let types: Vec<Type> = arguments
            .iter()
            .enumerate()
            .map(|(n, argument)| self.check(argument, lenient && n == 0))
            .collect();
        self.result(name, arguments, &types)
    }

    fn state(&mut self, argument: &Expr) -> Type {
        let Kind::Text(step) = &argument.kind else {
            self.wrong(argument.span, "the id of a step in quotes is needed");
            return Type::Bool;
        };
        let steps = match self.scope.names.get("steps") {
            Some(Type::Record(steps)) => steps.clone(),
            _ => return Type::Bool,
        };
        if !steps.contains_key(step) {
            let message = if self.scope.absent.contains(step) {
                format!("step `{step}` has no result yet here")
            } else {
                format!("there is no step `{step}`")
            };
            let finding =
                Finding::error(argument.span, message).near(step, steps.keys().map(String::as_str));
            self.findings.push(finding);
        }
        Type::Bool
    }

    fn result(&mut self, name: &str, arguments: &[Expr], types: &[Type]) -> Type {
        let number = |checker: &mut Self, n: usize| {
            if let (Some(found), Some(argument)) = (types.get(n), arguments.get(n)) {
                checker.want(&Type::Number, found, argument.span);
            }
        };
        let text = |checker: &mut Self, n: usize| {
            checker.want(&Type::Text, &types[n], arguments[n].span);
        };
        match name {
            "abs" | "ceil" | "floor" | "round" | "at_least" | "at_most" => {
                for n in 0..types.len() {
                    number(self, n);
                }
                Type::Number
            }
            "bytes" | "duration" => {
                number(self, 0);
                Type::Text
            }
            "lower" => {
                text(self, 0);
                Type::Text
            }
            "starts_with" => {
                text(self, 0);
                text(self, 1);
                Type::Bool
            }
            "number" => {
                text(self, 0);
                Type::Number
            }
            "text" => Type::Text,
            "default" => {
                let (a, b) = (types[0].clone(), types[1].clone());
                if let Type::Null = a {
                    return b;
                }
                let a = a.present();
                if !a.takes(&b) {
                    self.different(Op::Or, &arguments[0], &a, &arguments[1], &b);
                }
                if a == Type::Any { b } else { a }
            }
            "len" => {
                match &types[0] {
                    Type::List(_) | Type::Text | Type::Map(_) | Type::Any => {}
                    Type::Optional(_) => self.maybe_null(&arguments[0]),
                    other => {
                        self.wrong(
                            arguments[0].span,
                            format!("this is {other}; a list or a text is needed"),
                        );
                    }
                }
                Type::Number
            }
            "any" | "all" => {
                self.items_of(&arguments[0], &types[0], &Type::Bool);
                Type::Bool
            }
            "sum" => {
                self.items_of(&arguments[0], &types[0], &Type::Number.optional());
                Type::Number
            }
            "max" | "min" | "avg" => {
                self.items_of(&arguments[0], &types[0], &Type::Number.optional());
                number(self, 1);
                if types.len() == 2 {
                    Type::Number
                } else {
                    Type::Number.optional()
                }
            }
            "join" => {
                self.items_of(&arguments[0], &types[0], &Type::Text);
                text(self, 1);
                Type::Text
            }
            "first" | "last" => {
                let item = self.items_of(&arguments[0], &types[0], &Type::Any);
                match types.get(1) {
                    Some(other) => item.present().join(other.clone()),
                    None => item.optional(),
                }
            }
            "max_by" | "min_by" => {
                let item = self.items_of(&arguments[0], &types[0], &Type::Any);
                match &arguments[1].kind {
                    Kind::Text(field) => {
                        let found = self.field_of(&item, field, arguments[1].span);
                        self.want(&Type::Number.optional(), &found, arguments[1].span);
                    }
                    _ => {
                        self.wrong(arguments[1].span, "the name of a field in quotes is needed");
                    }
                }
                item.optional()
            }
            "unique" => {
                let item = self.items_of(&arguments[0], &types[0], &Type::Any);
                Type::List(Box::new(item))
            }
            _ => Type::Any,
        }
    }

    /// The type of a list's items, which have to be of a type.
    fn items_of(&mut self, argument: &Expr, found: &Type, wanted: &Type) -> Type {
        match found {
            Type::List(item) => {
                if !wanted.takes(item) {
                    self.wrong(
                        argument.span,
                        format!("the items are {item}; {wanted} is needed"),
                    );
                }
                (**item).clone()
            }
            Type::Any => Type::Any,
            Type::Optional(_) => {
                self.maybe_null(argument);
                Type::Any
            }
            other => self.wrong(argument.span, format!("this is {other}; a list is needed")),
        }
    }
}

/// What follows applies to every item.
pub(super) fn projects(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Each(_) | Kind::Where(..) => true,
        Kind::Field(of, ..) => projects(of),
        _ => false,
    }
}

fn null_if(found: Type, null: bool) -> Type {
    if null { found.optional() } else { found }
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
