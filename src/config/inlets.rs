//! `[[source]]`: senders of alerts beside Alertmanager.

use std::collections::{BTreeMap, HashMap};

use secrecy::SecretString;
use toml::de::DeTable;

use super::reader::{At, Reader, kind_of, tables};
use super::secret::{environment, file};
use super::sections::elsewhere;
use super::source::Report;
use super::{Env, SourceSection};
use crate::domain::alert::Alert;
use crate::domain::alert::generic::{Mapping, Place, Places, Preset};

/// The keys of `[[source]]`.
pub(super) const SOURCE: [&str; 19] = [
    "name",
    "preset",
    "token_file",
    "signature",
    "envelope",
    "alerts",
    "fingerprint",
    "title",
    "summary",
    "status",
    "firing",
    "resolved",
    "ignored",
    "starts_at",
    "severity",
    "severities",
    "labels",
    "annotations",
    "link",
];

/// All sources, in the file's order.
pub(super) fn sources(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    env: Env<'_>,
) -> Vec<SourceSection> {
    let mut names = HashMap::new();
    let readers = tables(report, root, "source").map(|(_, readers)| readers);
    readers
        .into_iter()
        .flatten()
        .filter_map(|reader| source(report, reader, env, &mut names))
        .collect()
}

fn source(
    report: &mut Report<'_>,
    mut reader: Reader<'_, '_>,
    env: Env<'_>,
    names: &mut HashMap<String, usize>,
) -> Option<SourceSection> {
    let name = name(report, &mut reader, names);
    let token = token(report, &mut reader, env, name.as_deref());
    let preset = reader.word(report, "preset", &Preset::ALL);
    let usual = preset.unwrap_or_default().mapping();
    let signature = reader.text(report, "signature").and_then(|text| {
        let good = !text.value.is_empty()
            && text
                .value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !good {
            let message = format!("`source.signature` can't be `{}`", text.value);
            let hint = "write the name of a header, such as `Sentry-Hook-Signature`".to_owned();
            report.error(text.span, message, Some(hint));
        }
        good.then(|| text.value.to_ascii_lowercase())
    });
    let sns = reader.word(report, "envelope", &[("none", false), ("sns", true)]);
    let alerts = reader.text(report, "alerts").and_then(|text| {
        if text.value.starts_with('/') {
            return Some(text.value.to_owned());
        }
        let message = format!("`source.alerts` can't be `{}`", text.value);
        let hint = "write where the list is: a JSON Pointer such as /alerts".to_owned();
        report.error(text.span, message, Some(hint));
        None
    });
    let mut places = |report: &mut Report<'_>, key, usual| {
        let texts = reader.one_or_more(report, key);
        texts.map_or(usual, |texts| read(report, &format!("source.{key}"), texts))
    };
    let fingerprint = places(report, "fingerprint", usual.fingerprint);
    let title = places(report, "title", usual.name);
    let summary = places(report, "summary", usual.summary);
    let status = places(report, "status", usual.status);
    let starts_at = places(report, "starts_at", usual.starts_at);
    let severity = places(report, "severity", usual.severity);
    let link = places(report, "link", usual.link);
    let mut words = |report: &mut Report<'_>, key, usual| {
        let texts = reader.one_or_more(report, key);
        texts.map_or(usual, |texts| {
            let lower = |text: At<&str>| text.value.trim().to_lowercase();
            texts.into_iter().map(lower).collect()
        })
    };
    let firing: Vec<String> = words(report, "firing", usual.firing);
    let resolved: Vec<String> = words(report, "resolved", usual.resolved);
    let ignored: Vec<String> = words(report, "ignored", usual.ignored);
    let mapping = Mapping {
        sns: sns.unwrap_or(usual.sns),
        signature: signature.or(usual.signature),
        alerts: alerts.or(usual.alerts),
        fingerprint,
        name: title,
        summary,
        status,
        starts_at,
        severity,
        link,
        severities: severities(report, &mut reader).unwrap_or(usual.severities),
        labels: named(report, &mut reader, "labels", usual.labels),
        annotations: named(report, &mut reader, "annotations", usual.annotations),
        firing,
        resolved,
        ignored,
    };
    if let Some(both) = mapping
        .firing
        .iter()
        .find(|word| mapping.resolved.contains(word) || mapping.ignored.contains(word))
    {
        let message = format!("`{both}` can't mean firing and something else");
        let hint = "take it out of `resolved` or `ignored`".to_owned();
        report.error(reader.span.clone(), message, Some(hint));
    }
    reader.finish(report, elsewhere);
    Some(SourceSection {
        name: name?,
        token,
        mapping,
    })
}

fn name(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    names: &mut HashMap<String, usize>,
) -> Option<String> {
    let has_name = reader.written("name").is_some();
    let Some(text) = reader.text(report, "name") else {
        if !has_name {
            let hint = "add `name`: it sends to /alerts/generic/NAME".to_owned();
            report.error(reader.span.clone(), "a source without a name", Some(hint));
        }
        return None;
    };
    let name = text.value;
    let good = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !good {
        let message = format!("a source can't be called `{name}`");
        let hint = "use lower-case letters, digits and `-`, at most 40".to_owned();
        report.error(text.span, message, Some(hint));
        return None;
    }
    if Alert::OWN_SOURCES.contains(&name) {
        let message = format!("a source can't be called `{name}`: that is one of the bot's own");
        report.error(text.span, message, None);
        return None;
    }
    if let Some(first) = names.insert(name.to_owned(), text.span.start) {
        let hint = format!("the first is in line {}", report.line(first));
        report.error(text.span, format!("a second source `{name}`"), Some(hint));
        return None;
    }
    Some(name.to_owned())
}

/// From the source's own variable, else from its file.
fn token(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    env: Env<'_>,
    name: Option<&str>,
) -> Option<SecretString> {
    let named = reader.text(report, "token_file");
    let own = name.and_then(|name| {
        let name = name.to_ascii_uppercase().replace('-', "_");
        environment(env, &format!("TREASURY_BOT_ALERTS_{name}_TOKEN"))
    });
    own.or_else(|| named.and_then(|path| file(report, "source.token_file", &path)))
}

fn read(report: &mut Report<'_>, what: &str, texts: Vec<At<&str>>) -> Places {
    let places = texts.into_iter().filter_map(|text| {
        Place::parse(text.value)
            .map_err(|error| report.error(text.span, format!("`{what}`: {error}"), None))
            .ok()
    });
    Places::new(places.collect())
}

/// What words for how bad something is mean.
fn severities(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
) -> Option<BTreeMap<String, String>> {
    let table = reader.raw_table(report, "severities")?;
    let mut meanings = BTreeMap::new();
    for (key, value) in table {
        let word = key.get_ref().trim().to_lowercase();
        match value.get_ref().as_str().map(str::trim) {
            Some(meaning) if !meaning.is_empty() => {
                meanings.insert(word, meaning.to_owned());
            }
            _ => {
                let kind = kind_of(value.get_ref());
                let message = format!("`severities.{word}` must be a text, not {kind}");
                let hint = "write SEV1 to SEV4, or critical, warning or info".to_owned();
                report.error(key.span(), message, Some(hint));
            }
        }
    }
    Some(meanings)
}

/// Labels or annotations: those of the preset, and what is written.
fn named(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    key: &'static str,
    mut all: BTreeMap<String, Places>,
) -> BTreeMap<String, Places> {
    for (name, texts) in reader.named_texts(report, key) {
        let places = read(report, &format!("source.{key}.{name}"), texts);
        all.insert(name, places);
    }
    all
}
