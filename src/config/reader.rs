//! Takes keys from a table of the file one by one and collects what is wrong with them.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::Report;
use crate::command::nearest;
use crate::domain::duration;

/// A value and the bytes it stands at.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Its bytes in the file.
    pub(super) span: Range<usize>,
}

/// Reads one table. Keys that are not asked for are errors in the end.
pub(super) struct Reader<'a, 'i> {
    /// What the table is called in messages: `slack`, `service`, `scale`.
    name: &'static str,
    /// The header, if the table is there.
    pub(super) span: Option<Range<usize>>,
    table: Option<&'a DeTable<'i>>,
    asked: Vec<&'static str>,
}

impl<'a, 'i> Reader<'a, 'i> {
    /// Reads this table; all keys are absent where there is none.
    pub(super) fn new(
        name: &'static str,
        span: Option<Range<usize>>,
        table: Option<&'a DeTable<'i>>,
    ) -> Self {
        Self {
            name,
            span,
            table,
            asked: Vec::new(),
        }
    }

    /// The bytes of a key, if it is there, whatever its value.
    pub(super) fn written(&mut self, key: &'static str) -> Option<Range<usize>> {
        let (found, _) = self.table?.get_key_value(key)?;
        Some(found.span())
    }

    fn raw(&mut self, key: &'static str) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
        self.asked.push(key);
        let (found, value) = self.table?.get_key_value(key)?;
        Some((found.span(), value))
    }

    fn typed<T>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        kind: &str,
        get: impl FnOnce(&'a DeValue<'i>) -> Option<T>,
    ) -> Option<At<T>> {
        let (key_span, value) = self.raw(key)?;
        let span = place(&key_span, value);
        match get(value.get_ref()) {
            Some(value) => Some(At { value, span }),
            None => {
                let message = format!(
                    "`{}.{key}` must be {kind}, not {}",
                    self.name,
                    kind_of(value.get_ref())
                );
                report.error(span, message, None);
                None
            }
        }
    }

    /// A text.
    pub(super) fn text(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<At<&'a str>> {
        self.typed(report, key, "a string", |value| value.as_str())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, report: &mut Report<'_>, key: &'static str) -> Option<bool> {
        self.typed(report, key, "`true` or `false`", DeValue::as_bool)
            .map(|at| at.value)
    }

    /// A whole number from 0 to `most`.
    pub(super) fn number(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        most: u32,
    ) -> Option<At<u32>> {
        let whole = self.typed(report, key, "a whole number", |value| value.as_integer())?;
        match u32::from_str_radix(whole.value.as_str(), whole.value.radix()) {
            Ok(number) if number <= most => Some(At {
                value: number,
                span: whole.span,
            }),
            _ => {
                let message = format!("`{}.{key}` must be from 0 to {most}", self.name);
                report.error(whole.span, message, None);
                None
            }
        }
    }

    /// A duration such as `5m`.
    pub(super) fn duration(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Duration> {
        let text = self.text(report, key)?;
        duration::parse(text.value)
            .map_err(|error| report.error(text.span, error.to_string(), None))
            .ok()
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(report, key)?;
        one_of(report, &format!("{}.{key}", self.name), &text, words)
    }

    /// A list of texts; entries of another type are reported and left out.
    pub(super) fn texts(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Vec<At<&'a str>>> {
        let list = self.typed(report, key, "a list of strings", |value| value.as_array())?;
        let mut texts = Vec::new();
        for entry in list.value {
            match entry.get_ref().as_str() {
                Some(value) => texts.push(At {
                    value,
                    span: entry.span(),
                }),
                None => {
                    let kind = kind_of(entry.get_ref());
                    let message = format!("`{}.{key}` must list strings, not {kind}", self.name);
                    report.error(entry.span(), message, None);
                }
            }
        }
        Some(texts)
    }

    /// A text, or a list of texts.
    pub(super) fn one_or_more(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Vec<At<&'a str>>> {
        let (key_span, value) = self.raw(key)?;
        let what = format!("{}.{key}", self.name);
        Some(texts_of(report, &what, &key_span, value))
    }

    /// A table of free names, each with a text or a list of texts.
    pub(super) fn named_texts(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Vec<(String, Vec<At<&'a str>>)> {
        let table = self.raw_table(report, key).into_iter().flatten();
        table
            .map(|(name, value)| {
                let what = format!("{key}.{}", name.get_ref());
                let texts = texts_of(report, &what, &name.span(), value);
                (name.get_ref().to_string(), texts)
            })
            .collect()
    }

    /// A table within this one, such as `scale = { min = 1 }`.
    pub(super) fn table(&mut self, report: &mut Report<'_>, key: &'static str) -> Reader<'a, 'i> {
        let table = self.typed(report, key, "a table", |value| value.as_table());
        let span = table.as_ref().map(|at| at.span.clone());
        Reader::new(key, span, table.map(|at| at.value))
    }

    /// A text, or a table within this one.
    pub(super) fn text_or_table(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> (Option<At<&'a str>>, Reader<'a, 'i>) {
        let text = self.table.and_then(|table| table.get(key));
        if text.is_some_and(|value| value.get_ref().is_str()) {
            return (self.text(report, key), Reader::new(key, None, None));
        }
        let table = self.typed(report, key, "a string or a table", |value| value.as_table());
        let span = table.as_ref().map(|at| at.span.clone());
        (None, Reader::new(key, span, table.map(|at| at.value)))
    }

    /// A table within this one whose keys are free to choose.
    pub(super) fn raw_table(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<&'a DeTable<'i>> {
        self.typed(report, key, "a table", |value| value.as_table())
            .map(|at| at.value)
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(
        self,
        report: &mut Report<'_>,
        elsewhere: impl Fn(&str) -> Option<String>,
    ) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = elsewhere(name).or_else(|| {
                Some(match nearest(name, self.asked.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("`{}` has: {}", self.name, self.asked.join(", ")),
                })
            });
            report.error(
                key.span(),
                format!("unknown key `{name}` in `{}`", self.name),
                hint,
            );
        }
    }
}

/// A text, or those of a list; what is neither is reported and left out.
fn texts_of<'a>(
    report: &mut Report<'_>,
    what: &str,
    key: &Range<usize>,
    value: &'a Spanned<DeValue<'_>>,
) -> Vec<At<&'a str>> {
    let several = match value.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => vec![value],
    };
    several
        .into_iter()
        .filter_map(|one| match one.get_ref().as_str() {
            Some(text) => Some(At {
                value: text,
                span: place(key, one),
            }),
            None => {
                let kind = kind_of(one.get_ref());
                let message = format!("`{what}` must be a string or a list of strings, not {kind}");
                report.error(place(key, one), message, None);
                None
            }
        })
        .collect()
}

/// The bytes of a value; those of its key where the parser gives none.
fn place(key: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    let span = value.span();
    if span.is_empty() { key.clone() } else { span }
}

/// The tables of a list such as `[[service]]`, and how many entries are written; `None` where there
/// is no such list. Entries that are no tables are reported and left out.
pub(super) fn tables<'a, 'i>(
    report: &mut Report<'_>,
    root: &'a DeTable<'i>,
    name: &'static str,
) -> Option<(usize, Vec<Reader<'a, 'i>>)> {
    let (key, value) = root.get_key_value(name)?;
    let write = || Some(format!("write `[[{name}]]`"));
    let DeValue::Array(list) = value.get_ref() else {
        let found = kind_of(value.get_ref());
        let message = format!("`{name}` must be a list of tables, not {found}");
        report.error(key.span(), message, write());
        return Some((0, Vec::new()));
    };
    let mut readers = Vec::new();
    for entry in list {
        match entry.get_ref() {
            DeValue::Table(table) => {
                readers.push(Reader::new(name, Some(entry.span()), Some(table)));
            }
            other => {
                let message = format!("`{name}` must list tables, not {}", kind_of(other));
                report.error(entry.span(), message, write());
            }
        }
    }
    Some((list.len(), readers))
}

/// The value of one of these words, or an error that names them.
pub(super) fn one_of<T: Copy>(
    report: &mut Report<'_>,
    what: &str,
    text: &At<&str>,
    words: &[(&str, T)],
) -> Option<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
        return Some(*value);
    }
    let hint = match nearest(text.value, words.iter().map(|(word, _)| *word)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("it can be {}", words.join(" or "))
        }
    };
    report.error(
        text.span.clone(),
        format!("`{what}` can't be `{}`", text.value),
        Some(hint),
    );
    None
}

/// The type of a value with its article.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
