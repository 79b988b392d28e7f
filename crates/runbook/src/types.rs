//! The types of values in expressions, read from the JSON Schemas of what gives them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// What a value can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Not known before it is there; checked when it is used.
    Any,
    /// `null`, and nothing else.
    Null,
    /// `true` or `false`.
    Bool,
    /// Any number.
    Number,
    /// A text.
    Text,
    /// A list.
    List(Box<Type>),
    /// Known fields.
    Record(Arc<BTreeMap<String, Type>>),
    /// Any keys, values of one type.
    Map(Box<Type>),
    /// May be `null`.
    Optional(Box<Type>),
}

impl Type {
    /// The type that a JSON Schema (without references) describes.
    pub fn of_schema(schema: &Value) -> Self {
        Self::from_schema(schema, 0)
    }

    fn from_schema(schema: &Value, depth: usize) -> Self {
        // Schemas are our own; the bound only keeps a mistake from becoming endless.
        if depth > 16 {
            return Self::Any;
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(Value::Array(options)) = schema.get(word) {
                return options
                    .iter()
                    .map(|option| Self::from_schema(option, depth + 1))
                    .reduce(Self::join)
                    .unwrap_or(Self::Any);
            }
        }
        if let Some(constant) = schema.get("const") {
            return Self::of(constant);
        }
        match schema.get("type") {
            Some(Value::String(name)) => Self::named(name, schema, depth),
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .map(|name| Self::named(name, schema, depth))
                .reduce(Self::join)
                .unwrap_or(Self::Any),
            _ if schema.get("enum").is_some() => Self::Text,
            _ => Self::Any,
        }
    }

    fn named(name: &str, schema: &Value, depth: usize) -> Self {
        match name {
            "null" => Self::Null,
            "boolean" => Self::Bool,
            "integer" | "number" => Self::Number,
            "string" => Self::Text,
            "array" => Self::List(Box::new(
                schema
                    .get("items")
                    .map_or(Self::Any, |items| Self::from_schema(items, depth + 1)),
            )),
            "object" => match (schema.get("properties"), schema.get("additionalProperties")) {
                (Some(Value::Object(fields)), _) => {
                    let required = schema.get("required").and_then(Value::as_array);
                    let fields = fields.iter().map(|(name, field)| {
                        let field_type = Self::from_schema(field, depth + 1);
                        let sure = required
                            .is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
                        let sure = sure || field.get("default").is_some();
                        (
                            name.clone(),
                            if sure {
                                field_type
                            } else {
                                field_type.optional()
                            },
                        )
                    });
                    Self::Record(Arc::new(fields.collect()))
                }
                (_, Some(values @ Value::Object(_))) => {
                    Self::Map(Box::new(Self::from_schema(values, depth + 1)))
                }
                _ => Self::Any,
            },
            _ => Self::Any,
        }
    }

    /// The type of a value that is there.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(items) => Self::List(Box::new(
                items
                    .iter()
                    .map(Self::of)
                    .reduce(Self::join)
                    .unwrap_or(Self::Any),
            )),
            Value::Object(fields) => Self::Record(Arc::new(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::of(value)))
                    .collect(),
            )),
        }
    }

    /// A record of these known fields.
    pub fn fields<const N: usize>(fields: [(&str, Type); N]) -> Self {
        Self::record(fields.map(|(name, field)| (name.to_owned(), field)))
    }

    /// A record of these fields.
    pub fn record(fields: impl IntoIterator<Item = (String, Type)>) -> Self {
        Self::Record(Arc::new(fields.into_iter().collect()))
    }

    /// The same, or `null`.
    #[must_use]
    pub fn optional(self) -> Self {
        match self {
            Self::Any | Self::Null | Self::Optional(_) => self,
            other => Self::Optional(Box::new(other)),
        }
    }

    /// The same without `null`.
    #[must_use]
    pub fn present(self) -> Self {
        match self {
            Self::Optional(inner) => *inner,
            other => other,
        }
    }

    /// What is either this or that.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        match (self, other) {
            (Self::Null, some) | (some, Self::Null) => some.optional(),
            (Self::Optional(a), b) | (b, Self::Optional(a)) => a.join(b.present()).optional(),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(*b))),
            _ => Self::Any,
        }
    }

    /// A value of the other type can stand where one of this type is wanted.
    pub fn takes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _)
            | (_, Self::Any)
            | (Self::Record(_) | Self::Map(_), Self::Record(_))
            | (Self::Optional(_), Self::Null) => true,
            (Self::Optional(a), Self::Optional(b))
            | (Self::List(a), Self::List(b))
            | (Self::Map(a), Self::Map(b)) => a.takes(b),
            (Self::Optional(a), b) => a.takes(b),
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("something"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("true or false"),
            Self::Number => f.write_str("a number"),
            Self::Text => f.write_str("a text"),
            Self::List(_) => f.write_str("a list"),
            Self::Record(_) | Self::Map(_) => f.write_str("a record"),
            Self::Optional(inner) => write!(f, "{inner} or null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_becomes_a_type() {
        let schema = json!({
            "type": "object",
            "properties": {
                "well": {"type": "boolean"},
                "percent": {"type": ["number", "null"]},
                "names": {"type": "array", "items": {"type": "string"}},
                "state": {"enum": ["up", "down"]},
                "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "absent": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["well", "percent", "names", "state", "maybe", "labels"],
        });
        let Type::Record(fields) = Type::of_schema(&schema) else {
            panic!("a record");
        };
        assert_eq!(fields["well"], Type::Bool);
        assert_eq!(fields["percent"], Type::Number.optional());
        assert_eq!(fields["names"], Type::List(Box::new(Type::Text)));
        assert_eq!(fields["state"], Type::Text);
        assert_eq!(fields["maybe"], Type::Text.optional());
        assert_eq!(fields["absent"], Type::Text.optional());
        assert_eq!(fields["labels"], Type::Map(Box::new(Type::Text)));
    }

    #[test]
    fn what_may_be_null_does_not_go_where_a_value_is_needed() {
        assert!(!Type::Number.takes(&Type::Number.optional()));
        assert!(Type::Number.optional().takes(&Type::Number));
        assert!(Type::Number.optional().takes(&Type::Null));
        assert!(!Type::Number.takes(&Type::Text));
        assert!(Type::Any.takes(&Type::Text));
    }
}
