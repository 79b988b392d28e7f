//! What was changed lately, in lines.

use jiff::Timestamp;

use crate::domain::timeline::cut;
use crate::domain::{Entry, duration};

pub(super) fn changes(entries: &[Entry], now: Timestamp) -> Option<String> {
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| {
            let ago = duration::text(duration::between(entry.at, now));
            format!("{ago} ago, {}: {}", entry.actor, cut(&entry.text, 200))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
