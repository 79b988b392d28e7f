//! Names in lists such as `[[service]]`: each once, and which one a section means.

use std::collections::HashMap;
use std::ops::Range;

use super::at::{At, did_you_mean};
use super::section::Section;
use crate::domain::{Service, ServiceName};

/// Names that are to be there once, each with the byte of its first place.
#[derive(Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// Whether a section is the first with this name; reported at `span` otherwise, with `more` to
    /// the hint.
    pub(super) fn first(
        &mut self,
        section: &Section<'_>,
        name: &str,
        span: Range<usize>,
        more: &str,
    ) -> bool {
        let Some(first) = self.0.get(name) else {
            self.0.insert(name.to_owned(), span.start);
            return true;
        };
        let hint = format!("the first is in line {}{more}", section.source.line(*first));
        let message = format!("a second {} `{name}`", section.name());
        section.source.error(span, message, hint);
        false
    }
}

/// The `name` of an installation of a platform, such as an `[[engine]]`, as services write it;
/// `article`: "a" or "an".
pub(super) fn installation(
    section: &Section<'_>,
    article: &str,
    names: &mut Names,
) -> Option<String> {
    let kind = section.name();
    let message = format!("{article} {kind} without a name");
    let hint = format!("add `name`, as services will write it in `{kind}`");
    let name = section.required("name", message, hint)?;
    if !is_label(name.value) {
        let message = format!("{article} {kind} can't be called `{}`", name.value);
        name.error(
            message,
            "use lower-case letters, digits and `-`, at most 63",
        );
    }
    names.first(section, name.value, name.span, "");
    Some(name.value.to_owned())
}

/// The `name` of what people type, each once. What is wrong with it is told.
pub(super) fn label<'a>(
    section: &Section<'a>,
    names: &mut Names,
    hint: &'static str,
) -> Option<At<'a>> {
    let message = format!("a {} without a name", section.name());
    let name = section.required("name", message, hint)?;
    if !is_label(name.value) {
        name.refuse("use lower-case letters, digits and `-`, at most 63");
    }
    names.first(section, name.value, name.span.clone(), "");
    Some(name)
}

/// The installation that a service names by this key: the inner `None` where it names none, the outer
/// one after a mistake.
#[expect(clippy::option_option, reason = "an error, none, or this one")]
pub(super) fn chosen(
    section: &Section<'_>,
    key: &'static str,
    names: &[&str],
    otherwise: &str,
) -> Option<Option<String>> {
    if section.written(key).is_none() {
        return Some(None);
    }
    let text = section.text(key)?;
    if names.contains(&text.value) {
        return Some(Some(text.value.to_owned()));
    }
    // `key` is the name of the kind as well.
    if text.source.is_left_out(key, text.value) {
        return None;
    }
    let hint = did_you_mean(text.value, names.iter().copied(), otherwise);
    text.error(format!("there is no {key} `{}`", text.value), hint);
    None
}

/// The service that `service` or `services` of a section names.
pub(super) fn known_service(text: &At<'_>, services: &[Service]) -> Option<ServiceName> {
    let found = services.iter().find(|one| one.name.as_str() == text.value);
    if found.is_none() && !text.source.is_left_out("service", text.value) {
        let names = || services.iter().map(|service| service.name.as_str());
        let all = format!("there are: {}", names().collect::<Vec<_>>().join(", "));
        let (section, _) = text.what.split_once('.').unwrap_or_default();
        let message = format!("`{section}.service`: there is no service `{}`", text.value);
        text.error(message, did_you_mean(text.value, names(), all));
    }
    found.map(|service| service.name.clone())
}

/// A name as Kubernetes has it: lower-case letters, digits and `-`, neither first nor last.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
