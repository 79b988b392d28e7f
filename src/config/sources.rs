//! `[[source]]`: senders of alerts beside Alertmanager.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::at::At;
use super::kind::Kind;
use super::names::Names;
use super::root::Root;
use super::section::{Section, kind_of};
use crate::domain::alert::Alert;
use crate::domain::alert::generic::{Mapping, Place, Places, Preset, Shape};
use crate::web::AlertSource;

pub(super) const SOURCE: Kind = Kind::list(
    "source",
    "name preset token_file signature envelope topics certificates alerts fingerprint title summary \
     status firing resolved ignored starts_at severity severities labels annotations link",
);

/// All senders, in the file's order, each name once. `has_token`: that of `[alerts]` is there.
pub(super) fn sources(root: &Root<'_>, has_token: bool) -> Vec<AlertSource> {
    let mut names = Names::default();
    root.list(SOURCE, |one| source(one, &mut names, has_token))
}

/// A sender: what its preset says, with what the section says otherwise.
fn source(section: &Section<'_>, names: &mut Names, has_token: bool) -> Option<AlertSource> {
    let name = sender_name(section, names, "source", "/alerts/generic/NAME");
    let (variable, token) = sender_token(section, "TREASURY_BOT_ALERTS", name.as_deref());
    let preset = section.word("preset", &Preset::ALL).unwrap_or_default();
    let usual = preset.mapping();
    let signature = |text: At<'_>| {
        let of_header = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let good = !text.value.is_empty() && text.value.bytes().all(of_header);
        let hint = "write the name of a header, such as `Sentry-Hook-Signature`";
        text.good(good, hint).map(|name| name.to_ascii_lowercase())
    };
    let signatures = section.one_or_more("signature");
    let signatures = signatures.map(|texts| texts.into_iter().filter_map(signature).collect());
    let alerts = section.text("alerts").and_then(|text| {
        let hint = "write where the list is: a JSON Pointer such as /alerts";
        text.good(text.value.starts_with('/'), hint)
    });
    let places = |key, usual| section.one_or_more(key).map_or(usual, places);
    let words = |key, usual| {
        let lower = |text: At<'_>| text.value.trim().to_lowercase();
        let texts = section.one_or_more(key);
        texts.map_or(usual, |texts| texts.into_iter().map(lower).collect())
    };
    let mapping = Mapping {
        shape: section
            .word("envelope", &[("none", Shape::Json), ("sns", Shape::Sns)])
            .unwrap_or(usual.shape),
        signatures: signatures.unwrap_or(usual.signatures),
        alerts: alerts.or(usual.alerts),
        fingerprint: places("fingerprint", usual.fingerprint),
        name: places("title", usual.name),
        summary: places("summary", usual.summary),
        status: places("status", usual.status),
        starts_at: places("starts_at", usual.starts_at),
        severity: places("severity", usual.severity),
        link: places("link", usual.link),
        severities: severities(section).unwrap_or(usual.severities),
        labels: named(section, "labels", usual.labels),
        annotations: named(section, "annotations", usual.annotations),
        firing: words("firing", usual.firing),
        resolved: words("resolved", usual.resolved),
        ignored: words("ignored", usual.ignored),
    };
    let means_more =
        |word: &&String| mapping.resolved.contains(word) || mapping.ignored.contains(word);
    if let Some(both) = mapping.firing.iter().find(means_more) {
        let message = format!("`{both}` can't mean firing and something else");
        section.error(message, "take it out of `resolved` or `ignored`");
    }
    let topic = |text: At<'_>| {
        let hint = "write a topic's ARN, such as arn:aws:sns:eu-west-1:123456789012:alarms";
        text.good(text.value.starts_with("arn:"), hint)
    };
    let topics = section.one_or_more("topics").unwrap_or_default();
    let topics: Vec<String> = topics.into_iter().filter_map(topic).collect();
    if !topics.is_empty() && mapping.shape != Shape::Sns {
        let hint = "add `envelope = \"sns\"`, or `preset = \"cloudwatch\"`";
        section.error("`topics` are of Amazon SNS only", hint);
    }
    if let (Some(name), false, true) = (&name, has_token, topics.is_empty())
        && section.lacks(token.as_ref(), "token")
    {
        let message = format!("all that `{name}` sends is refused: there is no token for it");
        let hint = format!("set {variable}, or `token_file`");
        let at = section.span.clone();
        section.source.fiction(at, message, hint);
    }
    let mirror = section.text("certificates").and_then(|text| text.http());
    Some(AlertSource {
        name: name?,
        token,
        mapping,
        topics,
        certificates: mirror.map(String::from),
    })
}

/// How a sender is called; `what` it is, and where it sends to.
pub(super) fn sender_name(
    section: &Section<'_>,
    names: &mut Names,
    what: &str,
    path: &str,
) -> Option<String> {
    let hint = format!("add `name`: it sends to {path}");
    let text = section.required("name", format!("a {what} without a name"), hint)?;
    let name = text.value;
    let of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=40).contains(&name.len()) || !name.bytes().all(of_name) {
        let message = format!("a {what} can't be called `{name}`");
        text.error(
            message,
            "use lower-case letters, digits and `-`, at most 40",
        );
    } else if Alert::OWN_SOURCES.contains(&name) {
        let message = format!("a {what} can't be called `{name}`: that is one of the bot's own");
        text.error(message, "");
    } else if names.first(section, name, text.span, "") {
        return Some(name.to_owned());
    }
    None
}

/// The variable of a sender, and its token: from there, else from its file; without either, that of
/// `[alerts]` counts.
pub(super) fn sender_token(
    section: &Section<'_>,
    prefix: &str,
    name: Option<&str>,
) -> (String, Option<SecretString>) {
    let named = section.text("token_file");
    let name = name.map(|name| name.to_ascii_uppercase().replace('-', "_"));
    let variable = name.map(|name| format!("{prefix}_{name}_TOKEN"));
    let own = variable.as_deref();
    let own = own.and_then(|variable| section.source.environment(variable));
    let token = own.or_else(|| named?.secret());
    (variable.unwrap_or_default(), token)
}

fn places(texts: Vec<At<'_>>) -> Places {
    let places = texts
        .into_iter()
        .filter_map(|text| text.parsed(Place::parse(text.value)));
    Places::new(places.collect())
}

/// What words for how bad something is mean.
fn severities(section: &Section<'_>) -> Option<BTreeMap<String, String>> {
    let mut meanings = BTreeMap::new();
    for (key, value) in section.free_table("severities")? {
        let word = key.get_ref().trim().to_lowercase();
        match value.get_ref().as_str().map(str::trim) {
            Some(meaning) if !meaning.is_empty() => {
                meanings.insert(word, meaning.to_owned());
            }
            _ => {
                let kind = kind_of(value.get_ref());
                let message = format!("`severities.{word}` must be a text, not {kind}");
                let hint = "write SEV1 to SEV4, or critical, warning or info";
                section.source.error(key.span(), message, hint);
            }
        }
    }
    Some(meanings)
}

/// Labels or annotations: those of the preset, and what is written.
fn named(
    section: &Section<'_>,
    key: &str,
    mut all: BTreeMap<String, Places>,
) -> BTreeMap<String, Places> {
    for (name, mut texts) in section.named_texts(key) {
        for text in &mut texts {
            text.what = format!("source.{}", text.what);
        }
        all.insert(name, places(texts));
    }
    all
}
