//! Checking a chain.

use jiff::Timestamp;

use super::entry::{Entry, GENESIS};
use super::kind::Stream;

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
