//! Entries, and the canonical form that is hashed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::kind::{EntryKind, Stream};
use super::text::{cut, hex};
use crate::Person;
use crate::duration::canonical;

/// What is to be put on a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who did it.
    pub actor: Person,
    /// What kind of entry.
    pub kind: EntryKind,
    /// One or a few lines for people, at most [`Draft::MAX_TEXT`] bytes.
    pub text: String,
    /// Facts for machines: strings, whole numbers, booleans, lists, objects.
    pub data: Value,
}

impl Draft {
    /// Longer texts are cut here.
    pub const MAX_TEXT: usize = 8_000;

    /// A draft without data.
    pub fn new(actor: &Person, kind: EntryKind, text: impl Into<String>) -> Self {
        Self {
            actor: actor.clone(),
            kind,
            text: text.into(),
            data: Value::Null,
        }
    }

    /// Adds facts.
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}

/// One entry as it stands in the store and in exports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The chain.
    pub stream: Stream,
    /// Its place in the chain, from 1 without gaps.
    pub seq: i64,
    /// When it was recorded, UTC, whole microseconds; never earlier than the entry before.
    #[serde(serialize_with = "canonical_time")]
    pub at: Timestamp,
    /// Who did it.
    pub actor: Person,
    /// What kind of entry.
    pub kind: EntryKind,
    /// For people.
    pub text: String,
    /// For machines.
    pub data: Value,
    /// Hash of the entry before; [`GENESIS`] for the first.
    pub prev: String,
    /// Hash of this entry, 64 hexadecimal digits.
    pub hash: String,
}

/// What the first entry of a chain carries as the hash before it.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The name of the canonical form, part of what is hashed.
pub const FORM: &str = "treasury-bot/entry/v1";

impl Entry {
    /// Makes the entry that follows `(seq, prev)`.
    pub fn seal(stream: Stream, seq: i64, prev: &str, at: Timestamp, draft: Draft) -> Self {
        let mut entry = Self {
            stream,
            seq,
            at,
            actor: draft.actor,
            kind: draft.kind,
            text: cut(&draft.text, Draft::MAX_TEXT),
            data: without_floats(draft.data),
            prev: prev.to_owned(),
            hash: String::new(),
        };
        entry.hash = entry.compute_hash();
        entry
    }

    /// The bytes that are hashed.
    pub fn canonical_form(&self) -> String {
        let mut out = String::with_capacity(256 + self.text.len());
        write_canonical(
            &serde_json::json!([
                FORM,
                self.stream.to_string(),
                self.seq,
                canonical(self.at),
                self.actor.id,
                self.actor.name,
                self.kind.as_str(),
                self.text,
                self.data,
                self.prev,
            ]),
            &mut out,
        );
        out
    }

    /// SHA-256 of the canonical form, in hexadecimal.
    pub fn compute_hash(&self) -> String {
        hex(&Sha256::digest(self.canonical_form().as_bytes()))
    }
}

/// JSON without white space, object keys sorted.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            // Sorted here, because a feature of serde_json can keep insertion order.
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Floating-point numbers have no single text form: they become strings.
fn without_floats(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
        Value::Array(items) => items.into_iter().map(without_floats).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, without_floats(value)))
            .collect(),
        other => other,
    }
}

fn canonical_time<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&canonical(*at))
}
