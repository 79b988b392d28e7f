//! A value of the file with its place, and what is said of it.

use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;

use super::source::Source;
use crate::command::nearest;

/// A value and where it is.
#[derive(Clone)]
pub(super) struct At<'a, T = &'a str> {
    /// The value.
    pub(super) value: T,
    /// Its bytes in the file.
    pub(super) span: Range<usize>,
    /// What it is called in messages: `slack.mode`.
    pub(super) what: String,
    pub(super) source: &'a Source<'a>,
}

impl<T> At<'_, T> {
    /// Reports this of it.
    pub(super) fn error(&self, message: impl AsRef<str>, hint: impl AsRef<str>) {
        self.source.error(self.span.clone(), message, hint);
    }

    /// Reports that what it names isn't there: the bot starts, but this can't work.
    pub(super) fn fiction(&self, message: impl AsRef<str>, hint: impl AsRef<str>) {
        self.source.fiction(self.span.clone(), message, hint);
    }

    /// Warns of it.
    pub(super) fn warning(&self, message: impl AsRef<str>, hint: impl AsRef<str>) {
        self.source.warning(self.span.clone(), message, hint);
    }
}

impl At<'_> {
    /// Reports that the key can't be this; the hint says what it can be.
    pub(super) fn refuse(&self, hint: impl AsRef<str>) {
        self.error(format!("`{}` can't be `{}`", self.what, self.value), hint);
    }

    /// The text, if it is good; refused otherwise.
    pub(super) fn good(&self, good: bool, hint: impl AsRef<str>) -> Option<String> {
        if !good {
            self.refuse(hint);
        }
        good.then(|| self.value.to_owned())
    }

    /// What was made of the text; the error is reported as it is.
    pub(super) fn ok<T, E: Display>(&self, made: Result<T, E>) -> Option<T> {
        made.map_err(|error| self.error(error.to_string(), "")).ok()
    }

    /// What was made of the text; the error is reported behind the key.
    pub(super) fn parsed<T, E: Display>(&self, made: Result<T, E>) -> Option<T> {
        self.ok(made.map_err(|error| format!("`{}`: {error}", self.what)))
    }

    /// The value of one of these words; refused if it is none.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == self.value);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let all = format!("it can be {}", all.join(" or "));
            let words = words.iter().map(|(word, _)| *word);
            self.refuse(did_you_mean(self.value, words, all));
        }
        found.map(|(_, value)| *value)
    }

    /// The file that it names.
    pub(super) fn path(&self) -> PathBuf {
        self.source.beside(self.value)
    }
}

/// The hint for a word that is not known.
pub(super) fn did_you_mean<'n>(
    wrong: &str,
    names: impl IntoIterator<Item = &'n str>,
    otherwise: impl Into<String>,
) -> String {
    match nearest(wrong, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.into(),
    }
}
