//! Fixed values against the JSON Schema of the parameter that they are for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::expr::text_of;
use crate::types::Type;
use treasury_domain::duration;

/// Deepest nesting that is looked at; schemas are our own and shallow.
const MAX_DEPTH: usize = 8;

/// What is wrong with a value, if something is. Services are only looked at where they are known.
pub(super) fn wrong(
    value: &Value,
    schema: &Value,
    services: Option<&BTreeSet<String>>,
) -> Option<String> {
    Look { services }.value(value, schema, 0)
}

struct Look<'s> {
    services: Option<&'s BTreeSet<String>>,
}

impl Look<'_> {
    fn value(&self, value: &Value, schema: &Value, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(options) = schema.get(word).and_then(Value::as_array) {
                return self.any_of(value, options, depth);
            }
        }
        if let Some(constant) = schema.get("const")
            && constant != value
        {
            return Some(format!("it is {}", text_of(constant)));
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array)
            && !words.contains(value)
        {
            let all: Vec<String> = words.iter().map(text_of).collect();
            return Some(format!("it is one of {}", all.join(", ")));
        }
        match value {
            Value::Number(_) => number(value.as_f64()?, schema),
            Value::String(text) => self.text(text, schema),
            Value::Array(items) => {
                if let Some(why) = size(items.len(), schema, "minItems", "maxItems", "items") {
                    return Some(why);
                }
                let inner = schema.get("items")?;
                let mut items = items.iter();
                items.find_map(|item| self.value(item, inner, depth + 1))
            }
            Value::Object(fields) => self.object(fields, schema, depth),
            Value::Null | Value::Bool(_) => None,
        }
    }

    fn object(&self, fields: &Map<String, Value>, schema: &Value, depth: usize) -> Option<String> {
        let known = schema.get("properties").and_then(Value::as_object)?;
        let required = schema.get("required").and_then(Value::as_array);
        let mut required = required.into_iter().flatten().filter_map(Value::as_str);
        if let Some(name) = required.find(|name| !fields.contains_key(*name)) {
            return Some(format!("`{name}` is missing"));
        }
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        fields.iter().find_map(|(name, field)| {
            let found = match known.get(name) {
                Some(inner) => self.typed(field, inner, depth),
                None => closed.then(|| "there is no such field".to_owned()),
            };
            found.map(|why| format!("`{name}`: {why}"))
        })
    }

    /// The type and the value.
    fn typed(&self, value: &Value, schema: &Value, depth: usize) -> Option<String> {
        let (wanted, found) = (Type::of_schema(schema), Type::of(value));
        if !wanted.takes(&found) {
            return Some(format!("it is {wanted}; this is {found}"));
        }
        self.value(value, schema, depth + 1)
    }

    /// One of the options has to fit; otherwise what is wrong with the one of its type.
    fn any_of(&self, value: &Value, options: &[Value], depth: usize) -> Option<String> {
        let found = Type::of(value);
        let mut first = None;
        for option in options
            .iter()
            .filter(|one| Type::of_schema(one).takes(&found))
        {
            first = first.or(Some(self.value(value, option, depth + 1)?));
        }
        first
    }

    fn text(&self, text: &str, schema: &Value) -> Option<String> {
        let length = text.chars().count();
        if let Some(why) = size(length, schema, "minLength", "maxLength", "characters") {
            return Some(why);
        }
        match schema.get("format").and_then(Value::as_str)? {
            "service" => (!self.services?.contains(text))
                .then(|| format!("there is no service `{text}` here")),
            "duration-text" => duration::parse(text).err().map(|error| error.to_string()),
            _ => None,
        }
    }
}

fn number(number: f64, schema: &Value) -> Option<String> {
    let bound = |word: &str| schema.get(word).and_then(Value::as_f64);
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        return Some(format!("it is at least {least}"));
    }
    if let Some(most) = bound("maximum").filter(|most| number > *most) {
        return Some(format!("it is at most {most}"));
    }
    if let Some(least) = bound("exclusiveMinimum").filter(|least| number <= *least) {
        return Some(format!("it is more than {least}"));
    }
    if let Some(most) = bound("exclusiveMaximum").filter(|most| number >= *most) {
        return Some(format!("it is less than {most}"));
    }
    let whole = schema.get("type").is_some_and(|kind| {
        kind == "integer"
            || kind
                .as_array()
                .is_some_and(|all| all.contains(&"integer".into()))
    });
    (whole && number.fract() != 0.0).then(|| "it is a whole number".to_owned())
}

fn size(length: usize, schema: &Value, least: &str, most: &str, what: &str) -> Option<String> {
    let bound = |word: &str| schema.get(word).and_then(Value::as_u64);
    if let Some(least) = bound(least).filter(|least| (length as u64) < *least) {
        return Some(format!("it has at least {least} {what}"));
    }
    let most = bound(most).filter(|most| length as u64 > *most)?;
    Some(format!("it has at most {most} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_told_what_its_schema_does_not_allow() {
        let services: BTreeSet<String> = ["api".to_owned()].into();
        let word = json!({"anyOf": [{"enum": ["hits", "misses"]}, {"type": "null"}]});
        let service = json!({"type": "string", "format": "service"});
        let list = json!({"type": "array", "items": service, "maxItems": 2});
        let record = json!({
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 1}},
            "required": ["n"],
            "additionalProperties": false,
        });
        let since =
            json!({"anyOf": [{"type": "string", "format": "duration-text"}, {"type": "null"}]});
        for (value, schema, told) in [
            (json!("hits"), &word, None),
            (json!(null), &word, None),
            (json!("hist"), &word, Some("it is one of hits, misses")),
            (json!(["api"]), &list, None),
            (
                json!(["api", "apo"]),
                &list,
                Some("there is no service `apo` here"),
            ),
            (
                json!(["api", "api", "api"]),
                &list,
                Some("it has at most 2 items"),
            ),
            (json!({"n": 2}), &record, None),
            (json!({}), &record, Some("`n` is missing")),
            (json!({"n": 0}), &record, Some("`n`: it is at least 1")),
            (
                json!({"n": 1.5}),
                &record,
                Some("`n`: it is a whole number"),
            ),
            (
                json!({"n": "1"}),
                &record,
                Some("`n`: it is a number; this is a text"),
            ),
            (
                json!({"n": 1, "m": 1}),
                &record,
                Some("`m`: there is no such field"),
            ),
            (json!("10m"), &since, None),
            (
                json!("10 minutes"),
                &since,
                Some(
                    "`10 minutes` is not a duration: write a number and a unit, such as `90s`, `10m`, `2h` or `3d`",
                ),
            ),
        ] {
            assert_eq!(
                wrong(&value, schema, Some(&services)).as_deref(),
                told,
                "{value}"
            );
        }
        assert_eq!(wrong(&json!("apo"), &service, None), None, "not known");
    }
}
