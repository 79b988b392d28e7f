//! Bodies that are more than reports: envelopes, tests, notices, and news that is no alert.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::alertmanager::fingerprint;
use super::super::{Body, Malformed};
use super::mapping::{Mapping, Shape};
use super::presets::uptime_kuma_notice;
use super::sns;

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
    /// Amazon SNS says that nothing of this topic will be sent here any more.
    Unsubscribed {
        /// Which topic.
        topic: String,
    },
}

/// What is in a body.
pub(super) enum Opened {
    /// Reports, as the source's mapping says.
    Report(Value),
    /// Something else, with a mapping of its own.
    Other(Value, Box<Mapping>),
    /// Nothing about an alert.
    Nothing,
    /// No report.
    Read(Read),
}

pub(super) fn open(
    body: &[u8],
    mapping: &Mapping,
    resource: Option<&str>,
) -> Result<Opened, Malformed> {
    if mapping.shape == Shape::Sns {
        return sns::open(body, mapping);
    }
    let root: Value = serde_json::from_slice(body)
        .map_err(|error| Malformed::new("", format!("this is not JSON: {error}")))?;
    match mapping.shape {
        Shape::Sentry => sentry(root, resource),
        Shape::UptimeKuma => Ok(uptime_kuma(root)),
        Shape::PagerDuty => Ok(Opened::Report(with_dedup_key(root))),
        Shape::Json | Shape::Sns | Shape::Opsgenie => Ok(Opened::Report(root)),
    }
}

/// What Sentry tells of, and where it is in `data`: by the header `Sentry-Hook-Resource`, without it
/// by what is there.
///
/// <https://docs.sentry.io/integrations/integration-platform/webhooks/>
fn sentry(mut root: Value, resource: Option<&str>) -> Result<Opened, Malformed> {
    const ALERTS: [(&str, &str); 5] = [
        ("metric_alert", "metric_alert"),
        ("issue", "issue"),
        ("event_alert", "event"),
        ("error", "error"),
        ("activity_alert", "issue"),
    ];
    let there = |field: &str| {
        root.pointer("/data")
            .is_some_and(|data| data[field].is_object())
    };
    let found = ALERTS.iter().find(|(name, field)| match resource {
        Some(resource) => resource == *name,
        None => there(field),
    });
    let Some((name, field)) = found else {
        return Ok(Opened::Nothing);
    };
    if !there(field) {
        return Err(Malformed::new(format!("data.{field}"), "must be an object"));
    }
    // A rule about an issue's activity: how the issue stands, not that the rule was triggered.
    if *name == "activity_alert" {
        root["action"] = root["data"]["issue"]["status"].clone();
    }
    Ok(Opened::Report(root))
}

/// `{"heartbeat": null, "monitor": null, "msg": …}`: the button "Test" says "NAME Testing", notices
/// say `[MONITOR][ADDRESS] … certificate … will expire in 7 days`.
fn uptime_kuma(root: Value) -> Opened {
    let text = match root["msg"].as_str() {
        Some(text) if root["heartbeat"].is_null() => text.trim(),
        _ => return Opened::Report(root),
    };
    if text.is_empty() || text.ends_with("Testing") {
        return Opened::Nothing;
    }
    let lower = text.to_lowercase();
    let kind = match (lower.contains("certificate"), lower.contains("expire")) {
        (true, _) => "CertificateExpires",
        (false, true) => "DomainExpires",
        (false, false) => "Notice",
    };
    let monitor = text
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    let notice = json!({
        "kind": kind,
        "msg": text,
        "monitor": monitor,
        // The days that are left are no other notice.
        "about": text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>(),
    });
    Opened::Other(notice, Box::new(uptime_kuma_notice()))
}

/// The key that names an event for ever: PagerDuty makes one where the sender gives none, and tells it
/// in the answer. Here it is a digest, so that the same event is the same alert.
pub fn dedup_key(event: &Value) -> String {
    let given = event["dedup_key"].as_str().filter(|key| !key.is_empty());
    given.map_or_else(
        || {
            digest(
                ["summary", "source", "component", "group", "class"]
                    .map(|key| &event["payload"][key]),
            )
        },
        str::to_owned,
    )
}

fn with_dedup_key(mut root: Value) -> Value {
    if root.is_object() {
        root["dedup_key"] = dedup_key(&root).into();
    }
    root
}

/// A digest of some values in their order.
pub fn digest<const N: usize>(values: [&Value; N]) -> String {
    let named = values.iter().enumerate();
    let named: BTreeMap<String, String> = named
        .map(|(at, value)| (at.to_string(), value.to_string()))
        .collect();
    fingerprint(&named)
}
