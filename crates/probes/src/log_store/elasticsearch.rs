//! Elasticsearch and OpenSearch.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Found, Search, line, newest, refused};
use crate::ProbeError;
use crate::service::Service;

/// Fields that hold the text of a line, the best first: of Filebeat and Elastic Agent, and of Fluentd
/// and Fluent Bit.
const TEXTS: [&str; 2] = ["message", "log"];
/// Fields that name what wrote it.
const REPLICAS: [&str; 6] = [
    "kubernetes.pod.name",
    "kubernetes.pod_name",
    "container.name",
    "container_name",
    "service.node.name",
    "host.name",
];

pub(super) async fn search(
    service: &Service,
    index: &str,
    (field, name): (&str, &str),
    search: &Search,
) -> Result<Found, ProbeError> {
    let mut filter = vec![
        json!({"term": {field: name}}),
        json!({"range": {"@timestamp": {"gte": search.since, "lte": search.until}}}),
    ];
    if let Some(grep) = &search.grep {
        filter.push(json!({
            "multi_match": {"query": grep, "type": "phrase", "fields": TEXTS}
        }));
    }
    let mut fields: Vec<Value> = TEXTS
        .iter()
        .chain(&REPLICAS)
        .map(|name| json!(name))
        .collect();
    fields.push(json!("stream"));
    fields.push(json!({"field": "@timestamp", "format": "strict_date_optional_time_nanos"}));
    let body = json!({
        "size": search.lines + 1,
        // An index that has no lines yet does not know the field.
        "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
        "query": {"bool": {"filter": filter}},
        "_source": false,
        "fields": fields,
        "track_total_hits": false,
    });
    let path = format!("{index}/_search?ignore_unavailable=false&allow_no_indices=false");
    let body = body.to_string();
    let (status, body) = service
        .send("POST", &path, "application/json", body)
        .await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let Some(hits) = answer["hits"]["hits"].as_array().filter(|_| status == 200) else {
        let error = &answer["error"];
        let told = error["root_cause"][0]["reason"]
            .as_str()
            .or(error["reason"].as_str());
        let told = told.or(error.as_str()).map(ToOwned::to_owned);
        let words = told.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        return Err(refused(service, status, &words));
    };
    let lines = hits.iter().map(|hit| {
        let value = |name: &&str| hit["fields"][*name][0].as_str();
        let at = value(&"@timestamp").and_then(|text| text.parse::<Timestamp>().ok());
        let words = TEXTS.iter().find_map(value).unwrap_or_default();
        let stderr = value(&"stream") == Some("stderr");
        line(at, REPLICAS.iter().find_map(value), stderr, words)
    });
    Ok(Found {
        logs: newest(lines.collect(), search.lines),
        partial: partial(&answer),
    })
}

/// A search that did not reach all answers 200 all the same.
fn partial(answer: &Value) -> Option<String> {
    let shards = &answer["_shards"];
    let failed = shards["failed"].as_u64().unwrap_or_default();
    if failed > 0 {
        let why = shards["failures"][0]["reason"]["reason"]
            .as_str()
            .unwrap_or_default();
        let all = shards["total"].as_u64().unwrap_or_default();
        return Some(format!("{failed} of {all} shards failed: {why}"));
    }
    (answer["timed_out"] == true).then(|| "the search took too long and was cut short".to_owned())
}
