//! What is asked of a log store, and what its answers come to. The answers have the shapes of the
//! documentation of each.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::*;

#[derive(Default)]
struct Received {
    what: String,
    header: String,
    body: Value,
}

/// A store that always answers this, and what it was asked last.
async fn answering(
    flavour: Flavour,
    status: u16,
    body: String,
) -> (LogStore, Arc<Mutex<Received>>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Received::default()));
    let seen = asked.clone();
    let answer = move |request: Request| async move {
        let what = format!("{} {}", request.method(), request.uri());
        let (parts, body_sent) = request.into_parts();
        let header = |name: &str| {
            let value = parts.headers.get(name);
            value.map_or("", |value| value.to_str().unwrap())
        };
        let header = format!("{} {}", header("authorization"), header("x-scope-orgid"));
        let sent = axum::body::to_bytes(body_sent, 1 << 20).await.unwrap();
        let sent = serde_json::from_slice(&sent).unwrap_or(Value::Null);
        *seen.lock().unwrap() = Received {
            what,
            header,
            body: sent,
        };
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let store = LogStore::new(Config {
        flavour,
        url,
        token: Some("hush".into()),
        login: None,
        tenant: (flavour == Flavour::Loki).then(|| "treasury".to_owned()),
        index: "filebeat-*".to_owned(),
        field: flavour.usual_field().to_owned(),
        names: [("api".to_owned(), "treasury-api".to_owned())].into(),
        timeout: Duration::from_secs(5),
    });
    (store, asked)
}

fn wanted(lines: usize, grep: Option<&str>) -> Search {
    Search {
        lines,
        since: "2026-11-30T02:00:00Z".parse().unwrap(),
        until: "2026-11-30T03:00:00Z".parse().unwrap(),
        grep: grep.map(ToOwned::to_owned),
    }
}

fn texts(found: &Found) -> Vec<String> {
    let all = found.logs.lines.iter();
    all.map(|line| {
        let mark = if line.stderr { "!" } else { "" };
        let second = line.at.map_or(0, Timestamp::as_second);
        format!("{second} {} {mark}{}", line.replica, line.text)
    })
    .collect()
}

#[tokio::test]
async fn loki_is_asked_for_a_services_newest_lines_and_its_streams_are_one_log() {
    let body = json!({"status": "success", "data": {"resultType": "streams", "result": [
        {"stream": {"service_name": "treasury-api", "pod": "api-1", "stream": "stderr"},
         "values": [["1796004002000000000", "refused"], ["1796004000000000000", "starts\u{7}"]]},
        {"stream": {"service_name": "treasury-api", "container": "api-2"},
         "values": [["1796004001000000000", "ready"]]},
    ]}});
    let (store, asked) = answering(Flavour::Loki, 200, body.to_string()).await;
    let found = store
        .search("api", &wanted(2, Some("a.b \"c\"")))
        .await
        .unwrap();
    // One more than wanted was asked for, so it is known that there are more.
    assert_eq!(
        texts(&found),
        ["1796004001 api-2 ready", "1796004002 api-1 !refused"]
    );
    assert!(found.logs.truncated && found.partial.is_none());
    let asked = asked.lock().unwrap();
    let url = url::Url::parse(&format!("http://x{}", &asked.what["GET ".len()..])).unwrap();
    assert_eq!(url.path(), "/loki/api/v1/query_range");
    let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let query = r#"{service_name="treasury-api"} |~ "(?i)a\\.b \"c\"""#;
    assert_eq!(pairs["query"], query);
    assert_eq!(
        (pairs["limit"].as_str(), pairs["direction"].as_str()),
        ("3", "backward")
    );
    assert_eq!(pairs["start"], "1796004000000000000");
    assert_eq!(asked.header, "Bearer hush treasury");
}

#[tokio::test]
async fn elasticsearch_is_asked_for_fields_and_an_answer_of_some_shards_says_so() {
    let hit = |at: &str, text: &str| {
        json!({"_index": "filebeat-9", "_id": at, "sort": [1], "fields": {
            "@timestamp": [at], "message": [text], "stream": ["stderr"],
            "container.name": ["treasury-api-1"]}})
    };
    let body = json!({
        "took": 7, "timed_out": false,
        "_shards": {"total": 5, "successful": 4, "skipped": 0, "failed": 1, "failures": [
            {"shard": 0, "index": "filebeat-8", "reason": {"type": "x", "reason": "no such node"}}]},
        "hits": {"hits": [hit("2026-11-30T02:00:02.5Z", "second"), hit("2026-11-30T02:00:01Z", "first")]},
    });
    let (store, asked) = answering(Flavour::Elasticsearch, 200, body.to_string()).await;
    let found = store
        .search("api", &wanted(2, Some("second")))
        .await
        .unwrap();
    assert_eq!(
        texts(&found),
        [
            "1796004001 treasury-api-1 !first",
            "1796004002 treasury-api-1 !second"
        ]
    );
    assert_eq!(
        found.partial.as_deref(),
        Some("1 of 5 shards failed: no such node")
    );
    let asked = asked.lock().unwrap();
    assert!(
        asked.what.starts_with("POST /filebeat-*/_search?"),
        "{}",
        asked.what
    );
    assert_eq!(asked.header, "ApiKey hush ");
    let filter = &asked.body["query"]["bool"]["filter"];
    assert_eq!(filter[0], json!({"term": {"service.name": "treasury-api"}}));
    let range = &filter[1]["range"]["@timestamp"];
    assert_eq!(range["gte"], "2026-11-30T02:00:00Z");
    assert_eq!(filter[2]["multi_match"]["query"], "second");
    assert_eq!(asked.body["size"], 3);
}

#[tokio::test]
async fn each_no_is_told_apart_and_the_token_never_shown() {
    let missing = json!({"error": {"root_cause": [{"type": "index_not_found_exception",
        "reason": "no such index [filebeat-*]"}], "type": "x", "reason": "y"}, "status": 404});
    for (flavour, status, body, kind, words) in [
        (
            Flavour::Loki,
            401,
            "no org id\n".to_owned(),
            Kind::Authenticate,
            "no org id",
        ),
        (
            Flavour::Loki,
            400,
            "parse error at line 1".to_owned(),
            Kind::Unsupported,
            "parse error",
        ),
        (
            Flavour::Loki,
            200,
            "<html>".to_owned(),
            Kind::Failed,
            "answered 200",
        ),
        (
            Flavour::Loki,
            429,
            "too many".to_owned(),
            Kind::Timeout,
            "is overloaded",
        ),
        (
            Flavour::OpenSearch,
            404,
            missing.to_string(),
            Kind::Unsupported,
            "no such index [filebeat-*]",
        ),
    ] {
        let (store, _) = answering(flavour, status, body).await;
        let error = store.search("api", &wanted(1, None)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error:?}{store:?}").contains("hush"));
    }
}
