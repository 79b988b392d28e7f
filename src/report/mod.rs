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
        Format::Csv => csv::HEADER.to_owned() + &csv::lines(entries),
        Format::Html => html::export(incident, entries, exported_at),
    }
}

/// An export piece by piece, so that a long one is never held as a whole.
pub struct Pieces(Form);

enum Form {
    Json(json::Pieces),
    Csv,
}

impl Pieces {
    /// `None`: in this format the beginning tells of all entries. `head`: the number and the hash of the
    /// last one.
    pub fn new(
        format: Format,
        incident: &Incident,
        head: (i64, &str),
        exported_at: Timestamp,
    ) -> Option<Self> {
        match format {
            Format::Json => Some(Form::Json(json::Pieces::new(incident, head, exported_at))),
            Format::Csv => Some(Form::Csv),
            Format::Markdown | Format::Html => None,
        }
        .map(Self)
    }

    /// What comes before the entries.
    pub fn begin(&self) -> String {
        match &self.0 {
            Form::Json(pieces) => pieces.begin.clone(),
            Form::Csv => csv::HEADER.to_owned(),
        }
    }

    /// The next entries.
    pub fn entries(&mut self, entries: &[Entry]) -> String {
        match &mut self.0 {
            Form::Json(pieces) => pieces.entries(entries),
            Form::Csv => csv::lines(entries),
        }
    }

    /// What comes after them.
    pub fn end(&self) -> String {
        match &self.0 {
            Form::Json(pieces) => pieces.end.clone(),
            Form::Csv => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
