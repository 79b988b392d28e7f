//! Calls and their parameters.

use serde_json::Value;

use super::{Checker, fixed, order};
use crate::expr::Scope;
use crate::model::{ParamKind, Use};
use crate::read::{NO_SHELL, allowed, is_shell, parse_param};
use crate::source::{At, Finding, Span};
use crate::template::Shape;
use crate::types::Type;

type With = [(At<String>, At<Shape>)];

impl Checker<'_> {
    pub(super) fn used_call(&mut self, call: &Use, scope: &Scope) -> Type {
        let name = &call.name.value;
        let Some(callable) = self.vocabulary.callables.get(name) else {
            self.unknown(&call.name);
            for (_, shape) in &call.with {
                self.shape(&shape.value, scope);
            }
            return Type::Any;
        };
        let properties = callable.params.get("properties");
        let known: Vec<&str> = properties
            .and_then(Value::as_object)
            .map(|fields| fields.keys().map(String::as_str).collect())
            .unwrap_or_default();
        for (key, shape) in &call.with {
            let schema = properties.and_then(|fields| fields.get(&key.value));
            let found = self.shape(&shape.value, scope);
            match schema {
                Some(schema) => self.argument(key, shape, &found, schema),
                None => self.unknown_param(key, name, &known),
            }
        }
        let required = callable.params.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !call.with.iter().any(|(given, _)| given.value == key) {
                self.missing(call.name.span, name, key);
            }
        }
        if let Some(until) = &call.until {
            if callable.changes {
                self.error_help(
                    until.condition.span,
                    format!("`{name}` changes something: it is not called again and again"),
                    "make a second step of it that asks a probe",
                );
            }
            let mut scope = scope.clone();
            scope.names.insert("result".into(), callable.result.clone());
            self.condition(&until.condition, &scope, "`until`");
            if let Some(truth) = order::constant(&until.condition.expr) {
                let often = if truth { "always" } else { "never" };
                self.error_help(
                    until.condition.span,
                    format!("this {often} holds"),
                    "the newest result is `result`",
                );
            }
        }
        callable.result.clone()
    }

    fn unknown(&mut self, name: &At<String>) {
        let finding = Finding::error(
            name.span,
            format!("there is no action or probe `{}`", name.value),
        );
        if is_shell(&name.value) {
            self.wrong(finding.help(NO_SHELL));
            return;
        }
        let known: Vec<&str> = self
            .vocabulary
            .callables
            .keys()
            .map(String::as_str)
            .collect();
        let help = "`treasury-bot probe --list` tells what there is";
        self.wrong(finding.near_or(&name.value, known, help));
    }

    fn unknown_param(&mut self, key: &At<String>, of: &str, known: &[&str]) {
        let finding = Finding::error(key.span, format!("`{of}` has no parameter `{}`", key.value));
        self.wrong(if known.is_empty() {
            finding
        } else {
            let help = format!("it has {}", known.join(", "));
            finding.near_or(&key.value, known.iter().copied(), help)
        });
    }

    fn missing(&mut self, span: Span, of: &str, key: &str) {
        self.error(span, format!("`{of}` needs the parameter `{key}`"));
    }

    /// One parameter of a call against its schema.
    fn argument(&mut self, key: &At<String>, shape: &At<Shape>, found: &Type, schema: &Value) {
        let wanted = Type::of_schema(schema);
        if !wanted.takes(found) {
            let finding = Finding::error(
                shape.span,
                format!("`{}` is {wanted}; this is {found}", key.value),
            );
            let null = matches!(found, Type::Optional(inner) if wanted.takes(inner));
            self.wrong(if null {
                finding.help("write `default(…, value)`, or give the step a `when`")
            } else {
                finding
            });
            return;
        }
        let Some(value) = shape.value.fixed() else {
            return;
        };
        if let Some(why) = fixed::wrong(&value, schema, self.vocabulary.services.as_ref()) {
            let finding = Finding::error(shape.span, format!("`{}`: {why}", key.value));
            let services = self.vocabulary.services.iter().flatten();
            let text = value.as_str().unwrap_or_default();
            self.wrong(finding.near(text, services.map(String::as_str)));
        }
    }

    pub(super) fn called_runbook(&mut self, name: &At<String>, with: &With, scope: &Scope) -> Type {
        let given: Vec<(&At<String>, &At<Shape>, Type)> = with
            .iter()
            .map(|(key, shape)| (key, shape, self.shape(&shape.value, scope)))
            .collect();
        let result = Type::fields([("run", Type::Number), ("verdict", Type::Text)]);
        let Some(signature) = self.vocabulary.runbooks.get(&name.value) else {
            let known = self.vocabulary.runbooks.keys().map(String::as_str);
            let finding =
                Finding::error(name.span, format!("there is no runbook `{}`", name.value));
            let finding = finding.near(&name.value, known);
            self.wrong(finding);
            return result;
        };
        let known: Vec<&str> = signature
            .params
            .iter()
            .map(|param| param.name.value.as_str())
            .collect();
        for (key, shape, found) in given {
            let param = signature
                .params
                .iter()
                .find(|param| param.name.value == key.value);
            let Some(param) = param else {
                self.unknown_param(key, &name.value, &known);
                continue;
            };
            let fixed = shape.value.fixed();
            let human = matches!(param.kind, ParamKind::Duration | ParamKind::Bytes);
            let services = self.vocabulary.services.as_ref();
            let unknown = match (&fixed, services) {
                (Some(Value::String(text)), Some(services))
                    if param.kind == ParamKind::Service && !services.contains(text) =>
                {
                    Some((text.clone(), services))
                }
                _ => None,
            };
            if let Some((text, services)) = unknown {
                let finding = Finding::error(
                    shape.span,
                    format!("`{}`: there is no service `{text}` here", key.value),
                );
                self.wrong(finding.near(&text, services.iter().map(String::as_str)));
                continue;
            }
            let problem = match &fixed {
                Some(Value::String(text)) => parse_param(param.kind, text)
                    .and_then(|value| allowed(param, &value))
                    .err(),
                Some(value) => allowed(param, value).err(),
                None => {
                    let wanted = param.value_type();
                    let fits = wanted.takes(&found) || human && Type::Text.takes(&found);
                    (!fits).then(|| format!("{wanted} is needed; this is {found}"))
                }
            };
            if let Some(why) = problem {
                self.error(shape.span, format!("`{}`: {why}", key.value));
            }
        }
        for param in &signature.params {
            let key = &param.name.value;
            if param.is_needed() && !with.iter().any(|(given, _)| given.value == *key) {
                self.missing(name.span, &name.value, key);
            }
        }
        result
    }

    fn shape(&mut self, shape: &Shape, scope: &Scope) -> Type {
        shape.each(&mut |expr| self.mark(expr));
        shape.check(scope, &mut self.findings)
    }
}
