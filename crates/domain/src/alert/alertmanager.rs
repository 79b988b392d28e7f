//! Alertmanager's webhook, version 4, and Grafana alerting's superset of it.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

mod usual;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Alert, Body, Malformed, Reason};
use crate::timeline::cut;

/// Most alerts of a body that are read; the rest counts as left out.
pub(super) const MOST_ALERTS: usize = 1_000;
/// Most labels, and most annotations, of an alert that are kept.
const MOST_LABELS: usize = 64;
/// Longer names and values of labels are cut to this, bytes.
const LONGEST_LABEL: usize = 1_024;
/// Longer annotations are cut to this, bytes.
pub(super) const LONGEST_ANNOTATION: usize = 2_000;
/// Unknown fields of an alert are kept up to this, bytes of JSON; beyond it they are left out.
const MOST_OTHER: usize = 2_000;
/// What is kept first of too many labels or annotations: what names an alert and says what it is.
const FIRST: [&str; 16] = [
    "alertname",
    "severity",
    "service",
    "service_name",
    "service.name",
    "app",
    "job",
    "container",
    "instance",
    "namespace",
    "cluster",
    "source",
    "summary",
    "description",
    "runbook",
    "runbook_url",
];

/// What a body says, at this time; an error if nothing in it is understood.
pub fn parse(body: &[u8], now: Timestamp) -> Result<Body, Malformed> {
    match usual::read(body, now) {
        Some(said) => Ok(said),
        None => by_parts(body, now),
    }
}

/// The same of any body.
fn by_parts(body: &[u8], now: Timestamp) -> Result<Body, Malformed> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Malformed::new(
            "",
            format!("this is not JSON: {error}; is it Alertmanager's webhook?"),
        )
    })?;
    let Value::Object(root) = value else {
        return Err(Malformed::new(
            "",
            "a JSON object is expected, as Alertmanager's webhook sends it",
        ));
    };
    match root.get("version") {
        Some(Value::String(version)) if version == "4" => {}
        // Grafana 8 and 9 send "1".
        Some(Value::String(version)) if version == "1" && root.contains_key("orgId") => {}
        Some(other) => {
            let told = cut(&other.to_string(), 40);
            return Err(Malformed::new(
                "version",
                format!("{told} is not known: Alertmanager's webhook has the version \"4\""),
            ));
        }
        None => {
            return Err(Malformed::new(
                "version",
                "is missing: is it Alertmanager's webhook?",
            ));
        }
    }
    let Some(Value::Array(list)) = root.get("alerts") else {
        return Err(Malformed::new("alerts", "must be a list"));
    };
    let mut said = said_beside(&root, list.len());
    for (index, one) in list.iter().take(MOST_ALERTS).enumerate() {
        match alert(one, &format!("alerts[{index}]"), now) {
            Ok(alert) => said.alerts.push(alert),
            Err(error) => said.malformed.push(error),
        }
    }
    said.unless_all_is_malformed()
}

/// What a body says beside its alerts, of which it lists so many.
fn said_beside(root: &Map<String, Value>, listed: usize) -> Body {
    let left_out = root.get("truncatedAlerts").and_then(Value::as_u64);
    let left_out = left_out.unwrap_or_default();
    Body {
        left_out: left_out.saturating_add(listed.saturating_sub(MOST_ALERTS) as u64),
        reason: root
            .get("notification_reason")
            .and_then(|words| Reason::parse(words.as_str()?)),
        group: group(root),
        ..Body::default()
    }
}

/// What is told together: the same key is another group for another receiver.
fn group(root: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| root.get(key).and_then(Value::as_str);
    let key = text("groupKey").filter(|key| !key.is_empty())?;
    let receiver = text("receiver").unwrap_or_default();
    Some(storable(&format!("{receiver} {key}"), LONGEST_ANNOTATION))
}

fn alert(value: &Value, at: &str, now: Timestamp) -> Result<Alert, Malformed> {
    let Value::Object(fields) = value else {
        return Err(Malformed::new(at, "must be an object"));
    };
    let labels = match fields.get("labels") {
        Some(Value::Object(map)) if !map.is_empty() => texts(map),
        _ => {
            return Err(Malformed::new(
                format!("{at}.labels"),
                "an alert without labels has no name",
            ));
        }
    };
    let firing = match fields.get("status").and_then(Value::as_str) {
        Some("firing") => true,
        Some("resolved") => false,
        other => {
            let told = other.map_or_else(|| "nothing".to_owned(), |word| cut(word, 40));
            return Err(Malformed::new(
                format!("{at}.status"),
                format!("must be \"firing\" or \"resolved\", not {told}"),
            ));
        }
    };
    let annotations = match fields.get("annotations") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(map)) => texts(map),
        Some(other) => [("description".to_owned(), text(other))].into(),
    };
    let said = Said {
        firing,
        labels,
        annotations,
        starts_at: time(fields, "startsAt", at)?.unwrap_or(now),
        ends_at: time(fields, "endsAt", at)?,
        fingerprint: fields.get("fingerprint").and_then(Value::as_str),
    };
    Ok(said.alert(fields))
}

/// What is said of an alert.
struct Said<'a> {
    firing: bool,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    fingerprint: Option<&'a str>,
}

impl Said<'_> {
    /// The alert; `fields`: with those that are not known.
    fn alert(self, fields: &Map<String, Value>) -> Alert {
        const KNOWN: [&str; 6] = [
            "labels",
            "annotations",
            "status",
            "startsAt",
            "endsAt",
            "fingerprint",
        ];
        let given = self.fingerprint.filter(|text| is_fingerprint(text));
        Alert {
            // Of the labels as they came: what is cut off may be what tells two alerts apart.
            fingerprint: given.map_or_else(|| fingerprint(&self.labels), str::to_owned),
            firing: self.firing,
            starts_at: self.starts_at,
            ends_at: self.ends_at.filter(|_| !self.firing),
            labels: bounded(self.labels, LONGEST_LABEL),
            annotations: bounded(self.annotations, LONGEST_ANNOTATION),
            source: "alertmanager".to_owned(),
            other: kept(fields, &KNOWN),
        }
    }
}

/// All entries as texts; what is null is not there.
fn texts(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let there = map.iter().filter(|(_, value)| !value.is_null());
    there
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// As much of labels or annotations as is kept: what names the alert first.
pub(super) fn bounded(
    mut all: BTreeMap<String, String>,
    longest: usize,
) -> BTreeMap<String, String> {
    let fits = |text: &str, longest| text.len() <= longest && !text.contains('\0');
    let is_bounded = all.len() <= MOST_LABELS
        && all
            .iter()
            .all(|(name, text)| fits(name, LONGEST_LABEL) && fits(text, longest));
    if is_bounded {
        return all;
    }
    let first = FIRST.iter().filter_map(|name| all.remove_entry(*name));
    let first: Vec<(String, String)> = first.collect();
    first
        .into_iter()
        .chain(all)
        .take(MOST_LABELS)
        .map(|(name, text)| (storable(&name, LONGEST_LABEL), storable(&text, longest)))
        .collect()
}

/// A text, cut, without the character that PostgreSQL stores in no text.
pub(super) fn storable(text: &str, longest: usize) -> String {
    cut(&text.replace('\0', "\u{fffd}"), longest)
}

/// The fields that are not known, as they came, as far as there is room.
pub(super) fn kept(fields: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    let mut other = Map::new();
    let mut room = MOST_OTHER;
    for (key, value) in fields {
        if known.contains(&key.as_str()) {
            continue;
        }
        let bytes = key.len() + value.to_string().len();
        if bytes <= room {
            room -= bytes;
            other.insert(key.clone(), value.clone());
        }
    }
    other
}

fn is_fingerprint(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn time(fields: &Map<String, Value>, key: &str, at: &str) -> Result<Option<Timestamp>, Malformed> {
    let wrong = |what: &str| Malformed::new(format!("{at}.{key}"), what);
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            moment(text).map_err(|_| wrong("is no time as RFC 3339 has it"))
        }
        Some(_) => Err(wrong("must be a text with a time as RFC 3339 has it")),
    }
}

/// A time in words, if there is one.
fn moment(text: &str) -> Result<Option<Timestamp>, jiff::Error> {
    // Go's zero time: "not yet".
    if text.is_empty() || text.starts_with("0001-01-01") {
        return Ok(None);
    }
    text.parse().map(Some)
}

/// Alertmanager's fingerprint of labels: FNV-1a, 64 bits, over the sorted names and values, each
/// followed by the byte 255 (`LabelSet.Fingerprint` of github.com/prometheus/common/model).
pub fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    const OFFSET: u64 = 14_695_981_039_346_656_037;
    const PRIME: u64 = 1_099_511_628_211;
    let mut sum = OFFSET;
    let mut add = |byte: u8| sum = (sum ^ u64::from(byte)).wrapping_mul(PRIME);
    for (name, value) in labels {
        name.bytes().for_each(&mut add);
        add(255);
        value.bytes().for_each(&mut add);
        add(255);
    }
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn noon() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn read(alerts: &[Value]) -> Result<Body, Malformed> {
        let body = json!({"version": "4", "alerts": alerts});
        parse(body.to_string().as_bytes(), noon())
    }

    fn one(alert: Value) -> Alert {
        read(&[alert]).unwrap().alerts.remove(0)
    }

    fn with(key: &str, value: Value) -> Value {
        let mut alert = good();
        alert[key] = value;
        alert
    }

    fn good() -> Value {
        json!({
            "status": "firing",
            "labels": {"alertname": "HighErrorRate", "service": "api"},
            "annotations": {"summary": "12 % of the answers are errors"},
            "startsAt": "2026-11-24T03:00:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": "c5f1d3a9b0e2f471",
        })
    }

    #[test]
    fn an_alert_is_read_and_what_is_not_known_is_kept() {
        let alert = one(good());
        assert_eq!(alert.name(), "HighErrorRate");
        assert_eq!(
            (alert.short(), alert.firing, alert.ends_at),
            ("c5f1d3a9", true, None)
        );
        assert_eq!(alert.summary(), "12 % of the answers are errors");
        assert_eq!(alert.other["generatorURL"], "http://prometheus/graph");
    }

    #[test]
    fn the_fingerprint_is_alertmanagers_own() {
        // Known values of prometheus/common: the empty set, and what Alertmanager 0.25 sent for it.
        assert_eq!(fingerprint(&BTreeMap::new()), "cbf29ce484222325");
        let mut value = good();
        value.as_object_mut().unwrap().remove("fingerprint");
        let alert = one(value);
        assert_eq!(alert.fingerprint, fingerprint(&alert.labels));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (alert, expected) in [
            (
                with("status", json!("suppressed")),
                "alerts[0].status: must be \"firing\" or \"resolved\", not suppressed",
            ),
            (
                with("startsAt", json!("noon")),
                "alerts[0].startsAt: is no time",
            ),
            (
                with("labels", json!({})),
                "alerts[0].labels: an alert without labels",
            ),
            (json!(7), "alerts[0]: must be an object"),
        ] {
            let told = read(std::slice::from_ref(&alert)).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
            // Among others it costs only itself.
            let body = read(&[good(), alert, good()]).unwrap();
            assert_eq!((body.alerts.len(), body.malformed.len()), (2, 1));
            let told = body.malformed[0].to_string();
            assert!(told.starts_with(&expected.replace('0', "1")), "{told}");
        }
        for (body, expected) in [
            ("nonsense", "this is not JSON"),
            ("[]", "a JSON object is expected"),
            (
                r#"{"version": "3", "alerts": []}"#,
                "version: \"3\" is not known",
            ),
            (r#"{"alerts": []}"#, "version: is missing"),
            (r#"{"version": "4"}"#, "alerts: must be a list"),
        ] {
            let told = parse(body.as_bytes(), noon()).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn what_is_odd_is_made_fit() {
        let long = one(with(
            "labels",
            json!({"alertname": "Odd", "path": "é".repeat(1_000), "n": 7}),
        ));
        assert!(
            long.labels["path"].len() <= LONGEST_LABEL && long.labels["path"].ends_with(" […]")
        );
        assert_eq!(long.labels["n"], "7");
        assert_eq!(long.fingerprint, "c5f1d3a9b0e2f471", "the sender's own");
        for odd in [json!("../.."), json!(""), json!(7), Value::Null] {
            let alert = one(with("fingerprint", odd));
            assert_eq!(alert.fingerprint, fingerprint(&alert.labels));
        }
        // Two that differ only in what is cut off are two.
        let bare = |end: &str| {
            let path = format!("{}{end}", "x".repeat(2_000));
            let mut alert = with("labels", json!({"alertname": "Odd", "path": path}));
            alert.as_object_mut().unwrap().remove("fingerprint");
            one(alert)
        };
        let (a, b) = (bare("a"), bare("b"));
        assert_eq!(a.labels, b.labels);
        assert_ne!(a.fingerprint, b.fingerprint);

        let mut many: Map<String, Value> =
            (0..100).map(|n| (format!("a{n}"), json!("x"))).collect();
        many.insert("severity".into(), json!("critical"));
        many.insert("service".into(), json!("api"));
        let alert = one(with("labels", many.clone().into()));
        assert_eq!(alert.labels.len(), MOST_LABELS);
        assert_eq!(
            (alert.label("severity"), alert.label("service")),
            (Some("critical"), Some("api"))
        );

        let odd = json!({"summary": 12.5, "list": [1, 2], "nothing": null, "yes": true, "nul": "a\u{0}b"});
        let alert = one(with("annotations", odd));
        assert_eq!(
            (alert.summary(), alert.annotation("list")),
            ("12.5", Some("[1,2]"))
        );
        assert_eq!(
            (alert.annotation("nothing"), alert.annotation("nul")),
            (None, Some("a\u{fffd}b"))
        );
        assert_eq!(one(with("annotations", json!("down"))).summary(), "down");
        for none in [json!(""), Value::Null, json!("0001-01-01T00:00:00Z")] {
            assert_eq!(one(with("startsAt", none.clone())).starts_at, noon());
            let mut over = with("endsAt", none);
            over["status"] = json!("resolved");
            assert_eq!(one(over).ends_at, None);
        }
    }

    #[test]
    fn what_is_said_beside_the_alerts() {
        let said = |further: Value| {
            let mut body = json!({"version": "4", "receiver": "bot", "groupKey": "{}:{a=\"b\"}", "alerts": [good()]});
            for (key, value) in further.as_object().unwrap() {
                body[key] = value.clone();
            }
            parse(body.to_string().as_bytes(), noon()).unwrap()
        };
        let body =
            said(json!({"truncatedAlerts": 3, "notification_reason": "some alerts resolved"}));
        assert_eq!(
            (body.left_out, body.reason),
            (3, Some(Reason::SomeResolved))
        );
        assert_eq!(body.group.as_deref(), Some("bot {}:{a=\"b\"}"));
        let body =
            said(json!({"truncatedAlerts": -1, "notification_reason": "the moon", "groupKey": ""}));
        assert_eq!((body.left_out, body.reason, body.group), (0, None, None));
        let body = said(json!({"truncatedAlerts": 2, "alerts": vec![good(); MOST_ALERTS + 5]}));
        assert_eq!((body.alerts.len(), body.left_out), (MOST_ALERTS, 7));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&body, noon());
        }

        #[test]
        fn no_value_in_any_place_makes_it_panic(
            key in "status|labels|annotations|startsAt|endsAt|fingerprint|other",
            text in "\\PC{0,40}",
        ) {
            for value in [json!(text), json!([text]), json!({"a": text}), json!(1), Value::Null] {
                // The good one beside it is never lost.
                let body = read(&[with(&key, value), good()]).unwrap();
                prop_assert_eq!(body.alerts.len() + body.malformed.len(), 2);
                prop_assert_eq!(body.alerts.last(), Some(&one(good())));
            }
        }
    }
}
