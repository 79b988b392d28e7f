//! Exports: pure functions from an incident and its timeline to text.

pub mod chart;
mod csv;
mod json;
mod markdown;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::{Entry, Incident, IncidentId};

pub use json::{ExportError, Verified, verify_export};

/// What an export is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// To read.
    Markdown,
    /// To verify.
    Json,
    /// To calculate.
    Csv,
}

impl Format {
    /// The file name's ending, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

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
    }
}

/// `INC-12-2026-11-23.md`
pub fn file_name(format: Format, id: IncidentId, at: Timestamp) -> String {
    format!(
        "{id}-{}.{}",
        at.to_zoned(TimeZone::UTC).date(),
        format.extension()
    )
}

#[cfg(test)]
mod tests;
