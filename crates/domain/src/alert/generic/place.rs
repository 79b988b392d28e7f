//! Where a text is found in a JSON body.

use std::fmt;

use serde_json::Value;

use super::super::Malformed;

/// A JSON Pointer (RFC 6901) such as `/data/issue/title`, or a text with such pointers in braces:
/// `{/AlarmName} in {/Region}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Pointer(String),
}

/// Places that are tried in turn; the first that is there counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(Vec<Place>);

impl Place {
    /// Reads a place.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed::text(text, what);
        let mut pieces = Vec::new();
        if text.starts_with('/') {
            pieces.push(Piece::Pointer(text.to_owned()));
        } else {
            let mut rest = text;
            while let Some((before, after)) = rest.split_once('{') {
                let (pointer, after) = after
                    .split_once('}')
                    .ok_or_else(|| wrong("a `{` without its `}`"))?;
                if !pointer.starts_with('/') {
                    return Err(wrong("what stands in braces has to begin with `/`"));
                }
                if !before.is_empty() {
                    pieces.push(Piece::Text(before.to_owned()));
                }
                pieces.push(Piece::Pointer(pointer.to_owned()));
                rest = after;
            }
            if pieces.is_empty() {
                return Err(wrong(
                    "write a JSON Pointer such as /data/title, or a text with some in braces",
                ));
            }
            if !rest.is_empty() {
                pieces.push(Piece::Text(rest.to_owned()));
            }
        }
        Ok(Self {
            written: text.to_owned(),
            pieces,
        })
    }

    /// The text there; `None` if one of its pointers leads to no text, number or truth value.
    fn find(&self, body: &Value) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Pointer(pointer) => text.push_str(&scalar(body.pointer(pointer)?)?),
            }
        }
        Some(text)
    }
}

impl Places {
    /// These, in their order.
    pub fn new(places: Vec<Place>) -> Self {
        Self(places)
    }

    /// No place is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first text that is there.
    pub fn find(&self, body: &Value) -> Option<String> {
        self.0.iter().find_map(|place| place.find(body))
    }

    /// All scalars of the objects there, and all pairs of the lists there (`{"name": …, "value": …}`,
    /// `{"key": …, "value": …}` or `[name, value]`); of single values, their own last name.
    pub(super) fn pairs(&self, one: &Value, root: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for place in &self.0 {
            let [Piece::Pointer(pointer)] = place.pieces.as_slice() else {
                continue;
            };
            match one.pointer(pointer).or_else(|| root.pointer(pointer)) {
                Some(Value::Object(fields)) => found.extend(
                    fields
                        .iter()
                        .filter_map(|(key, value)| Some((key.clone(), scalar(value)?))),
                ),
                Some(Value::Array(list)) => found.extend(list.iter().filter_map(pair)),
                Some(value) => {
                    let name = pointer.rsplit('/').next().unwrap_or_default();
                    found.extend(scalar(value).map(|text| (name.to_owned(), text)));
                }
                None => {}
            }
        }
        found
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&place.written)?;
        }
        Ok(())
    }
}

fn pair(value: &Value) -> Option<(String, String)> {
    let of = |key: &str| scalar(value.get(key)?);
    let name = of("name").or_else(|| of("key"));
    match value {
        Value::Array(both) => Some((scalar(both.first()?)?, scalar(both.get(1)?)?)),
        _ => Some((name?, of("value")?)),
    }
}

/// The text of a text, number or truth value; nothing for an empty text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
