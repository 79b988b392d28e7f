//! Silences in Alertmanager itself: made once, shown, ended, and taken note of when others end them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;

use crate::alerts::{alert, hasty_without_escalation, post};
use crate::support::alertmanager::Alertmanager;
use crate::support::free_port;
use crate::support::stage::{HOME, Scenery, Stage, words_of};

async fn stage(port: u16) -> Stage {
    Stage::set(Scenery {
        alerts: AlertSettings {
            silence_check: Duration::from_millis(300),
            ..hasty_without_escalation()
        },
        alertmanager: Some(format!("http://127.0.0.1:{port}")),
        ..Scenery::default()
    })
    .await
}

/// The bot, and a real Alertmanager that sends it its alerts.
async fn with_alertmanager() -> (Stage, Alertmanager) {
    let port = free_port();
    let stage = stage(port).await;
    let alertmanager = Alertmanager::start_on(port, stage.app.address, "alerts-token").await;
    (stage, alertmanager)
}

async fn fires(alertmanager: &Alertmanager, ends: Option<&str>) {
    fires_at(alertmanager, "/a\\b \"c\"", ends).await;
}

async fn fires_at(alertmanager: &Alertmanager, path: &str, ends: Option<&str>) {
    let mut alert = json!({
        "labels": {"alertname": "SlowPages", "service": "frontend", "severity": "critical", "path": path},
        "annotations": {"summary": "Pages are slow"},
    });
    if let Some(ends) = ends {
        alert["endsAt"] = json!(ends);
    }
    let sent = reqwest::Client::new()
        .post(format!("{}/api/v2/alerts", alertmanager.url()))
        .json(&json!([alert]))
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_success());
}

async fn silences(alertmanager: &Alertmanager) -> Vec<Value> {
    let url = format!("{}/api/v2/silences", alertmanager.url());
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn a_silence_that_somebody_made_there_is_shown_as_that_and_its_end_is_noticed() {
    let (stage, alertmanager) = with_alertmanager().await;
    for path in ["/pay", "/list"] {
        fires_at(&alertmanager, path, None).await;
    }
    let room = stage.room(1).await;
    let card = stage.said(&room, "2 alerts fire for frontend").await;
    let now = jiff::Timestamp::now();
    let silence = json!({
        "matchers": [{"name": "alertname", "value": "SlowPages", "isRegex": false}],
        "startsAt": now,
        "endsAt": now + Duration::from_secs(3_600),
        "createdBy": "chloe",
        "comment": "known",
    });
    let client = reqwest::Client::new();
    let url = format!("{}/api/v2/silences", alertmanager.url());
    let made = client.post(url).json(&silence).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    stage
        .becomes(&card, "Silenced or inhibited in Alertmanager")
        .await;
    stage.ana("alerts").await;
    stage.said(HOME, "silenced in Alertmanager").await;

    let id = made["silenceID"].as_str().unwrap();
    let url = format!("{}/api/v2/silence/{id}", alertmanager.url());
    client.delete(url).send().await.unwrap();
    stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let card = workspace.channel(&room)?.message(&card.ts)?;
            (!words_of(card).contains("in Alertmanager")).then_some(())
        })
        .await
        .unwrap();
    stage
        .said(&room, "2 alerts still fire: the silence is over")
        .await;
    assert_eq!(
        stage.count("still fires: the silence is over"),
        0,
        "one message for both"
    );
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn a_silence_is_alertmanagers_own_and_the_end_of_what_it_hides_is_noticed() {
    let (stage, alertmanager) = with_alertmanager().await;
    fires(&alertmanager, None).await;
    let room = stage.room(1).await;
    let alerts = stage.said(&room, "1 alert fires for frontend").await;
    stage
        .ana("silence SlowPages 1h --reason 'a known one, being mended'")
        .await;
    let told = stage
        .said(HOME, "1 alert of SlowPages silenced for 1h by")
        .await;
    stage
        .becomes(&told, "Alertmanager is quiet too: silence")
        .await;
    stage.becomes(&alerts, "Silenced").await;

    let all = silences(&alertmanager).await;
    assert_eq!(all.len(), 1, "{all:?}");
    let silence = &all[0];
    assert_eq!(silence["status"]["state"], "active");
    assert_eq!(silence["createdBy"], "ana");
    let comment = silence["comment"].as_str().unwrap();
    assert!(
        comment.starts_with("a known one, being mended, INC-1 [treasury-bot "),
        "{comment}"
    );
    let matchers = silence["matchers"].as_array().unwrap();
    assert_eq!(matchers.len(), 4, "all labels: {matchers:?}");
    assert!(matchers.contains(
        &json!({"name": "path", "value": "/a\\b \"c\"", "isRegex": false, "isEqual": true})
    ));
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let known: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(known[0]["status"]["state"], "suppressed", "{known}");

    // It ends, and Alertmanager does not say so: the bot, which has seen it there, finds out.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !stage.app.store.alerts_list(false, 1).await.unwrap()[0]
        .1
        .tracked
        .was_listed
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it was never compared"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = alertmanager.notifications().await;
    fires(&alertmanager, Some("2026-01-01T00:00:00Z")).await;
    stage.becomes(&alerts, "1 alert is over for frontend").await;
    assert!(
        (alertmanager.notifications().await - before).abs() < 0.1,
        "it sent nothing"
    );
    let timeline: Vec<String> = stage
        .timeline(1)
        .await
        .into_iter()
        .map(|one| one.text)
        .collect();
    let id = silence["id"].as_str().unwrap();
    for text in [
        "1 alert silenced for 1h: a known one, being mended",
        &format!("silenced in Alertmanager too: {id}"),
        "1 alert is over (nobody said so: Alertmanager does not know it any more): SlowPages",
    ] {
        assert!(
            timeline.iter().any(|one| one == text),
            "{text}: {timeline:?}"
        );
    }
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_alertmanager_lists_as_firing_after_its_end_was_reported_fires_again() {
    let (stage, alertmanager) = with_alertmanager().await;
    fires(&alertmanager, None).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for frontend").await;
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let known: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    // An end came, such as one from a member that heard nothing of it for a while …
    let mut end = known[0].clone();
    end["status"] = "resolved".into();
    end["endsAt"] = json!(jiff::Timestamp::now());
    assert_eq!(post(&stage, &[end]).await.0, 200);
    stage.becomes(&card, "1 alert is over for frontend").await;
    // … and it is told to fire; but Alertmanager has said so, and repeats it in four hours.
    fires(&alertmanager, None).await;
    let again = stage
        .sandbox
        .wait_for(Duration::from_secs(60), |workspace| {
            let card = workspace.channel(&room)?.message(&card.ts)?;
            words_of(card)
                .contains("1 alert fires for frontend")
                .then_some(())
        })
        .await;
    again.unwrap();
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn it_can_be_ended_here_and_there() {
    let (stage, alertmanager) = with_alertmanager().await;
    fires(&alertmanager, None).await;
    let room = stage.room(1).await;
    let alerts = stage.said(&room, "1 alert fires for frontend").await;
    stage.ana("silence INC-1 2h").await;
    let told = stage
        .said(HOME, "1 alert of INC-1 silenced for 2h by")
        .await;
    let told = stage.becomes(&told, "Alertmanager is quiet too").await;
    stage.becomes(&alerts, "Silenced").await;
    stage
        .person("ana")
        .clicks(HOME, &told.ts, "End silence")
        .await
        .unwrap();
    stage.said(HOME, "1 alert of INC-1 is told again").await;
    stage.becomes(&told, "Ended by <@U0ANA00001>").await;
    assert_eq!(
        silences(&alertmanager).await[0]["status"]["state"],
        "expired"
    );
    stage.ana("silence INC-1 --end").await;
    stage.said(HOME, "No alert of INC-1 is silenced").await;

    stage.ana("silence INC-1 3h").await;
    let told = stage
        .said(HOME, "1 alert of INC-1 silenced for 3h by")
        .await;
    stage.becomes(&told, "Alertmanager is quiet too").await;
    let all = silences(&alertmanager).await;
    let active = all
        .iter()
        .find(|one| one["status"]["state"] == "active")
        .unwrap();
    let url = format!(
        "{}/api/v2/silence/{}",
        alertmanager.url(),
        active["id"].as_str().unwrap()
    );
    assert!(
        reqwest::Client::new()
            .delete(url)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    stage
        .becomes(&told, "Ended in Alertmanager: it is told again")
        .await;
    let over = "1 alert still fires: the silence is over";
    stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let told = workspace.messages().filter(|m| words_of(m).contains(over));
            // By the button before, and by Alertmanager now.
            (told.count() == 2).then_some(())
        })
        .await
        .unwrap();
    stage.finish().await;
}

/// An Alertmanager that makes what it is asked for, and whose answers can be cut.
#[derive(Clone, Default)]
struct Fake {
    made: Arc<Mutex<Vec<Value>>>,
    /// So many further answers are lost.
    lost: Arc<AtomicUsize>,
}

impl Fake {
    async fn serve(&self, port: u16) {
        let app = Router::new()
            .route("/api/v2/silences", get(Self::all).post(Self::make))
            .route(
                "/api/v2/status",
                get(|| async { Json(json!({"uptime": "2026-01-01T00:00:00Z"})) }),
            )
            .route(
                "/api/v2/alerts",
                get(|| async { StatusCode::SERVICE_UNAVAILABLE }),
            )
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
    }

    #[expect(clippy::unused_async, reason = "axum's handlers are")]
    async fn all(State(fake): State<Self>) -> Json<Value> {
        Json(json!(*fake.made.lock().unwrap()))
    }

    #[expect(clippy::unused_async, reason = "axum's handlers are")]
    async fn make(State(fake): State<Self>, Json(mut silence): Json<Value>) -> Response {
        let mut made = fake.made.lock().unwrap();
        let id = format!("silence-{}", made.len() + 1);
        silence["id"] = json!(id);
        silence["status"] = json!({"state": "active"});
        made.push(silence);
        let lost = fake
            .lost
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        match lost {
            Ok(_) => StatusCode::BAD_GATEWAY.into_response(),
            Err(_) => Json(json!({"silenceID": id})).into_response(),
        }
    }
}

#[tokio::test]
async fn it_is_quiet_here_while_alertmanager_is_away_and_there_once_it_is_back() {
    let port = free_port();
    let stage = stage(port).await;
    post(
        &stage,
        &[alert("SlowPages", &[("service", "frontend")], true)],
    )
    .await;
    let room = stage.room(1).await;
    let alerts = stage.said(&room, "1 alert fires for frontend").await;
    stage.ana("silence SlowPages 1h").await;
    let told = stage.said(HOME, "silenced for 1h by").await;
    let told = stage.becomes(&told, "It is quiet here only").await;
    assert!(
        words_of(&told).contains("can't be reached"),
        "{}",
        words_of(&told)
    );
    stage.becomes(&alerts, "Silenced").await;

    // The first answer is lost after the silence was made: it is found, not made again.
    let fake = Fake::default();
    fake.lost.store(1, Ordering::Relaxed);
    fake.serve(port).await;
    let told = stage.becomes(&told, "answered 502").await;
    stage
        .becomes(&told, "Alertmanager is quiet too: silence silence-1")
        .await;
    let made = fake.made.lock().unwrap().clone();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["createdBy"], "ana");
    stage.finish().await;
}

#[tokio::test]
async fn what_alertmanager_does_not_know_is_quiet_here_only() {
    let port = free_port();
    let stage = stage(port).await;
    let many: Vec<Value> = (0..30)
        .map(|n| alert(&format!("Kind{n}"), &[("service", "api")], true))
        .collect();
    post(&stage, &many).await;
    let room = stage.room(1).await;
    stage.said(&room, "30 alerts fire for api").await;
    stage.ana("silence INC-1 1h").await;
    let told = stage
        .said(HOME, "30 alerts of INC-1 silenced for 1h by")
        .await;
    assert!(
        words_of(&told).contains("Alertmanager itself is not asked"),
        "{}",
        words_of(&told)
    );
    stage.ana("silence INC-1 --end").await;
    stage.said(HOME, "30 alerts of INC-1 are told again").await;
    stage.finish().await;
}
