//! Each service at the wire, as its documentation has it.

use serde_json::{Value, json};

use super::{ana, fires, scenery};
use crate::alerts::{alert, post};
use crate::support::receiver::{Received, Receiver};
use crate::support::stage::Stage;

const TEXT: &str = "HighErrorRate: it hurts";

/// Ana is asked by these ways of these sections; gives the incident's channel as well.
async fn stage(receiver: &Receiver, sections: &str, ways: &str) -> (Stage, String) {
    let sections = sections.replace("URL", &receiver.url());
    let stage = Stage::set(scenery(&format!("{sections}{}", ana(ways)))).await;
    let room = fires(&stage).await;
    (stage, room)
}

/// A link that acknowledges.
fn is_link(stage: &Stage, value: &Value) -> bool {
    let base = format!("http://{}/incidents/ack/", stage.app.address);
    value.as_str().unwrap().starts_with(&base)
}

const PUSHED: &str = r#"
[reach.ntfy]
preset = "ntfy"
url = "URL/ntfy"
[reach.pushover]
preset = "pushover"
url = "URL/pushover"
"#;

#[tokio::test]
async fn ntfy_and_pushover_ring_a_phone_and_end_when_somebody_acknowledges() {
    let receiver = Receiver::start().await;
    let ways = r#"{by = "ntfy", to = "ana-4711"}, {by = "pushover", to = "uQiRz"}"#;
    let (stage, room) = stage(&receiver, PUSHED, ways).await;
    let one = async |path: &str| -> Received { receiver.wait(path, 1).await.remove(0) };
    let ntfy = one("/ntfy").await;
    assert_eq!(
        (ntfy.method.as_str(), ntfy.path.as_str()),
        ("POST", "/ntfy/")
    );
    assert_eq!(ntfy.header("authorization"), "Bearer S3CRET");
    let mut body = ntfy.json();
    let id = body["sequence_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(ntfy.header("idempotency-key"), id);
    assert!(is_link(&stage, &body["click"]), "{body}");
    let link = body["click"].take();
    assert!(
        body["message"].as_str().unwrap().starts_with(TEXT),
        "{body}"
    );
    body["message"].take();
    assert_eq!(
        body,
        json!({
            "topic": "ana-4711", "sequence_id": id, "message": null, "click": null,
            "title": "Please acknowledge INC-1", "priority": 5,
            "tags": ["rotating_light", "SEV2"],
            "actions": [
                {"action": "http", "label": "Acknowledge", "url": link, "method": "POST", "clear": true},
                {"action": "view", "label": "Open", "url": link},
            ],
        })
    );

    let pushover = one("/pushover").await;
    assert_eq!(pushover.path, "/pushover/1/messages.json");
    for (field, value) in [
        ("token", "S3CRET"),
        ("user", "uQiRz"),
        ("title", "Please acknowledge INC-1"),
        ("priority", "2"),
        ("retry", "60"),
        ("expire", "1800"),
        ("url_title", "Acknowledge"),
    ] {
        assert_eq!(pushover.field(field), value, "{field}");
    }
    assert!(pushover.field("message").starts_with(TEXT));
    assert!(pushover.field("message").len() <= 1_024);
    assert!(pushover.field("url").starts_with("http://"));

    stage.types("ana", &room, "ack").await;
    let cancel = receiver.wait("/pushover/1/receipts", 1).await.remove(0);
    let tag = pushover.field("tags");
    assert_eq!(
        cancel.path,
        format!("/pushover/1/receipts/cancel_by_tag/{tag}.json")
    );
    assert_eq!(cancel.body, "token=S3CRET");
    assert_eq!(receiver.to("/ntfy").len(), 1);
    stage.finish().await;
}

const OTHERS: &str = r#"
[reach.gotify]
preset = "gotify"
url = "URL/gotify"
[reach.call]
preset = "twilio"
url = "URL/twilio"
account = "AC1"
user = "SK2"
from = "+15005550006"
"#;

#[tokio::test]
async fn gotify_takes_a_message_and_twilio_calls() {
    let receiver = Receiver::start().await;
    let ways = r#""gotify", {by = "call", to = "+4912"}"#;
    let (stage, _) = stage(&receiver, OTHERS, ways).await;
    let one = async |path: &str| -> Received { receiver.wait(path, 1).await.remove(0) };
    let gotify = one("/gotify").await;
    assert_eq!(gotify.path, "/gotify/message");
    assert_eq!(gotify.header("x-gotify-key"), "S3CRET");
    let body = gotify.json();
    assert_eq!(body["priority"], 10);
    let click = &body["extras"]["client::notification"]["click"];
    assert!(is_link(&stage, &click["url"]), "{body}");
    assert_eq!(
        body["extras"]["client::display"]["contentType"],
        "text/plain"
    );

    let call = one("/twilio").await;
    assert_eq!(call.path, "/twilio/2010-04-01/Accounts/AC1/Calls.json");
    // SK2:S3CRET
    assert_eq!(call.header("authorization"), "Basic U0syOlMzQ1JFVA==");
    assert_eq!(
        (call.field("To"), call.field("From")),
        ("+4912".into(), "+15005550006".into())
    );
    let say = "<Say>Please acknowledge INC-1. [INC-1] api: HighErrorRate: it hurts</Say>";
    assert_eq!(
        call.field("Twiml"),
        format!("<Response>{say}<Pause length=\"1\"/>{say}</Response>")
    );
    stage.finish().await;
}

const HOOKS: &str = r#"
[reach.pagerduty]
preset = "pagerduty"
url = "URL/pagerduty"
[reach.hook]
preset = "webhook"
url = "URL/hook"
[reach.own]
url = "URL/own/{to}?about={subject}"
method = "PUT"
headers = { X-Title = "{title}", X-Key = "key {token}" }
form = { said = "{text}", who = "{person}" }
"#;

#[tokio::test]
async fn pagerduty_and_a_webhook_hear_the_whole_story_and_a_request_of_ones_own_is_filled_safely() {
    let receiver = Receiver::start().await;
    let ways = r#""pagerduty", "hook", {by = "own", to = "a/../b"}"#;
    let (stage, room) = stage(&receiver, HOOKS, ways).await;
    let one = async |path: &str| -> Received { receiver.wait(path, 1).await.remove(0) };
    let pager = one("/pagerduty").await;
    assert_eq!(pager.path, "/pagerduty/v2/enqueue");
    let body = pager.json();
    assert_eq!(
        (&body["routing_key"], &body["event_action"]),
        (&json!("S3CRET"), &json!("trigger"))
    );
    let dedup_key = body["dedup_key"].clone();
    assert!(dedup_key.as_str().unwrap().starts_with("INC-1/"), "{body}");
    assert_eq!(body["payload"]["severity"], "error");
    assert_eq!(
        body["payload"]["summary"],
        "[INC-1] api: HighErrorRate: it hurts"
    );
    assert!(is_link(&stage, &body["links"][0]["href"]), "{body}");

    let hook = one("/hook").await;
    assert_eq!(
        (hook.method.as_str(), hook.header("authorization")),
        ("POST", "Bearer S3CRET")
    );
    let body = hook.json();
    for (field, value) in [
        ("event", "trigger"),
        ("title", "Please acknowledge INC-1"),
        ("subject", "[INC-1] api: HighErrorRate: it hurts"),
        ("severity", "SEV2"),
        ("incident", "INC-1"),
        ("person", "Ana Ruiz"),
    ] {
        assert_eq!(body[field], value, "{field}: {body}");
    }
    assert_eq!(hook.header("idempotency-key"), body["id"]);
    assert!(!hook.body.contains("S3CRET"), "{body}");

    let own = one("/own").await;
    assert_eq!(own.method.as_str(), "PUT");
    assert_eq!(
        own.path,
        "/own/a%2F%2E%2E%2Fb?about=%5BINC-1%5D%20api%3A%20HighErrorRate%3A%20it%20hurts"
    );
    assert_eq!(own.header("x-title"), "Please acknowledge INC-1");
    assert_eq!(own.header("x-key"), "key S3CRET");
    assert_eq!(
        own.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert!(own.field("said").contains("treasury-bot exec ack INC-1"));
    assert_eq!(own.field("who"), "Ana Ruiz");

    // What goes on by itself hears who has taken it up, and the end.
    stage.types("ana", &room, "ack").await;
    let body = receiver.wait("/pagerduty", 2).await.remove(1).json();
    assert_eq!(
        body,
        json!({"routing_key": "S3CRET", "event_action": "acknowledge", "dedup_key": dedup_key})
    );
    let body = receiver.wait("/hook", 2).await.remove(1).json();
    assert_eq!(
        (&body["event"], &body["link"]),
        (&json!("acknowledge"), &json!(""))
    );
    let over = alert("HighErrorRate", &[("service", "api")], false);
    post(&stage, &[over]).await;
    stage.types("ana", &room, "resolve").await;
    let body = receiver.wait("/pagerduty", 3).await.remove(2).json();
    assert_eq!(
        (&body["event_action"], &body["dedup_key"]),
        (&json!("resolve"), &dedup_key)
    );
    assert_eq!(receiver.to("/own").len(), 1, "it does not use the event");
    stage.finish().await;
}
