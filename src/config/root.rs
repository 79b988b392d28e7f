//! The file as a whole: its sections, in any order.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::at::At;
use super::kind::Kind;
use super::section::{Section, kind_of, place};
use super::source::Source;
use crate::command::nearest;

/// All that stands in the file.
pub(super) struct Root<'a> {
    table: &'a DeTable<'a>,
    pub(super) source: &'a Source<'a>,
}

impl<'a> Root<'a> {
    /// The file's sections. What stands beside them is reported.
    pub(super) fn new(table: &'a DeTable<'a>, source: &'a Source<'a>) -> Self {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if source.kinds.iter().any(|kind| kind.name == name) {
                continue;
            }
            let is_section = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(list) => list.iter().any(|entry| entry.get_ref().is_table()),
                _ => false,
            };
            if is_section {
                let near = nearest(name, source.kinds.iter().map(|kind| kind.name));
                let near = near.and_then(|near| source.kinds.iter().find(|kind| kind.name == near));
                let hint = match near {
                    Some(near) => format!("did you mean `{}`?", near.header()),
                    None => {
                        let all: Vec<_> = source.kinds.iter().map(|kind| kind.name).collect();
                        format!("there are: {}", all.join(", "))
                    }
                };
                source.error(key.span(), format!("unknown section `{name}`"), hint);
            } else {
                let message = format!("unknown key `{name}` outside of any section");
                source.error(
                    key.span(),
                    message,
                    source.elsewhere(name).unwrap_or_default(),
                );
            }
        }
        Self { table, source }
    }

    /// How many entries of this kind are written.
    pub(super) fn count(&self, kind: Kind) -> usize {
        match self.table.get(kind.name).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => list.len(),
            Some(_) => 1,
            None => 0,
        }
    }

    /// Reads the section of this kind; all its keys are absent where it is not there.
    pub(super) fn single<T>(&self, kind: Kind, read: impl FnOnce(&Section<'a>) -> T) -> T {
        let (mut span, mut table) = (None, None);
        if let Some((key, value)) = self.table.get_key_value(kind.name) {
            table = value.get_ref().as_table();
            span = Some(match table {
                Some(_) => place(&key.span(), value),
                None => key.span(),
            });
            if table.is_none() {
                let (name, found) = (kind.name, kind_of(value.get_ref()));
                let message = format!("`{name}` must be a section, not {found}");
                let hint = format!("write `{}` once", kind.header());
                self.source.error(key.span(), message, hint);
            }
        }
        Section::read(self.source, kind, span, table, read)
    }

    /// Reads all tables within the section of this kind, such as `[reach.phone]`, with their names.
    pub(super) fn named<T>(
        &self,
        kind: Kind,
        mut read: impl FnMut(&At<'a>, &Section<'a>) -> Option<T>,
    ) -> Vec<T> {
        let Some((key, value)) = self.table.get_key_value(kind.name) else {
            return Vec::new();
        };
        let write = format!("write `[{}.NAME]`", kind.name);
        let DeValue::Table(all) = value.get_ref() else {
            let message = format!(
                "`{}` must hold tables, not {}",
                kind.name,
                kind_of(value.get_ref())
            );
            self.source.error(key.span(), message, write);
            return Vec::new();
        };
        let tables = all.iter().filter_map(|(name, value)| {
            let Some(table) = value.get_ref().as_table() else {
                let (what, found) = (name.get_ref(), kind_of(value.get_ref()));
                let message = format!("`{}.{what}` must be a table, not {found}", kind.name);
                self.source.error(name.span(), message, &write);
                return None;
            };
            let at = At {
                value: name.get_ref().as_ref(),
                span: name.span(),
                what: kind.name.to_owned(),
                source: self.source,
            };
            let span = Some(place(&name.span(), value));
            let found = Section::read(self.source, kind, span, Some(table), |section| {
                read(&at, section)
            });
            if found.is_none() {
                self.source.leave_out(kind.name, at.value);
            }
            found
        });
        tables.collect()
    }

    /// Reads all sections of this kind, such as `[[service]]`, in the file's order. Entries that
    /// are no tables are reported and left out.
    pub(super) fn list<T>(
        &self,
        kind: Kind,
        mut read: impl FnMut(&Section<'a>) -> Option<T>,
    ) -> Vec<T> {
        let Some((key, value)) = self.table.get_key_value(kind.name) else {
            return Vec::new();
        };
        let name = kind.name;
        let write = format!("write `{}`", kind.header());
        let DeValue::Array(list) = value.get_ref() else {
            let found = kind_of(value.get_ref());
            let message = format!("`{name}` must be a list of tables, not {found}");
            self.source.error(key.span(), message, write);
            return Vec::new();
        };
        let mut all = Vec::new();
        for entry in list {
            let DeValue::Table(table) = entry.get_ref() else {
                let found = kind_of(entry.get_ref());
                let message = format!("`{name}` must list tables, not {found}");
                self.source.error(entry.span(), message, &write);
                continue;
            };
            let span = Some(entry.span());
            let found = Section::read(self.source, kind, span, Some(table), &mut read);
            if let (None, Some(name)) = (&found, table.get("name")) {
                let name = name.get_ref().as_str().unwrap_or_default();
                self.source.leave_out(kind.name, name);
            }
            all.extend(found);
        }
        all
    }

    /// All texts of the file with their places, called by the section and the keys they stand under.
    pub(super) fn each_text(&self, look: &mut impl FnMut(&At<'_>)) {
        for (key, value) in self.table {
            walk(self.source, key.get_ref(), value, look);
        }
    }
}

fn walk<'a>(
    source: &'a Source<'a>,
    what: &str,
    value: &'a Spanned<DeValue<'a>>,
    look: &mut impl FnMut(&At<'_>),
) {
    match value.get_ref() {
        DeValue::String(text) => look(&At {
            value: text.as_ref(),
            span: value.span(),
            what: what.to_owned(),
            source,
        }),
        DeValue::Array(list) => list.iter().for_each(|one| walk(source, what, one, look)),
        DeValue::Table(table) => {
            for (key, value) in table {
                walk(source, &format!("{what}.{}", key.get_ref()), value, look);
            }
        }
        _ => {}
    }
}
