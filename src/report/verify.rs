//! Verifying exports, offline. The HTML export holds the JSON one, and is checked by what it holds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::html;
use super::json::{Export, FORMAT, render};
use crate::domain::timeline::{ChainError, verify};
use crate::domain::{EntryKind, Status, Stream};

/// What a good export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The timeline.
    pub stream: Stream,
    /// How many entries.
    pub entries: usize,
    /// The last entry's hash, 64 hexadecimal digits.
    pub head: String,
    /// When the export was made.
    pub exported_at: Timestamp,
}

/// Why an export does not verify.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is no export, or was cut or changed in its form.
    #[error("it is no whole export: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A later version's, or something else.
    #[error("its form is `{0}`; this version knows `{FORMAT}`")]
    Format(String),
    /// Something in it is spelled otherwise than an export would: an unknown or doubled key.
    #[error(
        "it holds something that no export writes: an added or doubled key, or another spelling"
    )]
    Added,
    /// What it says of the incident is not what its timeline tells.
    #[error("the incident's {0} is not what its timeline tells")]
    Facts(&'static str),
    /// An HTML export without its data.
    #[error("it is a page without the data of an export")]
    NoData,
    /// An HTML export that shows something else than its data.
    #[error(
        "what the page shows is not what its data tells, or another version of treasury-bot wrote \
         it: save the JSON from it and verify that"
    )]
    Shown,
    /// The chain is broken.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The incident stands outside the chain: its title, severity, status and who declared it have to
/// follow from the entries. (Its other fields are for convenience; the entries tell them, too.)
fn check_facts(export: &Export) -> Result<(), ExportError> {
    let incident = &export.incident;
    let Some(declared) = export
        .entries
        .iter()
        .find(|e| e.kind == EntryKind::Declared)
    else {
        return Ok(());
    };
    let last = |kind: EntryKind, first: Value| {
        let changes = export
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.kind == kind);
        changes
            .map(|entry| entry.data["after"].clone())
            .next()
            .unwrap_or(first)
    };
    let severity = last(EntryKind::Severity, declared.data["severity"].clone());
    let status = last(EntryKind::Status, json!(Status::Open));
    if incident.title != declared.text {
        Err(ExportError::Facts("title"))
    } else if incident.declared_by != declared.actor {
        Err(ExportError::Facts("declarer"))
    } else if json!(incident.severity) != severity {
        Err(ExportError::Facts("severity"))
    } else if json!(incident.status) != status {
        Err(ExportError::Facts("status"))
    } else {
        Ok(())
    }
}

/// Checks an export, JSON or HTML, from its first entry to its head. What it can't find out alone is
/// a file that was made up as a whole: compare the head with the one said at the time of the export.
pub fn verify_export(bytes: &[u8]) -> Result<Verified, ExportError> {
    if !html::is_page(bytes) {
        return verify_json(bytes).map(|(verified, _)| verified);
    }
    let json = html::data(bytes).ok_or(ExportError::NoData)?;
    let (verified, export) = verify_json(&json)?;
    // The page follows from its data: only the very page will do.
    let page = html::export(&export.incident, &export.entries, export.exported_at);
    if page.as_bytes() == bytes {
        Ok(verified)
    } else {
        Err(ExportError::Shown)
    }
}

fn verify_json(bytes: &[u8]) -> Result<(Verified, Export), ExportError> {
    let export: Export = serde_json::from_slice(bytes)?;
    if export.format != FORMAT {
        return Err(ExportError::Format(export.format));
    }
    let stream = Stream::Incident(export.incident.id);
    let head = verify(&stream, &export.entries)?;
    let found = export.entries.len() as i64;
    if head != export.head.hash || found != export.head.seq {
        return Err(ChainError::Head {
            expected: export.head.seq,
            found,
            head: export.head.hash,
        }
        .into());
    }
    // What is not read would not be hashed: only the very bytes of an export will do.
    let written = render(&export).map_err(ExportError::Unreadable)?;
    if written.trim_end().as_bytes() != bytes.trim_ascii() {
        return Err(ExportError::Added);
    }
    check_facts(&export)?;
    let verified = Verified {
        stream,
        entries: export.entries.len(),
        head,
        exported_at: export.exported_at,
    };
    Ok((verified, export))
}
