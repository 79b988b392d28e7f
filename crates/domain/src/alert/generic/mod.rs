//! Alerts of any other sender: a small mapping says where things are in its JSON.

mod aws;
mod mapping;
mod place;
mod presets;
mod shape;
pub mod sns;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::alertmanager::{LONGEST_ANNOTATION, MOST_ALERTS, bounded, fingerprint, kept, storable};
use super::{Alert, Body, Malformed};
use crate::timeline::cut;

use mapping::ALL;
pub use mapping::{Mapping, Shape};
pub use place::{Place, Places};
pub use presets::Preset;
use shape::{Opened, open};
pub use shape::{Read, dedup_key, digest};

/// Longer names and values of labels are cut to this, bytes: what names the alert is a digest.
const LONGEST_LABEL: usize = 200;
/// Fields with what a sender shows to be let in: they are not kept with the alert.
const SECRETS: &[&str] = &["routing_key", "service_key"];

/// Reads a body of the source of this name. `resource`: what Sentry's header says that it is about.
pub fn parse(
    body: &[u8],
    source: &str,
    mapping: &Mapping,
    resource: Option<&str>,
    now: Timestamp,
) -> Result<Read, Malformed> {
    let (root, own) = match open(body, mapping, resource)? {
        Opened::Report(root) => (root, None),
        Opened::Other(root, own) => (root, Some(own)),
        Opened::Nothing => {
            let ignored = 1;
            return Ok(Read::Alerts(Body {
                ignored,
                ..Body::default()
            }));
        }
        Opened::Read(read) => return Ok(read),
    };
    let mapping = own.as_deref().unwrap_or(mapping);
    let list = match (&root, &mapping.alerts) {
        (Value::Array(list), _) if !list.is_empty() => Some(("", list)),
        (Value::Object(_), None) => None,
        (Value::Object(_), Some(pointer)) => match root.pointer(pointer) {
            Some(Value::Array(list)) => Some((&pointer[..], list)),
            None => None,
            Some(_) => return Err(Malformed::new(pointer, "must be a list")),
        },
        _ => {
            let what = "a JSON object is expected, or a list of them";
            return Err(Malformed::new("", what));
        }
    };
    let Some((pointer, list)) = list else {
        let one = report(&root, &root, "", source, mapping, now)?;
        return Ok(Read::Alerts(Body {
            ignored: usize::from(one.is_none()),
            alerts: one.into_iter().collect(),
            ..Body::default()
        }));
    };
    let mut said = Body {
        left_out: list.len().saturating_sub(MOST_ALERTS) as u64,
        ..Body::default()
    };
    for (index, one) in list.iter().take(MOST_ALERTS).enumerate() {
        let at = format!("{pointer}/{index}");
        let around = if root.is_array() { one } else { &root };
        match report(one, around, &at, source, mapping, now) {
            Ok(Some(alert)) => said.alerts.push(alert),
            Ok(None) => said.ignored += 1,
            Err(error) => said.malformed.push(error),
        }
    }
    said.unless_all_is_malformed().map(Read::Alerts)
}

/// One alert; `None` when its status is to be ignored.
fn report(
    one: &Value,
    root: &Value,
    at: &str,
    source: &str,
    mapping: &Mapping,
    now: Timestamp,
) -> Result<Option<Alert>, Malformed> {
    let find = |places: &Places| places.find(one).or_else(|| places.find(root));
    let place = |key: &str, places: &Places| match at {
        "" => format!("{key} ({places})"),
        at => format!("{at}: {key} ({places})"),
    };
    let Some(firing) = mapping
        .firing(find(&mapping.status))
        .map_err(|what| Malformed::new(place("status", &mapping.status), what))?
    else {
        return Ok(None);
    };
    let since = match find(&mapping.starts_at) {
        None => now,
        Some(text) => time(&text)
            .ok_or_else(|| {
                let told = format!("`{}` is no time", cut(&text, 60));
                Malformed::new(place("starts_at", &mapping.starts_at), &told)
            })?
            // A clock that is ahead must not make all that comes later look old.
            .min(now),
    };
    let mut labels = texts(&mapping.labels, one, root, label_name);
    let id = find(&mapping.fingerprint);
    match find(&mapping.name) {
        Some(name) => labels.insert("alertname".to_owned(), one_line(&name)),
        // It says only which alert is over.
        None if !firing && id.is_some() && !mapping.name.is_empty() => None,
        None => labels.insert("alertname".to_owned(), source.to_owned()),
    };
    labels.insert("source".to_owned(), source.to_owned());
    if let Some(word) = mapping.severity(find(&mapping.severity)) {
        labels.insert("severity".to_owned(), word);
    }
    let mut annotations = texts(&mapping.annotations, one, root, str::to_owned);
    if let Some(summary) = find(&mapping.summary) {
        annotations.insert("summary".to_owned(), one_line(&summary));
    }
    let named = match id {
        // Not the source's own text: two sources may use the same.
        Some(text) => [
            ("source".to_owned(), source.to_owned()),
            ("id".to_owned(), text),
        ]
        .into(),
        // How bad it is is no part of what it is: it changes, and an end often says it otherwise.
        None => {
            let mut labels = labels.clone();
            labels.remove("severity");
            labels
        }
    };
    let mut other = match one {
        Value::Object(fields) => kept(fields, SECRETS),
        _ => Map::new(),
    };
    if let Some(link) = find(&mapping.link) {
        let link = storable(&link, LONGEST_ANNOTATION);
        other.insert("generatorURL".to_owned(), link.into());
    }
    if mapping.status.is_empty() {
        other.insert(Alert::NO_END.to_owned(), true.into());
    }
    Ok(Some(Alert {
        fingerprint: fingerprint(&named),
        firing,
        starts_at: since,
        ends_at: (!firing).then_some(since),
        labels: bounded(labels, LONGEST_LABEL),
        annotations: bounded(annotations, LONGEST_ANNOTATION),
        source: source.to_owned(),
        other,
    }))
}

/// RFC 3339; without a zone it is UTC; or seconds or milliseconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<DateTime>() {
        return at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    }
    let number: f64 = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())?;
    // The year 5138 in seconds, 1973 in milliseconds.
    let milliseconds = if number.abs() < 1e11 {
        number * 1_000.0
    } else {
        number
    };
    Timestamp::from_millisecond(milliseconds as i64).ok()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As Prometheus has names of labels, so that routes can name it.
fn label_name(name: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(good).collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        _ => name,
    }
}

/// Labels or annotations; what is named by itself wins over what comes with all of an object.
fn texts(
    wanted: &BTreeMap<String, Places>,
    one: &Value,
    root: &Value,
    name: fn(&str) -> String,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut put = |key: &str, text: String| {
        let key = name(key);
        if !key.is_empty() && !text.is_empty() {
            found.insert(key, text);
        }
    };
    // `*` sorts before all letters.
    for (key, places) in wanted {
        if key == ALL {
            for (key, text) in places.pairs(one, root) {
                put(&key, text);
            }
        } else if let Some(text) = places.find(one).or_else(|| places.find(root)) {
            put(key, text);
        }
    }
    found
}

#[cfg(test)]
mod tests;
