//! What senders say beside plain reports: bodies that are partly bad, words of other tools, Amazon
//! SNS with its signatures, notices, and the shapes of PagerDuty and Opsgenie.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use treasury_bot::domain::alert::generic::Preset;
use treasury_bot::domain::alert::{Matcher, Route};
use treasury_bot::domain::timeline::hex;
use treasury_bot::web::AlertSource;

use crate::alerts::{alert, hasty_without_escalation, post};
use crate::sources::{sent, source, stage, to};
use crate::support::stage::{HOME, Scenery, Stage, words_of};

const TOKEN: &str = "alerts-token";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alarms";

/// Names of the alerts that fire.
async fn firing(stage: &Stage) -> Vec<String> {
    let all = stage.app.store.alerts_list(false, 100).await.unwrap();
    let name =
        |alert: &treasury_bot::domain::alert::AlertRecord| alert.tracked.alert.name().to_owned();
    let mut names: Vec<String> = all.iter().map(|(_, record)| name(record)).collect();
    names.sort();
    names
}

async fn plain(stage: &Stage, body: Value) -> (u16, String) {
    let post = to(stage, "/alerts/generic/other").bearer_auth(TOKEN);
    sent(post.body(body.to_string())).await
}

#[tokio::test]
async fn one_bad_alert_costs_only_itself_and_is_told_once_a_day() {
    let stage = stage(vec![source("other", Preset::Plain, None)]).await;
    let long = "x".repeat(1_300);
    let mut odd = alert("Odd", &[("path", &long)], true);
    odd["annotations"] = json!({"summary": 12.5, "nothing": null, "nul": "a\u{0}b"});
    odd["startsAt"] = "".into();
    let mut bad = alert("Bad", &[], true);
    bad["status"] = "suppressed".into();
    let all = [alert("Good", &[("service", "api")], true), odd, bad];
    for expected in [
        "2 fired, 0 ended, 0 known already, 1 not understood\n",
        "0 fired, 0 ended, 2 known already, 1 not understood\n",
    ] {
        assert_eq!(post(&stage, &all).await, (200, expected.to_owned()));
    }
    assert_eq!(firing(&stage).await, ["Good", "Odd"]);
    let told = stage
        .said(HOME, "1 of 3 alerts of alertmanager is not understood")
        .await;
    let place = "alerts[2].status: must be \"firing\" or \"resolved\", not suppressed";
    assert!(words_of(&told).contains(place), "{}", words_of(&told));

    // A body of which nothing is understood is refused, and told, too.
    let some = json!({"alerts": [
        {"name": "G1", "status": "firing", "service": "redis"},
        {"name": "G2", "status": "degraded"},
    ]});
    let (code, said) = plain(&stage, some).await;
    assert_eq!(
        (code, said.as_str()),
        (200, "1 fired, 0 ended, 0 known already, 1 not understood\n")
    );
    stage
        .said(HOME, "1 of 2 alerts of other is not understood")
        .await;
    assert_eq!(
        plain(&stage, json!({"name": "G3", "status": "degraded"}))
            .await
            .0,
        400
    );
    let metrics = reqwest::get(format!("http://{}/metrics", stage.app.address));
    let page = metrics.await.unwrap().text().await.unwrap();
    for line in [
        "treasury_bot_alerts_malformed_total{source=\"alertmanager\"}",
        "treasury_bot_alerts_malformed_total{source=\"other\"}",
    ] {
        assert!(page.contains(line), "{line}");
    }
    stage.quiet().await;
    assert_eq!(stage.count("not understood"), 2, "once a source and day");
    stage.finish().await;
}

#[tokio::test]
async fn the_words_of_other_tools_for_how_bad_it_is() {
    let stage = stage(vec![source("other", Preset::Plain, None)]).await;
    let say = async |name: &str, word: &str, service: &str| {
        let body = json!({"name": name, "status": "firing", "severity": word, "service": service});
        assert_eq!(plain(&stage, body).await.0, 200, "{word}");
    };
    // At least as bad as an error: an incident. P1 is the worst there is.
    say("Dead", "fatal", "api").await;
    stage.said(HOME, "INC-1 SEV2").await;
    say("Gone", "P1", "redis").await;
    stage.said(HOME, "INC-2 SEV1").await;
    for (name, word) in [("Slow", "minor"), ("Odd", "wobbly"), ("Odder", "Wobbly")] {
        say(name, word, "frontend").await;
    }
    let told = stage.said(HOME, "an alert is by the word").await;
    let words = words_of(&told);
    assert!(words.contains("other says how bad an alert is by the word wobbly, which is not known: it counts as SEV3"), "{words}");
    stage.quiet().await;
    assert_eq!(stage.count("by the word"), 1);
    let metrics = reqwest::get(format!("http://{}/metrics", stage.app.address));
    let page = metrics.await.unwrap().text().await.unwrap();
    let counted = "treasury_bot_alerts_unknown_severity_total{source=\"other\"} 2";
    assert!(page.lines().any(|line| line == counted), "each is counted");
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 2);
    stage.finish().await;
}

#[tokio::test]
async fn a_service_by_opentelemetrys_label_and_a_route_by_a_quoted_name() {
    let mut alerts = hasty_without_escalation();
    alerts.routes.routes = vec![Route {
        matchers: vec![Matcher::parse("\"größe in m\"=\"12\"").unwrap()],
        team: Some("harbour".into()),
        ..Route::default()
    }];
    let stage = Stage::set(Scenery {
        alerts,
        ..Scenery::default()
    })
    .await;
    let labels = [("service.name", "api"), ("größe in m", "12")];
    assert_eq!(post(&stage, &[alert("Down", &labels, true)]).await.0, 200);
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    assert!(words_of(&told).contains("harbour"), "{}", words_of(&told));
    stage.finish().await;
}

#[tokio::test]
async fn who_waits_for_the_challenge_is_challenged_and_schemes_are_in_any_case() {
    let stage = stage(vec![source("aws", Preset::CloudWatch, Some("aws-token"))]).await;
    for path in [
        "/alerts/alertmanager",
        "/alerts/generic",
        "/alerts/generic/aws",
        "/alerts/generic/none",
        "/alerts/pagerduty/v2/enqueue",
        "/alerts/opsgenie/v2/alerts",
    ] {
        let answer = to(&stage, path).body("{}").send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").cloned();
        assert_eq!(
            (
                answer.status().as_u16(),
                challenge.as_ref().map(axum::http::HeaderValue::as_bytes)
            ),
            (401, Some(&b"Basic realm=\"treasury-bot\""[..])),
            "{path}"
        );
    }
    for scheme in ["bearer", "BEARER", "Bearer", "GenieKey"] {
        let post =
            to(&stage, "/alerts/alertmanager").header("authorization", format!("{scheme} {TOKEN}"));
        let said = sent(post.body(r#"{"version": "4", "alerts": []}"#)).await;
        assert_eq!(said.0, 200, "{scheme}: {}", said.1);
    }
    // As Amazon SNS does it: the user and the password only once it is asked for them.
    let alarm = json!({"Type": "Notification", "Message": json!({
        "AlarmName": "api-cpu", "NewStateValue": "ALARM",
    }).to_string()});
    let url = format!("http://{}/alerts/generic/aws", stage.app.address);
    let body = alarm.to_string();
    let answered = tokio::process::Command::new("curl")
        .args([
            "--silent",
            "--noproxy",
            "*",
            "--anyauth",
            "--user",
            "sns:aws-token",
        ])
        .args([
            "--header",
            "content-type: text/plain; charset=UTF-8",
            "--data-binary",
            &body,
            &url,
        ])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&answered.stdout);
    assert_eq!(said, "1 fired, 0 ended, 0 known already\n");
    stage.finish().await;
}

/// Bodies as SNS signs them, with the key of `sns/certificate.pem`. They were made by `openssl dgst
/// -sha1 -sign` (version 1) and `-sha256` (version 2) over what `sns::signed` puts together.
const ALARM_V1: &str = include_str!("sns/alarm-v1.json");
const OK_V2: &str = include_str!("sns/ok-v2.json");
const TEXT_V2: &str = include_str!("sns/text-v2.json");
const SUBSCRIPTION_V2: &str = include_str!("sns/subscription-v2.json");
const UNSUBSCRIBED_V1: &str = include_str!("sns/unsubscribed-v1.json");

/// A server with SNS' certificate; how often it was asked.
async fn mirror() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let asked: std::sync::Arc<std::sync::atomic::AtomicUsize> = std::sync::Arc::default();
    let counted = asked.clone();
    let serve = move || async move {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        include_str!("sns/certificate.pem")
    };
    let path = "/SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem";
    let app = axum::Router::new().route(path, axum::routing::get(serve));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (origin, asked)
}

fn aws(topics: &[&str], certificates: &str) -> AlertSource {
    AlertSource {
        topics: topics.iter().map(ToString::to_string).collect(),
        certificates: Some(certificates.to_owned()),
        ..source("aws", Preset::CloudWatch, Some("aws-token"))
    }
}

#[tokio::test]
async fn what_sns_has_signed_of_a_named_topic_needs_no_token() {
    let (certificates, asked) = mirror().await;
    let stage = stage(vec![aws(&[TOPIC], &certificates)]).await;
    let unauthorized = |body: &str| sent(to(&stage, "/alerts/generic/aws").body(body.to_owned()));
    assert_eq!(
        unauthorized(ALARM_V1).await,
        (200, "1 fired, 0 ended, 0 known already\n".into())
    );
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    assert_eq!(
        unauthorized(OK_V2).await,
        (200, "0 fired, 1 ended, 0 known already\n".into())
    );
    // Plain text is told as what it is.
    assert_eq!(unauthorized(TEXT_V2).await.0, 200);
    stage
        .said(HOME, "The nightly backup failed: no space left")
        .await;
    assert_eq!(unauthorized(SUBSCRIPTION_V2).await.0, 202);
    assert_eq!(unauthorized(UNSUBSCRIBED_V1).await.0, 202);
    let told = stage.said(HOME, "No more alerts come to aws").await;
    assert!(words_of(&told).contains(TOPIC), "{}", words_of(&told));
    assert_eq!(
        asked.load(std::sync::atomic::Ordering::Relaxed),
        1,
        "the certificate is kept"
    );

    let changed = ALARM_V1.replace("short of CPU", "short of coffee");
    let other = ALARM_V1.replace(":alarms", ":others");
    let elsewhere = ALARM_V1.replace(
        "https://sns.eu-west-1.amazonaws.com/Simple",
        "https://sns.mine.s3.amazonaws.com/Simple",
    );
    let unsigned =
        json!({"Type": "Notification", "TopicArn": TOPIC, "Message": "hello"}).to_string();
    for (body, why) in [
        (changed.as_str(), "this is not the signature of Amazon SNS"),
        (&other, "a bearer token is needed"),
        (
            &elsewhere,
            "SigningCertURL: this is no address of Amazon SNS",
        ),
        (&unsigned, "a bearer token is needed"),
    ] {
        let (code, said) = unauthorized(body).await;
        assert!(code == 401 && said.contains(why), "{code} {said}");
    }
    // The token does not make a forged signature good.
    let forged = to(&stage, "/alerts/generic/aws")
        .bearer_auth("aws-token")
        .body(changed);
    assert_eq!(sent(forged).await.0, 401);
    stage.finish().await;
}

#[tokio::test]
async fn while_the_certificate_can_t_be_had_the_token_counts_and_the_rest_comes_again() {
    let stage = stage(vec![aws(&[TOPIC], "http://127.0.0.1:1")]).await;
    let post = || to(&stage, "/alerts/generic/aws").body(ALARM_V1);
    let (code, said) = sent(post()).await;
    assert!(
        code == 503 && said.contains("can't be reached"),
        "{code} {said}"
    );
    assert_eq!(
        sent(post().basic_auth("sns", Some("aws-token"))).await.0,
        200
    );
    let metrics = reqwest::get(format!("http://{}/metrics", stage.app.address));
    let page = metrics.await.unwrap().text().await.unwrap();
    assert!(page.contains("treasury_bot_alerts_unverified_total"));
    stage.finish().await;
}

#[tokio::test]
async fn uptime_kumas_test_says_nothing_and_its_notice_of_a_certificate_is_told() {
    let stage = stage(vec![source("uptime", Preset::UptimeKuma, None)]).await;
    let say = async |text: &str| {
        let body = json!({"heartbeat": null, "monitor": null, "msg": text});
        let post = to(&stage, "/alerts/generic/uptime").bearer_auth(TOKEN);
        sent(post.body(body.to_string())).await
    };
    let nothing = "0 fired, 0 ended, 0 known already, 1 ignored\n";
    assert_eq!(say("treasury Testing").await, (200, nothing.into()));
    let expiry = |days: u8| {
        format!(
            "[frontend][https://treasury.example] server certificate treasury.example will expire in {days} days"
        )
    };
    assert_eq!(
        say(&expiry(14)).await.1,
        "1 fired, 0 ended, 0 known already\n"
    );
    assert_eq!(
        say(&expiry(7)).await.1,
        "0 fired, 0 ended, 1 known already\n"
    );
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for frontend").await;
    let known = stage.app.store.alerts_list(false, 2).await.unwrap();
    let alert = &known[0].1.tracked.alert;
    assert!(
        alert.summary().contains("will expire in 7 days"),
        "{}",
        alert.summary()
    );
    assert_eq!(firing(&stage).await, ["CertificateExpires"]);
    stage.finish().await;
}

#[tokio::test]
async fn sentrys_comments_are_no_alerts_and_its_errors_are_told_by_their_issue() {
    let stage = stage(vec![source(
        "sentry",
        Preset::Sentry,
        Some("sentry-secret"),
    )])
    .await;
    let say = async |header: &str, resource: &str, body: Value| {
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"sentry-secret").unwrap();
        mac.update(body.as_bytes());
        let post = to(&stage, "/alerts/generic/sentry")
            .header(header, hex(&mac.finalize().into_bytes()))
            .header("sentry-hook-resource", resource);
        sent(post.body(body)).await
    };
    let nothing = (
        200,
        "0 fired, 0 ended, 0 known already, 1 ignored\n".to_owned(),
    );
    let hook = "sentry-hook-signature";
    let comment =
        json!({"action": "created", "data": {"comment": "hi", "comment_id": 1, "issue_id": 2}});
    assert_eq!(say(hook, "comment", comment).await, nothing);
    let installed = json!({"action": "created", "data": {"installation": {"uuid": "a"}}});
    assert_eq!(say(hook, "installation", installed).await, nothing);
    let check = json!({"fields": [], "installationId": "a"});
    assert_eq!(say("sentry-app-signature", "", check).await, nothing);
    for (id, title) in [("9", "OutOfMemory"), ("10", "Payment lost")] {
        let error = json!({"action": "created", "data": {"error": {"issue_id": id, "title": title, "level": "fatal"}}});
        assert_eq!(
            say(hook, "error", error).await.1,
            "1 fired, 0 ended, 0 known already\n"
        );
    }
    assert_eq!(firing(&stage).await, ["OutOfMemory", "Payment lost"]);
    stage.finish().await;
}

#[tokio::test]
async fn who_leaves_pagerduty_changes_an_address() {
    let stage = stage(vec![source("pages", Preset::PagerDuty, Some("R0UT1NGKEY"))]).await;
    let enqueue = async |body: Value| {
        let (code, said) =
            sent(to(&stage, "/alerts/pagerduty/v2/enqueue").body(body.to_string())).await;
        (code, serde_json::from_str::<Value>(&said).unwrap())
    };
    let event = |action: &str, key: &str, further: Value| {
        let mut event =
            json!({"routing_key": "R0UT1NGKEY", "event_action": action, "dedup_key": key});
        event
            .as_object_mut()
            .unwrap()
            .extend(further.as_object().unwrap().clone());
        event
    };
    let payload = json!({"payload": {"summary": "api is out of disk", "source": "db-1", "severity": "critical", "component": "api"}});
    let (code, said) = enqueue(event("trigger", "disk-1", payload.clone())).await;
    assert_eq!(code, 202);
    assert_eq!(
        said,
        json!({"status": "success", "message": "Event processed", "dedup_key": "disk-1"})
    );
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    assert_eq!(
        enqueue(event("acknowledge", "disk-1", json!({}))).await.0,
        202
    );
    assert_eq!(firing(&stage).await, ["api is out of disk"]);
    // An end has no payload: it is known what ended.
    assert_eq!(enqueue(event("resolve", "disk-1", json!({}))).await.0, 202);
    stage.becomes(&told, "1 alert is over for api").await;
    assert_eq!(enqueue(event("resolve", "nothing", json!({}))).await.0, 202);
    // Without a key one is made, by which it is ended.
    let (_, said) = enqueue(event("trigger", "", payload)).await;
    let key = said["dedup_key"].as_str().unwrap().to_owned();
    assert_eq!(firing(&stage).await.len(), 1);
    enqueue(event("resolve", &key, json!({}))).await;
    assert_eq!(firing(&stage).await.len(), 0);
    let (code, said) = enqueue(json!({"routing_key": "wrong", "event_action": "trigger"})).await;
    assert_eq!(
        (code, said["errors"][0].as_str()),
        (401, Some("this is not the bearer token"))
    );
    let (code, said) = enqueue(event("explode", "x", json!({}))).await;
    assert_eq!(
        (code, said["status"].as_str()),
        (400, Some("invalid event"))
    );
    stage.finish().await;
}

#[tokio::test]
async fn who_leaves_opsgenie_changes_an_address() {
    let stage = stage(vec![source("genie", Preset::Opsgenie, Some("g3n1e"))]).await;
    let ask = async |path: &str, key: &str, body: Value| {
        let post = to(&stage, &format!("/alerts/opsgenie/v2/alerts{path}"));
        let post = post.header("authorization", format!("GenieKey {key}"));
        let (code, said) = sent(post.body(body.to_string())).await;
        (code, serde_json::from_str::<Value>(&said).unwrap())
    };
    let create =
        json!({"message": "api is slow", "alias": "slow/1", "entity": "api", "priority": "P2"});
    let (code, said) = ask("", "g3n1e", create).await;
    assert_eq!(
        (code, &said["result"]),
        (202, &json!("Request will be processed"))
    );
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    assert!(words_of(&told).contains("SEV2"), "{}", words_of(&told));
    assert_eq!(
        ask(
            "/slow%2F1/acknowledge?identifierType=alias",
            "g3n1e",
            json!({"user": "ana"})
        )
        .await
        .0,
        202
    );
    assert_eq!(firing(&stage).await, ["api is slow"]);
    assert_eq!(
        ask("/slow%2F1/close?identifierType=alias", "g3n1e", json!({}))
            .await
            .0,
        202
    );
    stage.becomes(&told, "1 alert is over for api").await;
    let (code, said) = ask("", "wrong", json!({"message": "x"})).await;
    assert_eq!(
        (code, said["message"].as_str()),
        (401, Some("this is not the bearer token"))
    );
    assert_eq!(ask("", "g3n1e", json!([])).await.0, 422);
    stage.finish().await;
}
