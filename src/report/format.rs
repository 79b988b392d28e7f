//! The formats of exports, and the names of their files.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::IncidentId;

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

// Its word is the file name's ending, without the dot.
crate::domain::words!(Format {
    Markdown: "md",
    Json: "json",
    Csv: "csv",
    Html: "html",
});

/// `INC-12-2026-11-23.md`
pub fn file_name(format: Format, id: IncidentId, at: Timestamp) -> String {
    format!("{id}-{}.{format}", at.to_zoned(TimeZone::UTC).date())
}
