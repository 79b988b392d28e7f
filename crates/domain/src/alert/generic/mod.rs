//! Alerts of any other sender: a small mapping says where things are in its JSON.

mod place;
mod presets;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::alertmanager::{MOST_ALERTS, MOST_LABELS, fingerprint, kept};
use super::{Alert, Body, Malformed};
use crate::timeline::cut;

pub use place::{Place, Places};
pub use presets::Preset;

/// Longer names and values of labels are cut to this, bytes: what names the alert is a digest.
const LONGEST_LABEL: usize = 200;
/// Longer annotations are cut to this, bytes.
const LONGEST_ANNOTATION: usize = 2_000;
/// Stands for "all" among labels and annotations, and for "anything else" among severities.
const ALL: &str = "*";

/// Where things are in the JSON of a sender. Places are looked for in each alert, then in the whole
/// body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Bodies come in the envelope of Amazon SNS: the JSON is a text in `Message`.
    pub sns: bool,
    /// A header that may hold the HMAC-SHA256 of the body, in hexadecimal, made with the token.
    pub signature: Option<String>,
    /// Where the list of alerts is (JSON Pointer); without it the body is one alert.
    pub alerts: Option<String>,
    /// What names the alert for ever; without it, its labels do.
    pub fingerprint: Places,
    /// The label `alertname`; without it the name of the source.
    pub name: Places,
    /// The annotation `summary`.
    pub summary: Places,
    /// The word that says how it stands; without it all that comes fires.
    pub status: Places,
    /// Words of `status` that mean it fires, in lower case.
    pub firing: Vec<String>,
    /// Words of `status` that mean it is over, in lower case.
    pub resolved: Vec<String>,
    /// Words of `status` of reports that say neither, in lower case.
    pub ignored: Vec<String>,
    /// When it began, or when this was reported; without it the time it came in.
    pub starts_at: Places,
    /// The word for how bad it is.
    pub severity: Places,
    /// What such words mean, from lower case to what the label `severity` says; `*`: any other, or
    /// none.
    pub severities: BTreeMap<String, String>,
    /// Labels by name; `*`: all scalars of an object, or all pairs of a list.
    pub labels: BTreeMap<String, Places>,
    /// Annotations, in the same way.
    pub annotations: BTreeMap<String, Places>,
    /// An address for people.
    pub link: Places,
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// Reports.
    Alerts(Body),
    /// Amazon SNS asks whether it may send here. A person has to say so.
    Subscription {
        /// Which topic.
        topic: String,
        /// The address that confirms it, if it is surely Amazon's.
        url: Option<String>,
    },
}

/// Reads a body of the source of this name.
pub fn parse(
    body: &[u8],
    source: &str,
    mapping: &Mapping,
    now: Timestamp,
) -> Result<Read, Malformed> {
    let not_json =
        |error: serde_json::Error| Malformed::new("", format!("this is not JSON: {error}"));
    let mut root: Value = serde_json::from_slice(body).map_err(not_json)?;
    if mapping.sns {
        // Without an envelope it is SNS' raw delivery.
        match (root["Type"].as_str(), root["Message"].as_str()) {
            (Some("SubscriptionConfirmation" | "UnsubscribeConfirmation"), _) => {
                let topic = root["TopicArn"].as_str().unwrap_or("of no name");
                let url = root["SubscribeURL"].as_str().filter(|url| is_amazons(url));
                return Ok(Read::Subscription {
                    topic: cut(topic, 300),
                    url: url.map(str::to_owned),
                });
            }
            (_, Some(message)) => {
                root = serde_json::from_str(message).map_err(|error| {
                    Malformed::new(
                        "Message",
                        format!("this is no alarm, but other text: {error}"),
                    )
                })?;
            }
            _ => {}
        }
    }
    if !root.is_object() {
        return Err(Malformed::new("", "a JSON object is expected"));
    }
    let list = match &mapping.alerts {
        None => None,
        Some(pointer) => match root.pointer(pointer) {
            Some(Value::Array(list)) => Some((pointer, list)),
            None => None,
            Some(_) => return Err(Malformed::new(pointer, "must be a list")),
        },
    };
    let Some((pointer, list)) = list else {
        let one = report(&root, &root, "", source, mapping, now)?;
        return Ok(Read::Alerts(Body {
            ignored: usize::from(one.is_none()),
            alerts: one.into_iter().collect(),
            ..Body::default()
        }));
    };
    if list.len() > MOST_ALERTS {
        let told = format!("{} alerts are too many: at most {MOST_ALERTS}", list.len());
        return Err(Malformed::new(pointer, &told));
    }
    let mut said = Body::default();
    for (index, one) in list.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        match report(one, &root, &at, source, mapping, now) {
            Ok(Some(alert)) => said.alerts.push(alert),
            Ok(None) => said.ignored += 1,
            Err(error) => said.malformed.push(error),
        }
    }
    if said.alerts.is_empty() && said.ignored == 0 && !said.malformed.is_empty() {
        return Err(said.malformed.swap_remove(0));
    }
    Ok(Read::Alerts(said))
}

/// Only such an address confirms a subscription; any other could be anybody's.
fn is_amazons(url: &str) -> bool {
    let host = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| {
        host.starts_with("sns.")
            && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    }) && url.len() < 1_000
        && url.bytes().all(|b| b.is_ascii_graphic())
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
    let Some(firing) = firing(mapping, find(&mapping.status))
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
    let mut labels = texts(&mapping.labels, one, root, LONGEST_LABEL, label_name);
    let named = find(&mapping.name).unwrap_or_else(|| source.to_owned());
    labels.insert(
        "alertname".to_owned(),
        cut(one_line(&named).as_str(), LONGEST_LABEL),
    );
    labels.insert("source".to_owned(), source.to_owned());
    if let Some(word) = severity(mapping, find(&mapping.severity)) {
        labels.insert("severity".to_owned(), word);
    }
    let mut annotations = texts(
        &mapping.annotations,
        one,
        root,
        LONGEST_ANNOTATION,
        str::to_owned,
    );
    if let Some(summary) = find(&mapping.summary) {
        annotations.insert(
            "summary".to_owned(),
            cut(&one_line(&summary), LONGEST_ANNOTATION),
        );
    }
    let named = match find(&mapping.fingerprint) {
        // Not the source's own text: two sources may use the same.
        Some(text) => [
            ("source".to_owned(), source.to_owned()),
            ("id".to_owned(), text),
        ]
        .into(),
        None => labels.clone(),
    };
    let mut other = match one {
        Value::Object(fields) => kept(fields, &[]),
        _ => Map::new(),
    };
    if let Some(link) = find(&mapping.link) {
        other.insert(
            "generatorURL".to_owned(),
            cut(&link, LONGEST_ANNOTATION).into(),
        );
    }
    Ok(Some(Alert {
        fingerprint: fingerprint(&named),
        firing,
        starts_at: since,
        ends_at: (!firing).then_some(since),
        labels,
        annotations,
        source: source.to_owned(),
        other,
    }))
}

/// What a word of the status means; `None`: it is to be ignored.
fn firing(mapping: &Mapping, word: Option<String>) -> Result<Option<bool>, String> {
    if mapping.status.is_empty() {
        return Ok(Some(true));
    }
    let Some(word) = word else {
        return Err("there is no such thing in the body".to_owned());
    };
    let word = word.trim().to_lowercase();
    let among = |words: &[String]| words.contains(&word);
    if among(&mapping.firing) {
        Ok(Some(true))
    } else if among(&mapping.resolved) {
        Ok(Some(false))
    } else if among(&mapping.ignored) {
        Ok(None)
    } else {
        Err(format!(
            "`{}` is neither among firing ({}), resolved ({}) nor ignored ({})",
            cut(&word, 60),
            mapping.firing.join(", "),
            mapping.resolved.join(", "),
            mapping.ignored.join(", ")
        ))
    }
}

fn severity(mapping: &Mapping, word: Option<String>) -> Option<String> {
    let word = word.map(|word| word.trim().to_lowercase());
    let meant = word.as_ref().and_then(|word| mapping.severities.get(word));
    meant
        .or_else(|| mapping.severities.get(ALL))
        .cloned()
        .or(word)
        .map(|word| cut(&word, LONGEST_LABEL))
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
    longest: usize,
    name: fn(&str) -> String,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut put = |key: &str, text: &str| {
        let key = name(&cut(key, LONGEST_LABEL));
        if !key.is_empty() && !text.is_empty() && found.len() < MOST_LABELS {
            found.insert(key, cut(text, longest));
        }
    };
    // `*` sorts before all letters.
    for (key, places) in wanted {
        if key == ALL {
            for (key, text) in places.pairs(one, root) {
                put(&key, &text);
            }
        } else if let Some(text) = places.find(one).or_else(|| places.find(root)) {
            put(key, &text);
        }
    }
    found
}

#[cfg(test)]
mod tests;
