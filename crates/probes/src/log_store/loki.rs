//! Grafana Loki.

use jiff::Timestamp;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::{Found, Search, line, newest, refused, text};
use crate::ProbeError;
use crate::service::Service;

/// Labels that name what wrote a line, the best first, of Promtail, Alloy and OpenTelemetry.
const REPLICAS: [&str; 8] = [
    "pod",
    "k8s_pod_name",
    "container_name",
    "container",
    "service_instance_id",
    "instance",
    "host",
    "filename",
];

pub(super) async fn search(
    service: &Service,
    (label, name): (&str, &str),
    search: &Search,
) -> Result<Found, ProbeError> {
    let form = Serializer::new(String::new())
        .append_pair("query", &query(label, name, search.grep.as_deref()))
        .append_pair("start", &search.since.as_nanosecond().to_string())
        .append_pair("end", &search.until.as_nanosecond().to_string())
        .append_pair("limit", &(search.lines + 1).to_string())
        .append_pair("direction", "backward")
        .finish();
    let path = format!("loki/api/v1/query_range?{form}");
    let (status, body) = service
        .send("GET", &path, "text/plain", String::new())
        .await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let Some(streams) = answer["data"]["result"]
        .as_array()
        .filter(|_| status == 200)
    else {
        // Its errors are plain text.
        return Err(refused(service, status, &String::from_utf8_lossy(&body)));
    };
    let mut lines = Vec::new();
    for stream in streams {
        let labels = &stream["stream"];
        let replica = REPLICAS.iter().find_map(|name| text(labels, name));
        let stderr = text(labels, "stream") == Some("stderr");
        for pair in stream["values"].as_array().into_iter().flatten() {
            let Some(words) = pair.get(1).and_then(Value::as_str) else {
                continue;
            };
            let at = pair.get(0).and_then(Value::as_str).and_then(|text| {
                let nanoseconds: i128 = text.parse().ok()?;
                Timestamp::from_nanosecond(nanoseconds).ok()
            });
            lines.push(line(at, replica, stderr, words));
        }
    }
    let warnings: Vec<&str> = answer["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(Found {
        logs: newest(lines, search.lines),
        partial: (!warnings.is_empty()).then(|| warnings.join("; ")),
    })
}

/// `{label="name"} |~ "(?i)text"`. Both are Go strings, which JSON's are for all that can be here.
fn query(label: &str, name: &str, grep: Option<&str>) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let selector = format!("{{{label}={}}}", quoted(name));
    match grep {
        Some(grep) => format!(
            "{selector} |~ {}",
            quoted(&format!("(?i){}", literal(grep)))
        ),
        None => selector,
    }
}

/// A pattern (RE2) that matches this text only.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for one in text.chars() {
        if r"\.+*?()|[]{}^$".contains(one) {
            pattern.push('\\');
        }
        pattern.push(one);
    }
    pattern
}
