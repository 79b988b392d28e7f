//! Takes values out of a table of the file and reports what is wrong with them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::source::{Secrets, Source};
use crate::domain::duration;

/// One table: a section, or a table within one. All keys are absent where it is not there.
pub(super) struct Section<'a> {
    kind: Kind,
    /// The header, if the table is there.
    pub(super) span: Option<Range<usize>>,
    table: Option<&'a DeTable<'a>>,
    pub(super) source: &'a Source<'a>,
}

impl<'a> Section<'a> {
    /// What `read` takes out of a table at `span`. Keys that this kind has not are reported.
    pub(super) fn read<T>(
        source: &'a Source<'a>,
        kind: Kind,
        span: Option<Range<usize>>,
        table: Option<&'a DeTable<'a>>,
        read: impl FnOnce(&Self) -> T,
    ) -> T {
        let section = Self {
            kind,
            span,
            table,
            source,
        };
        let value = read(&section);
        section.report_unknown_keys();
        value
    }

    /// Its name in messages: `slack`, `service`, `scale`.
    pub(super) fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Reports this of the section as a whole.
    pub(super) fn error(&self, message: impl AsRef<str>, hint: impl AsRef<str>) {
        self.source.error(self.span.clone(), message, hint);
    }

    /// Reports this at a key.
    pub(super) fn error_at(&self, key: &str, message: impl AsRef<str>, hint: impl AsRef<str>) {
        self.source.error(self.written(key), message, hint);
    }

    /// The bytes of a key, if it is there, whatever its value.
    pub(super) fn written(&self, key: &str) -> Option<Range<usize>> {
        let (found, _) = self.table?.get_key_value(key)?;
        Some(found.span())
    }

    /// A key's value as `get` has it; otherwise it is reported what it `must` be.
    fn typed<T>(
        &self,
        key: &str,
        must: &str,
        get: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<At<'a, T>> {
        let (found, value) = self.table?.get_key_value(key)?;
        let what = format!("{}.{key}", self.kind.name);
        self.converted(value, &found.span(), what, must, get)
    }

    fn converted<T>(
        &self,
        value: &'a Spanned<DeValue<'a>>,
        key: &Range<usize>,
        what: String,
        must: &str,
        get: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<At<'a, T>> {
        let found = get(value.get_ref());
        if found.is_none() {
            let message = format!("`{what}` {must}, not {}", kind_of(value.get_ref()));
            self.source.error(place(key, value), message, "");
        }
        Some(At {
            value: found?,
            span: place(key, value),
            what,
            source: self.source,
        })
    }

    /// A secret that has to be there is not: neither in the environment nor, by what is written, in a
    /// file. An unreadable file is reported already.
    pub(super) fn lacks(&self, secret: Option<&SecretString>, key: &str) -> bool {
        secret.is_none()
            && self.written(&format!("{key}_file")).is_none()
            && self.source.secrets != Secrets::MayLack
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<At<'a>> {
        self.typed(key, "must be a string", DeValue::as_str)
    }

    /// A text, however it is.
    pub(super) fn string(&self, key: &str) -> Option<String> {
        self.text(key).map(|text| text.value.to_owned())
    }

    /// A text that has to be there; where it is not written, this is said of the section.
    pub(super) fn required(
        &self,
        key: &str,
        message: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) -> Option<At<'a>> {
        if self.span.is_some() && self.written(key).is_none() {
            self.error(message, hint);
        }
        self.text(key)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.typed(key, "must be `true` or `false`", DeValue::as_bool)
            .map(|at| at.value)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&self, key: &str, least: u32, most: u32) -> Option<u32> {
        let whole = self.typed(key, "must be a whole number", DeValue::as_integer)?;
        let number = u32::from_str_radix(whole.value.as_str(), whole.value.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("`{}` must be from {least} to {most}", whole.what);
            whole.error(message, "");
        }
        number
    }

    /// A duration such as `5m`.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        let text = self.text(key)?;
        text.ok(duration::parse(text.value))
    }

    /// A duration, or this one where there is none.
    pub(super) fn duration_or(&self, key: &str, default: Duration) -> Duration {
        self.duration(key).unwrap_or(default)
    }

    /// `timeout`: how long a question may take, from 1 to 30 seconds.
    pub(super) fn timeout(&self, default: Duration) -> Duration {
        let timeout = self.duration_or("timeout", default);
        if timeout > Duration::from_secs(30) {
            let message = format!("`{}.timeout` must be from 1s to 30s", self.kind.name);
            self.error_at("timeout", message, "");
        }
        timeout
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.text(key)?.one_of(words)
    }

    /// A list of texts; entries of another type are reported and left out.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<At<'a>>> {
        let list = self.typed(key, "must be a list of strings", DeValue::as_array)?;
        let must = "must list strings";
        let texts = list.value.iter().filter_map(|entry| {
            self.converted(entry, &list.span, list.what.clone(), must, DeValue::as_str)
        });
        Some(texts.collect())
    }

    /// A text, or a list of texts; what is neither is reported and left out.
    pub(super) fn one_or_more(&self, key: &str) -> Option<Vec<At<'a>>> {
        let (found, value) = self.table?.get_key_value(key)?;
        Some(self.texts_of(format!("{}.{key}", self.kind.name), &found.span(), value))
    }

    /// A table of free names, each with a text or a list of texts.
    pub(super) fn named_texts(&self, key: &str) -> BTreeMap<String, Vec<At<'a>>> {
        let table = self.free_table(key).into_iter().flatten();
        let named = table.map(|(name, value)| {
            let what = format!("{key}.{}", name.get_ref());
            let texts = self.texts_of(what, &name.span(), value);
            (name.get_ref().to_string(), texts)
        });
        named.collect()
    }

    fn texts_of(
        &self,
        what: String,
        key: &Range<usize>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Vec<At<'a>> {
        let several = match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _ => vec![value],
        };
        let must = "must be a string or a list of strings";
        let texts = several.into_iter();
        texts
            .filter_map(|one| self.converted(one, key, what.clone(), must, DeValue::as_str))
            .collect()
    }

    /// A table within this one, such as `scale = { min = 1 }`.
    pub(super) fn table<T>(&self, kind: Kind, read: impl FnOnce(&Section<'a>) -> T) -> T {
        let table = self.typed(kind.name, "must be a table", DeValue::as_table);
        self.within(kind, table, read)
    }

    /// A text, or a table within this one.
    pub(super) fn text_or_table<T>(
        &self,
        kind: Kind,
        read: impl FnOnce(Option<At<'a>>, &Section<'a>) -> T,
    ) -> T {
        let value = self.table.and_then(|table| table.get(kind.name));
        let is_text = value.is_some_and(|value| value.get_ref().is_str());
        let text = is_text.then(|| self.text(kind.name)).flatten();
        let must = "must be a string or a table";
        let table = (!is_text)
            .then(|| self.typed(kind.name, must, DeValue::as_table))
            .flatten();
        self.within(kind, table, |table| read(text, table))
    }

    /// A list whose entries are texts or tables; the text of the former stands beside a table of none.
    pub(super) fn texts_or_tables<T>(
        &self,
        kind: Kind,
        mut read: impl FnMut(Option<At<'a>>, &Section<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let list = self.typed(kind.name, "must be a list", DeValue::as_array)?;
        let mut all = Vec::new();
        for entry in list.value {
            let span = place(&list.span, entry);
            let (text, table) = match entry.get_ref() {
                DeValue::String(text) => (Some(text.as_ref()), None),
                DeValue::Table(table) => (None, Some(table)),
                other => {
                    let message = format!(
                        "`{}` must list strings or tables, not {}",
                        list.what,
                        kind_of(other)
                    );
                    self.source.error(span, message, "");
                    continue;
                }
            };
            let text = text.map(|value| At {
                value,
                span: span.clone(),
                what: list.what.clone(),
                source: self.source,
            });
            let read = |section: &Section<'a>| read(text, section);
            all.extend(Self::read(self.source, kind, Some(span), table, read));
        }
        Some(all)
    }

    fn within<T>(
        &self,
        kind: Kind,
        table: Option<At<'a, &'a DeTable<'a>>>,
        read: impl FnOnce(&Section<'a>) -> T,
    ) -> T {
        let span = table.as_ref().map(|at| at.span.clone());
        Self::read(self.source, kind, span, table.map(|at| at.value), read)
    }

    /// A table within this one whose keys are free to choose.
    pub(super) fn free_table(&self, key: &str) -> Option<&'a DeTable<'a>> {
        self.typed(key, "must be a table", DeValue::as_table)
            .map(|at| at.value)
    }

    fn report_unknown_keys(&self) {
        for (key, _) in self.table.into_iter().flatten() {
            let (name, section) = (key.get_ref().as_ref(), self.kind.name);
            if self.kind.keys().any(|known| known == name) {
                continue;
            }
            let hint = self.source.elsewhere(name).unwrap_or_else(|| {
                let all: Vec<_> = self.kind.keys().collect();
                let all = format!("`{section}` has: {}", all.join(", "));
                did_you_mean(name, self.kind.keys(), all)
            });
            let message = format!("unknown key `{name}` in `{section}`");
            self.source.error(key.span(), message, hint);
        }
    }
}

/// The bytes of a value; those of its key where the parser gives none.
pub(super) fn place(key: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    let span = value.span();
    if span.is_empty() { key.clone() } else { span }
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
