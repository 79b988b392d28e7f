//! Types of calls of functions.

use super::check::{Checker, suggested};
use super::functions::{FUNCTIONS, Function, Gives, Takes, function};
use super::{Expr, Kind, Op};
use crate::source::{Finding, Span};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &str, arguments: &[Expr], span: Span) -> Type {
        let Some(known) = function(name) else {
            let finding = Finding::error(
                Span::new(span.start, span.start + name.len()),
                format!("there is no function `{name}`"),
            );
            let all: Vec<&str> = FUNCTIONS.iter().map(|known| known.name).collect();
            self.findings
                .push(suggested(finding, name, &all, "there are"));
            for argument in arguments {
                self.check(argument, true);
            }
            return Type::Any;
        };
        if !known.takes_count(arguments.len()) {
            self.findings.push(
                Finding::error(span, format!("`{name}` takes another number of arguments"))
                    .help(known.about),
            );
            return Type::Any;
        }
        if known.asks_state() {
            return self.state(&arguments[0]);
        }
        let types: Vec<Type> = arguments
            .iter()
            .zip(known.takes)
            .map(|(argument, takes)| self.check(argument, *takes == Takes::Nullable))
            .collect();
        self.result(known, arguments, &types)
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

    fn result(&mut self, known: &Function, arguments: &[Expr], types: &[Type]) -> Type {
        // The type of the items of the list that comes first.
        let mut item = Type::Any;
        for ((argument, found), takes) in arguments.iter().zip(types).zip(known.takes) {
            let wanted = match takes {
                Takes::Number => {
                    self.want(&Type::Number, found, argument.span);
                    continue;
                }
                Takes::Text => {
                    self.want(&Type::Text, found, argument.span);
                    continue;
                }
                Takes::Field => {
                    self.field_named(argument, &item);
                    continue;
                }
                Takes::Value | Takes::Nullable | Takes::Step => continue,
                Takes::Flags => Type::Bool,
                Takes::Numbers => Type::Number.optional(),
                Takes::Texts => Type::Text,
                Takes::Items => Type::Any,
            };
            item = self.items_of(argument, found, &wanted);
        }
        match (known.gives, known.name) {
            (Gives::Number, name) => {
                if name == "len" {
                    self.has_length(&arguments[0], &types[0]);
                }
                Type::Number
            }
            (Gives::Text, _) => Type::Text,
            (Gives::Bool, _) => Type::Bool,
            (Gives::Own, "max" | "min" | "avg") if types.len() == 2 => Type::Number,
            (Gives::Own, "max" | "min" | "avg") => Type::Number.optional(),
            (Gives::Own, "default") => self.default(arguments, types),
            (Gives::Own, "unique") => Type::List(Box::new(item)),
            // `first`, `last`, `max_by`, `min_by`
            (Gives::Own, _) => match types.get(1) {
                Some(other) if known.least == 1 => item.present().join(other.clone()),
                _ => item.optional(),
            },
        }
    }

    fn default(&mut self, arguments: &[Expr], types: &[Type]) -> Type {
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

    fn has_length(&mut self, argument: &Expr, found: &Type) {
        match found {
            Type::List(_) | Type::Text | Type::Map(_) | Type::Any => {}
            Type::Optional(_) => self.maybe_null(argument),
            other => {
                let message = format!("this is {other}; a list or a text is needed");
                self.wrong(argument.span, message);
            }
        }
    }

    /// A field of the items, which has to be a number.
    fn field_named(&mut self, argument: &Expr, item: &Type) {
        let Kind::Text(field) = &argument.kind else {
            self.wrong(argument.span, "the name of a field in quotes is needed");
            return;
        };
        let found = self.field_of(item, field, argument.span);
        self.want(&Type::Number.optional(), &found, argument.span);
    }

    /// The type of a list's items, which have to be of a type.
    fn items_of(&mut self, argument: &Expr, found: &Type, wanted: &Type) -> Type {
        match found {
            Type::List(item) => {
                if !wanted.takes(item) {
                    let message = format!("the items are {item}; {wanted} is needed");
                    self.wrong(argument.span, message);
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
