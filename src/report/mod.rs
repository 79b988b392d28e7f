//! Exports: pure functions from an incident and its timeline to text.

pub mod chart;
mod csv;
mod html;
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
    /// To keep: to read in any browser, with the JSON in it.
    Html,
}

impl Format {
    /// The file name's ending, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }

    /// The format of this ending.
    pub fn of_extension(extension: &str) -> Option<Self> {
        [Self::Markdown, Self::Json, Self::Csv, Self::Html]
            .into_iter()
            .find(|format| format.extension() == extension)
    }

    /// The media type of the file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
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
        Format::Html => html::export(incident, entries, exported_at),
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
