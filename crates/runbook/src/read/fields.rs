//! Taking a map of the document apart, key by key, with every mistake told.

use std::time::Duration;

use serde_json::Value;

use super::LeftOut;
use crate::source::{At, Finding, Source, Span};
use crate::template::{Condition, Shape, Template};
use crate::yaml::{Kind, Node, Scalar};
use treasury_domain::duration;

/// The keys of a map. Each is taken once; [`Fields::end`] tells of those that nobody took.
pub(super) struct Fields<'n> {
    pub(super) span: Span,
    pairs: Vec<(&'n At<String>, &'n Node, bool)>,
}

/// Reads parts of one text and gathers what is wrong with it.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    pub(super) findings: Vec<Finding>,
    pub(super) left_out: LeftOut,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.wrong(Finding::error(span, message));
    }

    pub(super) fn error_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.wrong(Finding::error(span, message).help(help));
    }

    /// Tells what is wrong; there is nothing to go on with.
    pub(super) fn refuse<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.error(span, message);
        None
    }

    /// The value, or none and what is wrong.
    fn found<T>(&mut self, result: Result<T, Finding>) -> Option<T> {
        result.map_err(|finding| self.wrong(finding)).ok()
    }

    /// The map's keys, or a finding.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
        if let Kind::Map(pairs) = &node.kind {
            return Some(Fields {
                span: node.span,
                pairs: pairs
                    .iter()
                    .map(|(key, value)| (key, value, false))
                    .collect(),
            });
        }
        self.refuse(
            node.span,
            format!("{what} is a map of keys; this is {}", node.what()),
        )
    }

    /// The list's items, or a finding.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            _ => {
                self.error(
                    node.span,
                    format!("{what} is a list; this is {}", node.what()),
                );
                &[]
            }
        }
    }

    fn scalar<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Scalar> {
        match &node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => Some(scalar),
            _ => self.refuse(
                node.span,
                format!("{what} is a text; this is {}", node.what()),
            ),
        }
    }

    /// A text without expressions.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<At<String>> {
        let scalar = self.scalar(node, what)?;
        if scalar.text.contains("${{") {
            return self.refuse(
                node.span,
                format!("{what} is fixed: it can't have `${{{{ … }}}}` in it"),
            );
        }
        Some(At::new(scalar.text.clone(), node.span))
    }

    /// A name: small letters, digits and a joining character.
    pub(super) fn name(&mut self, node: &Node, what: &str, joining: char) -> Option<At<String>> {
        let text = self.text(node, what)?;
        let good = text.value.len() <= 60
            && text.value.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .value
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joining);
        if good {
            return Some(text);
        }
        let mended: String = text
            .value
            .to_lowercase()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c
                } else {
                    joining
                }
            })
            .collect();
        self.error_help(
            node.span,
            format!(
                "{what} has small letters, digits and `{joining}`, at most 60, and begins with a \
                 letter"
            ),
            format!("for example `{mended}`"),
        );
        None
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, what)?;
        let wrong = |error: duration::InvalidDuration| Finding::error(node.span, error.to_string());
        self.found(duration::parse(&text.value).map_err(wrong))
    }

    pub(super) fn number(&mut self, node: &Node, what: &str) -> Option<f64> {
        let scalar = self.scalar(node, what)?;
        let number = scalar.value().as_f64();
        number.or_else(|| self.refuse(node.span, format!("{what} is a number; this is a text")))
    }

    /// A whole number within bounds.
    pub(super) fn count(&mut self, node: &Node, what: &str, least: u32, most: u32) -> Option<u32> {
        let number = self.number(node, what)?;
        if number.fract() == 0.0 && number >= f64::from(least) && number <= f64::from(most) {
            return Some(number as u32);
        }
        self.refuse(
            node.span,
            format!("{what} is a whole number from {least} to {most}"),
        )
    }

    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match self.scalar(node, what)?.value() {
            Value::Bool(flag) => Some(flag),
            _ => self.refuse(node.span, format!("{what} is `true` or `false`")),
        }
    }

    /// Where the byte of a scalar's text stands in the source.
    fn place(&self, node: &Node, scalar: &Scalar) -> impl Fn(usize) -> usize + use<> {
        let start = node.span.start;
        let places = places(&scalar.text, self.source.slice(node.span));
        move |offset: usize| {
            let last = places.last().copied().unwrap_or_default();
            start + places.get(offset).copied().unwrap_or(last)
        }
    }

    pub(super) fn template(&mut self, node: &Node, what: &str) -> Option<Template> {
        let scalar = self.scalar(node, what)?;
        let place = self.place(node, scalar);
        self.found(Template::parse(&scalar.text, node.span, place))
    }

    pub(super) fn condition(&mut self, node: &Node, what: &str) -> Option<Condition> {
        let scalar = self.scalar(node, what)?;
        let place = self.place(node, scalar);
        self.found(Condition::parse(&scalar.text, node.span, place))
    }

    /// Any value, with expressions in its texts.
    pub(super) fn shape(&mut self, node: &Node) -> Option<At<Shape>> {
        let shape = match &node.kind {
            Kind::Scalar(scalar) => match scalar.value() {
                Value::String(_) => Shape::Text(self.template(node, "a value")?),
                other => Shape::Fixed(other),
            },
            Kind::List(items) => {
                Shape::List(items.iter().filter_map(|item| self.shape(item)).collect())
            }
            Kind::Map(pairs) => Shape::Record(self.shapes(pairs)),
        };
        Some(At::new(shape, node.span))
    }

    fn shapes(&mut self, pairs: &[(At<String>, Node)]) -> Vec<(At<String>, At<Shape>)> {
        let shape = |(key, value): &(At<String>, Node)| Some((key.clone(), self.shape(value)?));
        pairs.iter().filter_map(shape).collect()
    }

    /// The parameters of a call.
    pub(super) fn with(&mut self, node: Option<&Node>) -> Vec<(At<String>, At<Shape>)> {
        let Some(node) = node else {
            return Vec::new();
        };
        match &node.kind {
            Kind::Map(pairs) => self.shapes(pairs),
            _ => {
                self.error(
                    node.span,
                    format!("`with` is a map of parameters; this is {}", node.what()),
                );
                Vec::new()
            }
        }
    }
}

/// What is said to who looks for a shell.
pub const NO_SHELL: &str = "no step runs a shell: `treasury-bot probe --list` tells what there is";

/// A word that stands for a shell, such as `shell` or `host.exec`.
pub fn is_shell(word: &str) -> bool {
    let word = word.to_lowercase();
    let words = ["shell", "command", "exec", "bash", "script", "run"];
    word.split(['.', '_', '-']).any(|own| words.contains(&own))
}

/// Where each byte of a text stands in what was written for it, and its end: lines that were folded,
/// indentation, quotes and escapes lie between.
fn places(text: &str, written: &str) -> Vec<usize> {
    let quote = written.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut at = match written.as_bytes().first() {
        Some(b'|' | b'>') => written.find('\n').map_or(0, |at| at + 1),
        _ => usize::from(quote.is_some()),
    };
    let rest = |at: usize| written.get(at..).unwrap_or_default();
    let mut places = Vec::with_capacity(text.len() + 1);
    for c in text.chars() {
        let mut next = rest(at).chars().next();
        // A break between lines stands for one space, or for none.
        while let Some(space) = next.filter(|next| next.is_whitespace() && !c.is_whitespace()) {
            at += space.len_utf8();
            next = rest(at).chars().next();
        }
        places.extend((0..c.len_utf8()).map(|byte| at + byte));
        at += match next {
            Some('\'') if quote == Some('\'') => 2,
            Some('\\') if quote == Some('"') => escaped(rest(at)),
            Some(next) if next.is_whitespace() || !c.is_whitespace() => next.len_utf8(),
            _ => 0,
        };
    }
    places.push(at.min(written.len()));
    places
}

/// Bytes of an escape in double quotes: `\n`, `\x41`, `\u00e4`.
fn escaped(text: &str) -> usize {
    match text.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        _ => 1 + text.chars().nth(1).map_or(0, char::len_utf8),
    }
}

impl<'n> Fields<'n> {
    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        self.pairs
            .iter_mut()
            .find(|(found, ..)| found.value == key)
            .map(|(_, node, taken)| {
                *taken = true;
                *node
            })
    }

    /// Takes these keys without looking at their values.
    pub(super) fn take_all(&mut self, keys: &[&str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// What a key holds, if it is there, read in this way under its own name.
    pub(super) fn read<'s, T>(
        &mut self,
        reader: &mut Reader<'s>,
        key: &str,
        read: impl FnOnce(&mut Reader<'s>, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        read(reader, self.take(key)?, &format!("`{key}`"))
    }

    /// The same of a key that has to be there.
    pub(super) fn read_needed<'s, T>(
        &mut self,
        reader: &mut Reader<'s>,
        key: &str,
        help: &str,
        read: impl FnOnce(&mut Reader<'s>, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        let node = self.need(reader, key, help)?;
        read(reader, node, &format!("`{key}`"))
    }

    /// The value of a key that has to be there.
    pub(super) fn need(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        help: &str,
    ) -> Option<&'n Node> {
        let found = self.take(key);
        if found.is_none() {
            let first = Span::new(self.span.start, self.span.start + 1);
            let span = self.pairs.first().map_or(first, |(key, ..)| key.span);
            reader.error_help(span, format!("`{key}` is missing"), help);
        }
        found
    }

    /// The keys that are there.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'n At<String>> {
        self.pairs.iter().map(|(key, ..)| *key)
    }

    /// Tells of the keys that nobody took.
    pub(super) fn end(self, reader: &mut Reader<'_>, known: &[&str]) {
        for (key, _, taken) in self.pairs {
            if taken {
                continue;
            }
            let cut: String = key.value.chars().take(60).collect();
            if known.contains(&key.value.as_str()) {
                let message = format!("`{cut}` means nothing here");
                reader.error(key.span, message);
                continue;
            }
            let finding = Finding::error(key.span, format!("unknown key `{cut}`"));
            if is_shell(&key.value) {
                reader.wrong(finding.help(NO_SHELL));
                continue;
            }
            let all: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            reader.wrong(finding.near_or(
                &key.value,
                known.iter().copied(),
                format!("known are {}", all.join(", ")),
            ));
        }
    }
}
