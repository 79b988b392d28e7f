//! What the questions about databases share.

use crate::bot::Context;
use crate::domain::Button;

/// Connections in use beyond this many percent are worth a warning.
pub(super) const MANY: f64 = 80.0;
/// Lag of a replica worth a warning, bytes.
pub(super) const LAG: u64 = 64 << 20;

/// The tail of a sentence that names this database, where there are several.
pub(super) fn tail(context: &Context, name: &impl ToString) -> String {
    match context.catalogue().databases().len() {
        0 | 1 => String::new(),
        _ => format!(" --database {}", name.to_string()),
    }
}

/// Buttons that ask this database further.
pub(super) fn buttons(tail: &str, words: &[(&str, &str)]) -> Vec<Button> {
    words
        .iter()
        .map(|(label, word)| Button::new(*label, format!("db {word}{tail}")))
        .collect()
}

/// `3 sessions`.
pub(super) fn sessions(n: u64) -> String {
    match n {
        1 => "1 session".into(),
        n => format!("{n} sessions"),
    }
}
