//! The timeline: append-only entries, each carrying the hash of the one before it.
//!
//! An entry's hash is SHA-256 over its canonical form: a JSON array of fixed order, without white
//! space, object keys sorted by code point, no floating-point numbers (RFC 8785 for this subset).
//! Whoever holds an export can compute the chain again with nothing but this rule.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::duration::canonical;
use super::{IncidentId, Person};

/// The chain that an entry belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Stream {
    /// Everything that anybody asked for, and what came of it.
    Audit,
    /// One incident's timeline.
    Incident(IncidentId),
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audit => f.write_str("audit"),
            Self::Incident(id) => id.fmt(f),
        }
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> Self {
        stream.to_string()
    }
}

impl TryFrom<String> for Stream {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "audit" {
            return Ok(Self::Audit);
        }
        text.strip_prefix("INC-")
            .and_then(IncidentId::parse)
            .map(Self::Incident)
            .ok_or_else(|| format!("`{text}` is not the name of a timeline"))
    }
}

/// What an entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The incident was declared.
    Declared,
    /// Its severity changed.
    Severity,
    /// Its status changed.
    Status,
    /// Somebody got a role.
    Assigned,
    /// Another incident belongs to it.
    Linked,
    /// Somebody noted something.
    Note,
    /// Somebody asked for something (audit).
    Asked,
    /// Something was refused, to whom and why (audit).
    Refused,
    /// An action is about to be done.
    Intent,
    /// What came of an action.
    Outcome,
    /// What a service was and said was kept before it was touched.
    Evidence,
    /// What became of alerts, and what the bot did about them by itself.
    Alert,
    /// What stakeholders were told, and mails that could not be delivered.
    Update,
    /// An export was made.
    Exported,
    /// A run of a runbook: its beginning, its steps, its end.
    Run,
}

impl EntryKind {
    /// The word as stored and exported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Severity => "severity",
            Self::Status => "status",
            Self::Assigned => "assigned",
            Self::Linked => "linked",
            Self::Note => "note",
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Evidence => "evidence",
            Self::Alert => "alert",
            Self::Update => "update",
            Self::Exported => "exported",
            Self::Run => "run",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Declared,
            Self::Severity,
            Self::Status,
            Self::Assigned,
            Self::Linked,
            Self::Note,
            Self::Asked,
            Self::Refused,
            Self::Intent,
            Self::Outcome,
            Self::Evidence,
            Self::Alert,
            Self::Update,
            Self::Exported,
            Self::Run,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
    }
}

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
    #[serde(with = "canonical_time")]
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

/// What is wrong with a chain.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChainError {
    /// An entry is missing, doubled or out of order.
    #[error("entry {found} stands where entry {expected} should: one is missing, doubled or moved")]
    Sequence {
        /// The number that should stand here.
        expected: i64,
        /// The number that does.
        found: i64,
    },
    /// An entry belongs to another timeline.
    #[error("entry {seq} belongs to `{found}`, not to `{expected}`")]
    Stream {
        /// The entry.
        seq: i64,
        /// The chain it should be of.
        expected: String,
        /// The chain it names.
        found: String,
    },
    /// An entry does not follow from the one before.
    #[error("entry {seq} does not follow from the entry before it: its `prev` is another hash")]
    Broken {
        /// The entry.
        seq: i64,
    },
    /// An entry's content is not what was hashed.
    #[error("entry {seq} was changed after it was recorded: its hash does not fit its content")]
    Changed {
        /// The entry.
        seq: i64,
    },
    /// Time runs backwards.
    #[error("entry {seq} is earlier than the entry before it")]
    Time {
        /// The entry.
        seq: i64,
    },
    /// The end is missing.
    #[error(
        "the chain ends with entry {found} but should end with entry {expected} and hash {head}"
    )]
    Head {
        /// The last entry that should be there.
        expected: i64,
        /// The last entry that is.
        found: i64,
        /// The hash it should have.
        head: String,
    },
}

/// Checks a whole chain from its first entry. Returns the last hash ([`GENESIS`] when empty).
pub fn verify(stream: &Stream, entries: &[Entry]) -> Result<String, ChainError> {
    let mut prev = GENESIS.to_owned();
    let mut last: Option<Timestamp> = None;
    for (index, entry) in entries.iter().enumerate() {
        let expected = index as i64 + 1;
        if entry.seq != expected {
            return Err(ChainError::Sequence {
                expected,
                found: entry.seq,
            });
        }
        let seq = entry.seq;
        if entry.stream != *stream {
            return Err(ChainError::Stream {
                seq,
                expected: stream.to_string(),
                found: entry.stream.to_string(),
            });
        }
        if entry.prev != prev {
            return Err(ChainError::Broken { seq });
        }
        if entry.hash != entry.compute_hash() {
            return Err(ChainError::Changed { seq });
        }
        if last.is_some_and(|before| entry.at < before) {
            return Err(ChainError::Time { seq });
        }
        last = Some(entry.at);
        prev.clone_from(&entry.hash);
    }
    Ok(prev)
}

/// JSON without white space, object keys sorted.
pub fn write_canonical(value: &Value, out: &mut String) {
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

/// The text, or its beginning with ` […]` when it is longer than `max` bytes.
pub fn cut(text: &str, max: usize) -> String {
    const MARK: &str = " […]";
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

mod canonical_time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::canonical(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(d)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chain(texts: &[String]) -> Vec<Entry> {
        let stream = Stream::Incident(IncidentId(7));
        let mut prev = GENESIS.to_owned();
        texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let at = Timestamp::from_microsecond(1_700_000_000_000_000 + index as i64).unwrap();
                let draft = Draft::new(&Person::bot(), EntryKind::Note, text.as_str())
                    .data(json!({"n": index, "b": [true, null]}));
                let entry = Entry::seal(stream.clone(), index as i64 + 1, &prev, at, draft);
                prev.clone_from(&entry.hash);
                entry
            })
            .collect()
    }

    #[test]
    fn the_canonical_form_is_fixed() {
        // A change of this text breaks every export ever made.
        let entry = &chain(&["a \"b\"\n".to_owned()])[0];
        assert_eq!(
            entry.canonical_form(),
            r#"["treasury-bot/entry/v1","INC-7",1,"2023-11-14T22:13:20.000000Z","bot","treasury-bot","note","a \"b\"\n",{"b":[true,null],"n":0},"0000000000000000000000000000000000000000000000000000000000000000"]"#
        );
    }

    #[test]
    fn floats_become_text_and_long_texts_are_cut() {
        let draft =
            Draft::new(&Person::bot(), EntryKind::Note, "ä".repeat(5_000)).data(json!({"x": 1.5}));
        let at = Timestamp::from_microsecond(0).unwrap();
        let entry = Entry::seal(Stream::Audit, 1, GENESIS, at, draft);
        assert_eq!(entry.data, json!({"x": "1.5"}));
        assert!(entry.text.len() <= Draft::MAX_TEXT && entry.text.ends_with("[…]"));
    }

    proptest! {
        #[test]
        fn a_chain_survives_json_and_any_tampering_is_found(
            texts in prop::collection::vec(".{0,40}", 1..8),
            at in any::<prop::sample::Index>(),
            how in 0..7,
        ) {
            let stream = Stream::Incident(IncidentId(7));
            let good = chain(&texts);
            let json = serde_json::to_string(&good).unwrap();
            let mut entries: Vec<Entry> = serde_json::from_str(&json).unwrap();
            prop_assert!(verify(&stream, &entries).is_ok());

            let i = at.index(entries.len());
            match how {
                0 => entries[i].text.push('x'),
                1 => entries[i].actor.id.push('x'),
                2 => entries[i].at = Timestamp::from_microsecond(1).unwrap(),
                3 => entries[i].data = json!({"n": -1}),
                4 => entries[i].kind = EntryKind::Status,
                5 => { let twice = entries[i].clone(); entries.insert(i, twice); }
                _ => {
                    // Removing the very last entry leaves a good chain with another head.
                    entries.remove(i);
                    if i == entries.len() {
                        let head = verify(&stream, &entries).unwrap();
                        prop_assert_ne!(&head, &good[i].hash);
                        return Ok(());
                    }
                }
            }
            prop_assert!(verify(&stream, &entries).is_err());
        }

        #[test]
        fn rehashing_a_changed_entry_breaks_the_next(texts in prop::collection::vec(".{0,20}", 2..6)) {
            let mut entries = chain(&texts);
            entries[0].text.push('!');
            entries[0].hash = entries[0].compute_hash();
            prop_assert_eq!(
                verify(&Stream::Incident(IncidentId(7)), &entries),
                Err(ChainError::Broken { seq: 2 })
            );
        }
    }
}
