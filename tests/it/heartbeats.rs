//! Jobs elsewhere that say that they ran.

use std::time::Duration;

use serde_json::json;
use treasury_bot::bot::{AlertSettings, Deadman};
use treasury_bot::domain::alert::Auto;
use treasury_bot::domain::heartbeat::Heartbeat;
use treasury_bot::domain::{ServiceName, Severity};

use crate::alerts::hasty;
use crate::sources::{sent, to};
use crate::support::engine::eventually;
use crate::support::stage::{HOME, Scenery, Stage, words_of};

fn expected(name: &str, every: Duration) -> Heartbeat {
    Heartbeat {
        name: name.to_owned(),
        every,
        grace: Duration::from_secs(1),
        service: Some(ServiceName::parse("postgres").unwrap()),
        severity: Severity::Sev2,
        watchdog: None,
    }
}

async fn stage(heartbeats: Vec<Heartbeat>) -> Stage {
    let mut alerts = AlertSettings {
        quiet: Duration::from_secs(1),
        resolves: true,
        heartbeats,
        on_call: hasty().on_call,
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Off;
    let scenery = Scenery {
        alerts,
        ..Scenery::default()
    };
    Stage::set(scenery).await
}

async fn beats(stage: &Stage, path: &str) -> (u16, String) {
    let path = format!("/heartbeats/{path}");
    sent(to(stage, &path).bearer_auth("alerts-token")).await
}

#[tokio::test]
async fn a_job_that_does_not_say_that_it_ran_is_an_incident_until_it_does() {
    let stage = stage(vec![expected("nightly", Duration::from_secs(2))]).await;
    let (code, said) = beats(&stage, "nightly?size=3221225472&duration=190").await;
    assert_eq!(code, 200);
    assert!(said.starts_with("nightly is heard of at 2"), "{said}");
    assert!(said.ends_with("(3.0 GiB in 3m 10s)\n"), "{said}");
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for postgres").await;
    let told = words_of(&told);
    for part in ["HeartbeatMissing", "SEV2", "nightly was last heard of at "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    stage.types("ana", HOME, "heartbeat").await;
    stage
        .said(HOME, "1 heartbeat, something is wrong with 1")
        .await;
    stage
        .types("ana", HOME, "heartbeat pause nightly 2h --reason move")
        .await;
    stage.said(HOME, "nightly is not expected until ").await;
    stage.said(&room, "is resolved").await;
    stage.types("ana", HOME, "heartbeat list").await;
    stage.said(HOME, "(move); heard of at ").await;
    stage.finish().await;
}

#[tokio::test]
async fn what_is_small_or_failed_is_told_and_the_next_good_one_ends_it() {
    let stage = stage(vec![expected("nightly", Duration::from_secs(3_600))]).await;
    for size in [1_000, 1_100, 1_200] {
        assert_eq!(beats(&stage, &format!("nightly?size={size}")).await.0, 200);
    }
    beats(&stage, "nightly?size=300").await;
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for postgres").await;
    let told = words_of(&told);
    assert!(told.contains("with 300 B, usual are 1.1 KiB"), "{told}");
    // As JSON, for those who have no shell.
    let body = json!({"size": 1_150, "failed": "pg_dump ended with exit code 1"});
    let failed = to(&stage, "/heartbeats/nightly").bearer_auth("alerts-token");
    assert_eq!(sent(failed.body(body.to_string())).await.0, 200);
    stage
        .said(&room, "that it failed: pg_dump ended with exit code 1")
        .await;
    beats(&stage, "nightly?size=1150").await;
    stage.said(&room, "is resolved").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_beat_without_a_token_of_no_name_or_not_understood_is_refused_with_what_helps() {
    let stage = stage(vec![expected("nightly", Duration::from_secs(3_600))]).await;
    let (code, said) = sent(to(&stage, "/heartbeats/nightly")).await;
    assert_eq!(
        (code, said.as_str()),
        (401, "a bearer token is needed: Authorization: Bearer …\n")
    );
    let (code, said) = beats(&stage, "weekly").await;
    assert_eq!(code, 404);
    assert!(said.starts_with("there is no heartbeat weekly: "), "{said}");
    for query in ["size=big", "seize=3", "duration=-1"] {
        let (code, said) = beats(&stage, &format!("nightly?{query}")).await;
        assert_eq!(code, 400, "{query}: {said}");
    }
    // Who asks within the first look's time is told that it was none yet.
    eventually("it is listened", async || {
        let known = stage.app.store.heartbeats().await.unwrap();
        known.contains_key("nightly").then_some(())
    })
    .await;
    stage.types("ana", HOME, "heartbeat").await;
    stage.said(HOME, "not heard of since ").await;
    stage.finish().await;
}

#[tokio::test]
async fn the_watchdog_of_alertmanager_is_a_beat_and_no_alert() {
    let watchdog = Heartbeat {
        watchdog: Some("Watchdog".to_owned()),
        ..expected("prometheus", Duration::from_secs(3_600))
    };
    let stage = stage(vec![watchdog]).await;
    let alert = json!({
        "status": "firing", "labels": {"alertname": "Watchdog", "severity": "none"},
        "annotations": {}, "startsAt": "2026-11-30T03:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
    });
    let body = json!({"version": "4", "status": "firing", "alerts": [alert]});
    let post = to(&stage, "/alerts/alertmanager").bearer_auth("alerts-token");
    let (code, said) = sent(post.body(body.to_string())).await;
    assert_eq!(
        (code, said.as_str()),
        (200, "0 fired, 0 ended, 0 known already\n")
    );
    stage.types("ana", HOME, "heartbeat").await;
    stage.said(HOME, "1 heartbeat, nothing is wrong").await;
    assert_eq!(stage.app.store.alerts_count().await.unwrap(), (0, 0));
    stage.finish().await;
}

#[tokio::test]
async fn the_bot_itself_says_elsewhere_that_it_is_alive() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scenery = Scenery {
        alerts: AlertSettings {
            deadman: Some(Deadman {
                url: format!("http://{address}/ping/1234").into(),
                every: Duration::from_millis(100),
            }),
            ..AlertSettings::default()
        },
        ..Scenery::default()
    };
    let stage = Stage::set(scenery).await;
    // One that has no words is asked again.
    drop(listener.accept().await.unwrap());
    let (mut asked, _) = listener.accept().await.unwrap();
    let mut head = [0; 20];
    tokio::io::AsyncReadExt::read_exact(&mut asked, &mut head)
        .await
        .unwrap();
    assert_eq!(&head, b"GET /ping/1234 HTTP/");
    drop(asked);
    drop(listener);
    stage.finish().await;
}
