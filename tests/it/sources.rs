//! Alerts of other senders than Alertmanager, each with its own mapping and its own token.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::alert::Auto;
use treasury_bot::domain::alert::generic::Preset;
use treasury_bot::domain::timeline::hex;
use treasury_bot::web::AlertSource;

use crate::alerts::hasty;
use crate::support::stage::{Scenery, Stage, words_of};

pub fn source(name: &str, preset: Preset, token: Option<&str>) -> AlertSource {
    AlertSource {
        name: name.into(),
        token: token.map(SecretString::from),
        mapping: preset.mapping(),
        topics: Vec::new(),
        certificates: None,
    }
}

pub async fn stage(sources: Vec<AlertSource>) -> Stage {
    let mut alerts = AlertSettings {
        ack_within: Duration::from_secs(600),
        quiet: Duration::from_secs(1),
        resolves: true,
        on_call: hasty().on_call,
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Off;
    Stage::set(Scenery {
        alerts,
        sources,
        ..Scenery::default()
    })
    .await
}

pub fn to(stage: &Stage, path: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().post(format!("http://{}{path}", stage.app.address))
}

pub async fn sent(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn beat(status: u8, at: &str) -> String {
    json!({
        "heartbeat": {"monitorID": 4, "status": status, "time": at, "msg": "timeout of 48 s"},
        "monitor": {"id": 4, "name": "frontend", "url": "https://treasury.example/", "type": "http"},
        "msg": "frontend does not answer",
    })
    .to_string()
}

#[tokio::test]
async fn a_checker_says_down_and_up_and_that_is_an_incident_with_its_end() {
    let stage = stage(vec![source("uptime", Preset::UptimeKuma, None)]).await;
    let post = async |body: String| {
        // The only source need not be named.
        sent(
            to(&stage, "/alerts/generic")
                .bearer_auth("alerts-token")
                .body(body),
        )
        .await
    };
    let down = beat(0, "2026-11-24 03:00:00.123");
    let (code, said) = post(down.clone()).await;
    assert_eq!(
        (code, said.as_str()),
        (200, "1 fired, 0 ended, 0 known already\n")
    );
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for frontend").await;
    for part in [
        "frontend does not answer",
        "SEV2",
        "https://treasury.example/",
    ] {
        assert!(
            words_of(&told).contains(part),
            "{part}: {}",
            words_of(&told)
        );
    }
    // The checker says it again, at first the same, then a minute later.
    for body in [down, beat(0, "2026-11-24 03:01:00")] {
        assert_eq!(post(body).await.1, "0 fired, 0 ended, 1 known already\n");
    }
    assert_eq!(
        post(beat(2, "2026-11-24 03:02:00")).await.1,
        "0 fired, 0 ended, 0 known already, 1 ignored\n"
    );
    let over = beat(1, "2026-11-24 03:05:00");
    assert_eq!(post(over).await.1, "0 fired, 1 ended, 0 known already\n");
    // What was under way for too long changes nothing any more.
    let late = beat(0, "2026-11-24 03:01:30");
    assert_eq!(post(late).await.1, "0 fired, 0 ended, 1 known already\n");
    stage.said(&room, "is resolved").await;
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (1, 0));
    stage.finish().await;
}

fn alarm(state: &str) -> String {
    let message = json!({
        "AlarmName": "api-cpu",
        "AlarmDescription": "The api is short of CPU",
        "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:api-cpu",
        "NewStateValue": state,
        "StateChangeTime": "2026-11-24T03:00:00.000+0000",
    });
    json!({"Type": "Notification", "Message": message.to_string()}).to_string()
}

#[tokio::test]
async fn each_sender_shows_its_own_secret_in_the_way_it_can() {
    let sources = vec![
        source("aws", Preset::CloudWatch, Some("aws-token")),
        source("sentry", Preset::Sentry, Some("sentry-secret")),
        source("other", Preset::Plain, None),
    ];
    let stage = stage(sources).await;
    // SNS can send a user and a password only, and says that it is text.
    let (code, said) = sent(
        to(&stage, "/alerts/generic/aws")
            .basic_auth("sns", Some("aws-token"))
            .header("content-type", "text/plain; charset=UTF-8")
            .body(alarm("ALARM")),
    )
    .await;
    assert_eq!(code, 200, "{said}");
    let issue = json!({
        "action": "created",
        "data": {"issue": {"id": "7", "title": "OperationalError", "level": "fatal", "project": {"slug": "api"}}},
    })
    .to_string();
    let sign = |secret: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(issue.as_bytes());
        hex(&mac.finalize().into_bytes())
    };
    let signed = |signature: String| {
        to(&stage, "/alerts/generic/sentry")
            .header("sentry-hook-signature", signature)
            .body(issue.clone())
    };
    assert_eq!(sent(signed(sign("sentry-secret"))).await.0, 200);
    for forged in [sign("another"), "é".into(), "abc".into(), String::new()] {
        let (code, said) = sent(signed(forged)).await;
        assert_eq!(
            (code, said.as_str()),
            (401, "this is not the signature of the body\n")
        );
    }
    // By a header, and by the query.
    let plain =
        json!({"name": "BackupLate", "status": "firing", "service": "postgres"}).to_string();
    let named = to(&stage, "/alerts/generic").header("x-alert-source", "other");
    assert_eq!(
        sent(named.bearer_auth("alerts-token").body(plain.clone()))
            .await
            .0,
        200
    );
    let asked = to(&stage, "/alerts/generic?source=other").bearer_auth("alerts-token");
    assert_eq!(
        sent(asked.body(plain.clone())).await.1,
        "0 fired, 0 ended, 1 known already\n"
    );
    // Neither Alertmanager's token nor another source's opens a source with its own.
    for token in ["alerts-token", "sentry-secret"] {
        let wrong = to(&stage, "/alerts/generic/aws")
            .bearer_auth(token)
            .body(alarm("OK"));
        assert_eq!(sent(wrong).await.0, 401, "{token}");
    }
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (3, 3));
    stage.finish().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_a_subscription_is_left_to_a_person() {
    let sources = vec![
        source("aws", Preset::CloudWatch, None),
        source("other", Preset::Plain, None),
    ];
    let stage = stage(sources).await;
    let wrong_word = json!({"name": "x", "status": "burning"}).to_string();
    let huge = format!("{{\"x\": \"{}\"}}", "x".repeat(5 << 20));
    for (path, token, body, code, reason) in [
        (
            "/alerts/generic",
            "alerts-token",
            "{}".to_owned(),
            404,
            "say which source it is, /alerts/generic/NAME: aws, other",
        ),
        (
            "/alerts/generic/none",
            "alerts-token",
            "{}".into(),
            404,
            "aws, other",
        ),
        (
            "/alerts/generic/none",
            "wrong",
            "{}".into(),
            401,
            "this is not the bearer token",
        ),
        (
            "/alerts/generic/other",
            "wrong",
            "{}".into(),
            401,
            "this is not the bearer token",
        ),
        (
            "/alerts/generic/other",
            "alerts-token",
            "nonsense".into(),
            400,
            "this is not JSON",
        ),
        (
            "/alerts/generic/other",
            "alerts-token",
            wrong_word,
            400,
            "`burning` is neither among firing",
        ),
        (
            "/alerts/generic/other",
            "alerts-token",
            huge,
            413,
            "length limit exceeded",
        ),
    ] {
        let (answered, said) = sent(to(&stage, path).bearer_auth(token).body(body)).await;
        assert_eq!(answered, code, "{path}: {said}");
        assert!(said.contains(reason), "{said}");
    }
    let asked = serve_and_count().await;
    let confirm = json!({
        "Type": "SubscriptionConfirmation",
        "TopicArn": "arn:aws:sns:eu-west-1:1:alarms",
        "Message": "You have chosen to subscribe to the topic …",
        "SubscribeURL": asked.url,
    });
    let post = to(&stage, "/alerts/generic/aws").bearer_auth("alerts-token");
    let (code, said) = sent(post.body(confirm.to_string())).await;
    assert_eq!(code, 202);
    assert!(said.contains("not confirmed by itself"), "{said}");
    let metrics = reqwest::get(format!("http://{}/metrics", stage.app.address));
    let page = metrics.await.unwrap().text().await.unwrap();
    for line in [
        "treasury_bot_alerts_refused_total{why=\"source\"}",
        "treasury_bot_alerts_subscriptions_total",
    ] {
        assert!(page.contains(line), "{line}");
    }
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (0, 0));
    assert_eq!(
        asked.times.load(std::sync::atomic::Ordering::Relaxed),
        0,
        "nobody followed it"
    );
    stage.finish().await;
}

/// An address that counts who asks.
struct Counted {
    url: String,
    times: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

async fn serve_and_count() -> Counted {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/confirm", listener.local_addr().unwrap());
    let times = std::sync::Arc::default();
    let counted = std::sync::Arc::clone(&times);
    let count = move || async move {
        std::sync::atomic::AtomicUsize::fetch_add(
            &counted,
            1,
            std::sync::atomic::Ordering::Relaxed,
        );
    };
    let app = axum::Router::new().route("/confirm", axum::routing::get(count));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Counted { url, times }
}

#[tokio::test]
async fn unknown_fields_are_kept_with_the_alert() {
    let stage = stage(vec![source("other", Preset::Plain, None)]).await;
    let body = json!({"name": "Odd", "status": "firing", "build": {"commit": "abc"}});
    let post = to(&stage, "/alerts/generic/other").bearer_auth("alerts-token");
    assert_eq!(sent(post.body(body.to_string())).await.0, 200);
    let (_, record) = stage
        .app
        .store
        .alerts_list(true, 1)
        .await
        .unwrap()
        .remove(0);
    let alert = &record.tracked.alert;
    assert_eq!(alert.source, "other");
    assert_eq!(alert.other["build"], json!({"commit": "abc"}) as Value);
    stage.finish().await;
}
