//! A body as it almost always is, read in one pass. What is otherwise is left to [`super::parse`], which
//! says what is wrong and where.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{MOST_ALERTS, Said, moment, said_beside};
use crate::alert::{Alert, Body};

#[derive(Deserialize)]
struct Usual<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    alerts: Vec<UsualAlert<'a>>,
    #[serde(flatten)]
    beside: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsualAlert<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(borrow, default)]
    starts_at: Cow<'a, str>,
    #[serde(borrow, default)]
    ends_at: Cow<'a, str>,
    #[serde(borrow, default)]
    fingerprint: Cow<'a, str>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// What a usual body says; `None`: it is not one.
pub(super) fn read(body: &[u8], now: Timestamp) -> Option<Body> {
    let usual: Usual = serde_json::from_slice(body).ok()?;
    if usual.version != "4" {
        return None;
    }
    let mut said = said_beside(&usual.beside, usual.alerts.len());
    said.alerts = usual
        .alerts
        .into_iter()
        .take(MOST_ALERTS)
        .map(|one| alert(one, now))
        .collect::<Option<_>>()?;
    Some(said)
}

fn alert(one: UsualAlert<'_>, now: Timestamp) -> Option<Alert> {
    let firing = match &*one.status {
        "firing" => true,
        "resolved" => false,
        _ => return None,
    };
    let said = Said {
        firing,
        labels: Some(one.labels).filter(|labels| !labels.is_empty())?,
        annotations: one.annotations,
        starts_at: moment(&one.starts_at).ok()?.unwrap_or(now),
        ends_at: moment(&one.ends_at).ok()?,
        fingerprint: Some(&*one.fingerprint),
    };
    Some(said.alert(&one.other))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::alertmanager::by_parts;

    fn body(alerts: &Value) -> String {
        json!({
            "version": "4", "receiver": "bot", "groupKey": "{}:{a=\"b\"}", "truncatedAlerts": 2,
            "notification_reason": "new alerts added", "alerts": alerts,
        })
        .to_string()
    }

    #[test]
    fn both_ways_read_the_same() {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let alert = |further: Value| {
            let mut alert = json!({
                "status": "firing",
                "labels": {"alertname": "Down", "pod": "a\u{0}b", "quoted": "a \"b\" \\ ü"},
                "annotations": {"summary": "x".repeat(3_000)},
                "startsAt": "2026-11-24T03:00:00.123Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus/graph",
                "values": {"A": 1.5, "B": null},
            });
            for (key, value) in further.as_object().unwrap() {
                alert[key] = value.clone();
            }
            alert
        };
        let many: Map<String, Value> = (0..80).map(|n| (format!("l{n}"), json!("v"))).collect();
        for further in [
            json!({}),
            json!({"fingerprint": "c5f1d3a9b0e2f471"}),
            json!({"fingerprint": "not one"}),
            json!({"status": "resolved", "endsAt": "2026-11-24T04:00:00+02:00"}),
            json!({"startsAt": "", "labels": many}),
            json!({"other": "x".repeat(3_000)}),
        ] {
            let body = body(&json!([alert(further), alert(json!({}))]));
            let usual = read(body.as_bytes(), now);
            assert!(usual.is_some(), "{body}");
            assert_eq!(usual, by_parts(body.as_bytes(), now).ok(), "{body}");
        }
        // What is unusual is read by its parts.
        for further in [
            json!({"labels": {}}),
            json!({"labels": {"n": 1}}),
            json!({"annotations": null}),
            json!({"startsAt": "noon"}),
            json!({"status": "suppressed"}),
        ] {
            let body = body(&json!([alert(further)]));
            assert_eq!(read(body.as_bytes(), now), None, "{body}");
        }
    }
}
