//! CSV (RFC 4180): a header, then a line an entry, CRLF line ends.
//!
//! A cell that starts with `=`, `+`, `-`, `@`, a tab or a carriage return gets a leading `'`, so that
//! no spreadsheet takes somebody's words for a formula. The hashes are of the unchanged words:
//! verify the JSON export.

use crate::domain::Entry;
use crate::domain::duration::canonical;

pub(super) const HEADER: &str = "timeline,seq,at,actor_id,actor,kind,text,data,prev,hash\r\n";

pub(super) fn lines(entries: &[Entry]) -> String {
    let mut out = String::new();
    for entry in entries {
        let cells = [
            entry.stream.to_string(),
            entry.seq.to_string(),
            canonical(entry.at),
            entry.actor.id.clone(),
            entry.actor.name.clone(),
            entry.kind.as_str().to_owned(),
            entry.text.clone(),
            if entry.data.is_null() {
                String::new()
            } else {
                entry.data.to_string()
            },
            entry.prev.clone(),
            entry.hash.clone(),
        ];
        out.push_str(&cells.map(|text| cell(&text)).join(","));
        out.push_str("\r\n");
    }
    out
}

fn cell(text: &str) -> String {
    let defused = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if defused.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", defused.replace('"', "\"\""))
    } else {
        defused
    }
}
