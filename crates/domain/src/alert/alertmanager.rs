//! Alertmanager's webhook, version 4, and Grafana alerting's superset of it.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Alert, Body, Malformed, Reason};
use crate::timeline::cut;

/// Most alerts of a body.
pub const MOST_ALERTS: usize = 1_000;
/// Most labels, and most annotations, of an alert.
pub(super) const MOST_LABELS: usize = 64;
/// Longest name or value of a label, bytes: a longer one is refused, because it names the alert.
const LONGEST_LABEL: usize = 1_024;
/// Longer annotations are cut to this, bytes.
const LONGEST_ANNOTATION: usize = 2_000;
/// Unknown fields of an alert are kept up to this, bytes of JSON; beyond it they are left out.
const MOST_OTHER: usize = 2_000;

/// What a body says; an error if nothing in it is understood.
pub fn parse(body: &[u8]) -> Result<Body, Malformed> {
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
    if list.len() > MOST_ALERTS {
        return Err(Malformed::new(
            "alerts",
            format!(
                "{} alerts are too many: set max_alerts to {MOST_ALERTS} or less",
                list.len()
            ),
        ));
    }
    let mut said = Body {
        left_out: root
            .get("truncatedAlerts")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
        reason: root
            .get("notification_reason")
            .and_then(|words| Reason::parse(words.as_str()?)),
        group: group(&root),
        ..Body::default()
    };
    for (index, one) in list.iter().enumerate() {
        match alert(one, &format!("alerts[{index}]")) {
            Ok(alert) => said.alerts.push(alert),
            Err(error) => said.malformed.push(error),
        }
    }
    if said.alerts.is_empty() && !said.malformed.is_empty() {
        return Err(said.malformed.swap_remove(0));
    }
    Ok(said)
}

/// What is told together: the same key is another group for another receiver.
fn group(root: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| root.get(key).and_then(Value::as_str);
    let key = text("groupKey").filter(|key| !key.is_empty())?;
    Some(format!("{} {key}", text("receiver").unwrap_or_default()))
}

fn alert(value: &Value, at: &str) -> Result<Alert, Malformed> {
    let Value::Object(fields) = value else {
        return Err(Malformed::new(at, "must be an object"));
    };
    let labels = texts(fields, "labels", at, false)?;
    if labels.is_empty() {
        return Err(Malformed::new(
            format!("{at}.labels"),
            "an alert without labels has no name",
        ));
    }
    let annotations = texts(fields, "annotations", at, true)?;
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
    let starts_at = time(fields, "startsAt", at)?
        .ok_or_else(|| Malformed::new(format!("{at}.startsAt"), "is missing"))?;
    let ends_at = time(fields, "endsAt", at)?.filter(|_| !firing);
    let fingerprint = match fields.get("fingerprint") {
        Some(Value::String(text)) if is_fingerprint(text) => text.clone(),
        None | Some(Value::Null) => fingerprint(&labels),
        Some(_) => {
            return Err(Malformed::new(
                format!("{at}.fingerprint"),
                "must be 1 to 64 letters and digits",
            ));
        }
    };
    const KNOWN: [&str; 6] = [
        "labels",
        "annotations",
        "status",
        "startsAt",
        "endsAt",
        "fingerprint",
    ];
    Ok(Alert {
        fingerprint,
        firing,
        starts_at,
        ends_at,
        labels,
        annotations,
        source: "alertmanager".to_owned(),
        other: kept(fields, &KNOWN),
    })
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

fn texts(
    fields: &Map<String, Value>,
    key: &str,
    at: &str,
    cuts: bool,
) -> Result<BTreeMap<String, String>, Malformed> {
    let at = format!("{at}.{key}");
    let map = match fields.get(key) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(Malformed::new(&at, "must be an object of texts")),
    };
    if map.len() > MOST_LABELS {
        return Err(Malformed::new(
            &at,
            format!("has more than {MOST_LABELS} entries"),
        ));
    }
    map.iter()
        .map(|(name, value)| {
            let place = || format!("{at}.{}", cut(name, 60));
            let Value::String(text) = value else {
                return Err(Malformed::new(place(), "must be a text"));
            };
            let long = name.len() > LONGEST_LABEL || (!cuts && text.len() > LONGEST_LABEL);
            if long {
                return Err(Malformed::new(
                    place(),
                    format!("is longer than {LONGEST_LABEL} bytes"),
                ));
            }
            Ok((name.clone(), cut(text, LONGEST_ANNOTATION)))
        })
        .collect()
}

fn time(fields: &Map<String, Value>, key: &str, at: &str) -> Result<Option<Timestamp>, Malformed> {
    let at = format!("{at}.{key}");
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        // Go's zero time: "not yet".
        Some(Value::String(text)) if text.starts_with("0001-01-01") => Ok(None),
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| Malformed::new(&at, "is no time as RFC 3339 has it")),
        Some(_) => Err(Malformed::new(
            &at,
            "must be a text with a time as RFC 3339 has it",
        )),
    }
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

    fn body(alert: Value) -> Vec<u8> {
        json!({"version": "4", "alerts": [alert]})
            .to_string()
            .into_bytes()
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
        let alert = parse(&body(good())).unwrap().alerts.remove(0);
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
        let alert = parse(&body(value)).unwrap().alerts.remove(0);
        assert_eq!(alert.fingerprint, fingerprint(&alert.labels));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let with = |key: &str, value: Value| {
            let mut alert = good();
            alert[key] = value;
            parse(&body(alert)).unwrap_err().to_string()
        };
        for (told, expected) in [
            (
                with("status", json!("fine")),
                "alerts[0].status: must be \"firing\" or \"resolved\"",
            ),
            (
                with("startsAt", json!("noon")),
                "alerts[0].startsAt: is no time",
            ),
            (
                with("startsAt", Value::Null),
                "alerts[0].startsAt: is missing",
            ),
            (
                with("labels", json!({"a": 1})),
                "alerts[0].labels.a: must be a text",
            ),
            (
                with("labels", json!({})),
                "alerts[0].labels: an alert without labels",
            ),
            (
                with("labels", json!({"a": "x".repeat(2_000)})),
                "alerts[0].labels.a: is longer",
            ),
            (
                with("fingerprint", json!("../..")),
                "alerts[0].fingerprint: must be",
            ),
        ] {
            assert!(told.starts_with(expected), "{told}");
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
            let told = parse(body.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&body);
        }

        #[test]
        fn no_value_in_any_place_makes_it_panic(
            key in "status|labels|annotations|startsAt|endsAt|fingerprint|other",
            text in "\\PC{0,40}",
        ) {
            for value in [json!(text), json!([text]), json!({"a": text}), json!(1), Value::Null] {
                let mut alert = good();
                alert[key.as_str()] = value;
                let _ = parse(&body(alert));
            }
        }
    }
}
