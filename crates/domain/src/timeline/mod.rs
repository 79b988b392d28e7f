//! The timeline: append-only entries, each carrying the hash of the one before it.
//!
//! An entry's hash is SHA-256 over its canonical form: a JSON array of fixed order, without white
//! space, object keys sorted by code point, no floating-point numbers (RFC 8785 for this subset).
//! Whoever holds an export can compute the chain again with nothing but this rule.

mod chain;
mod entry;
mod kind;
mod text;

pub use chain::{ChainError, verify};
pub use entry::{Draft, Entry, FORM, GENESIS};
pub use kind::{EntryKind, Stream};
pub use text::{cut, hex};

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{IncidentId, Person};

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
