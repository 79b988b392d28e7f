//! Exports: pure functions from an incident and its timeline to text.

pub mod chart;
mod csv;
mod format;
mod html;
mod json;
mod markdown;
mod verify;

use jiff::Timestamp;

use crate::domain::{Entry, Incident};

pub use format::{Format, file_name};
pub use verify::{ExportError, Verified, verify_export};

/// The export of an incident with its whole timeline, first entry first.
pub fn export(
    format: Format,
    incident: &Incident,
    entries: &[Entry],
    exported_at: Timestamp,
) -> String {
    match format {
        Format::Markdown => markdown::export(incident, entries, exported_at),
        Format::Json => json::export(incident, entries, exported_at),
        Format::Csv => csv::export(entries),
        Format::Html => html::export(incident, entries, exported_at),
    }
}

#[cfg(test)]
mod tests;
