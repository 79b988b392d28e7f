//! HTTP mode, and the JSON for the page.

use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use slack_morphism::signature_verifier::SlackEventSignatureVerifier;

use super::*;
use crate::slack::Delivery;

type Requests = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

async fn note(
    State(requests): State<Requests>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let path = uri.path().to_string();
    requests.lock().unwrap().push((path.clone(), headers, body));
    match path.as_str() {
        "/slack/commands" => (StatusCode::OK, "on it".to_string()),
        "/slack/events" => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        _ => (StatusCode::OK, String::new()),
    }
}

async fn http_bot() -> (Sandbox, Requests) {
    let requests = Requests::default();
    let router = Router::new().fallback(note).with_state(requests.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let delivery = Delivery::Http { base_url };
    let config = SandboxConfig {
        delivery,
        ..Default::default()
    };
    (Sandbox::start(config).await.unwrap(), requests)
}

#[tokio::test]
async fn requests_are_signed_and_events_retried() {
    let (sandbox, requests) = http_bot().await;
    let ana = sandbox.person("ana");
    let receipt = ana.types(ROOM, "/treasury status").await.unwrap();
    assert_eq!((receipt.acked, receipt.status), (true, Some(200)));
    assert_eq!(ana.sees(ROOM).pop().unwrap().text, "on it");

    let button =
        json!({"type": "button", "action_id": "ok", "text": {"type": "plain_text", "text": "OK"}});
    let ts = post(
        &sandbox,
        json!({"blocks": [{"type": "actions", "elements": [button]}]}),
    )
    .await;
    assert!(ana.clicks(ROOM, &ts, "OK").await.unwrap().acked);
    let said = ana.says(ROOM, "@treasury status", None).await.unwrap();
    assert_eq!(
        (said.receipts[0].acked, said.receipts[0].attempts),
        (false, 4)
    );

    let requests = requests.lock().unwrap();
    let verifier = SlackEventSignatureVerifier::new(&sandbox.signing_secret().into());
    for (_, headers, body) in requests.iter() {
        let header = |name: &str| headers[name].to_str().unwrap().to_string();
        let (signature, at) = (
            header("x-slack-signature"),
            header("x-slack-request-timestamp"),
        );
        verifier.verify(&signature, body, &at).unwrap();
    }
    let paths: Vec<_> = requests.iter().map(|(path, ..)| path.as_str()).collect();
    let events = ["/slack/events"; 4];
    assert_eq!(paths[..2], ["/slack/commands", "/slack/interactions"]);
    assert_eq!(paths[2..], events);
    assert!(requests[0].2.contains("text=status"));
    assert!(requests[1].2.starts_with("payload=%7B"));
    assert!(!requests[2].1.contains_key("x-slack-retry-num"));
    assert_eq!(requests[5].1["x-slack-retry-num"], "3");
    assert_eq!(requests[5].1["x-slack-retry-reason"], "http_error");
    assert_eq!(requests[2].2, requests[5].2);
}

#[tokio::test]
async fn the_page_acts_for_people_and_sees_what_they_see() {
    let sandbox = start().await;
    let _heard = bot(&sandbox, |_| Some(json!({"text": "all well"}))).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}sandbox/{path}", sandbox.page_url());
    let act = json!({"person": "ana", "channel": ROOM, "text": "/treasury status"});
    let answer: Value = client
        .post(url("command"))
        .json(&act)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["result"]["acked"], true);
    let state = |who: &str| {
        let request = client.get(url(&format!("state?person={who}")));
        async { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    assert_eq!(
        state("ana").await["channels"][0]["messages"][0]["text"],
        "all well"
    );
    assert_eq!(state("ben").await["channels"][0]["messages"], json!([]));

    // Who knows the channel gets what is new to it alone.
    let room = room(&sandbox);
    let had = state("ana").await["as_of"].clone();
    let since = |had: &Value| state(&format!("ana&since={had}&known={room}"));
    assert_eq!(since(&had).await["channels"][0]["messages"], json!([]));
    let ts = post(&sandbox, json!({"text": "one more"})).await;
    let now = since(&had).await;
    let new = now["channels"][0]["messages"].as_array().unwrap();
    assert_eq!((new.len(), &new[0]["text"]), (1, &json!("one more")));
    let edit = json!({"channel": room, "ts": ts, "text": "edited"});
    call(&sandbox, "chat.update", edit).await;
    let edited = since(&now["as_of"]).await;
    assert_eq!(edited["channels"][0]["messages"][0]["text"], "edited");
    call(&sandbox, "chat.delete", json!({"channel": room, "ts": ts})).await;
    let deleted = since(&edited["as_of"]).await;
    assert_eq!(deleted["channels"][0]["messages"], json!([]));
    assert_eq!(deleted["channels"][0]["gone"], json!([ts]));

    let foreign = client
        .post(url("command"))
        .header("Origin", "https://evil.example")
        .json(&act);
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    let rebound = client
        .get(url("state?person=ana"))
        .header("Host", "evil.example");
    assert_eq!(rebound.send().await.unwrap().status(), 403);

    let mut events = client.get(url("events")).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: {\"change\":"), "{first:?}");
    post(&sandbox, json!({"text": "something new"})).await;
    assert!(
        events
            .chunk()
            .await
            .unwrap()
            .unwrap()
            .starts_with(b"data: {\"change\":")
    );
}

#[tokio::test]
async fn only_loopback_or_all_of_a_containers_own_addresses_are_listened_on() {
    let config = SandboxConfig {
        listen: "192.0.2.1:0".parse().unwrap(),
        ..Default::default()
    };
    let refused = Sandbox::start(config).await;
    assert_eq!(
        refused.err().unwrap().kind(),
        std::io::ErrorKind::InvalidInput
    );
}
