//! How it goes, for people.

use crate::cli::terminal::{Paint, put};

/// What was refused, and what to press.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) mend: String,
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self {
            what: error.to_string(),
            mend: String::new(),
        }
    }
}

/// The lines that tell how it goes.
pub(super) struct Report(pub(super) Paint);

impl Report {
    /// A step, with its mark; a detail is told in grey.
    pub(super) fn put(&self, mark: &str, text: &str) -> std::io::Result<()> {
        let text = match mark {
            "➖" => self.0.style("2", text),
            _ => text.to_owned(),
        };
        put(&format!("{mark} {text}\n"))
    }
}
