//! What Alertmanager leaves out of its reports (`max_alerts`) may fire: people go on being asked, no
//! incident of the group is over, and what is known to be over is.

use std::time::Duration;

use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::Status;
use treasury_bot::domain::alert::Damping;

use crate::alerts::{alert, hasty, hasty_without_escalation, is_asked, stage};
use crate::flapping::nth;
use crate::support::alertmanager::Alertmanager;
use crate::support::free_port;
use crate::support::stage::{HOME, Scenery, Stage, words_of};
use crate::truth::{post_body, status};

const API: (&str, &str) = ("service", "api");
// They don't stand on each other.
const SHOP: (&str, &str) = ("service", "shop");
const WIKI: (&str, &str) = ("service", "wiki");

/// A body of one group of Alertmanager, which left so many out.
async fn post(stage: &Stage, left_out: u64, reason: Option<&str>, alerts: &[Value]) {
    let mut more = json!({"truncatedAlerts": left_out});
    if let Some(reason) = reason {
        more["notification_reason"] = reason.into();
    }
    assert_eq!(post_body(stage, more, alerts).await.0, 200);
}

#[tokio::test]
async fn people_are_asked_on_while_some_may_fire() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(1),
        follow_up: Duration::from_secs(3),
        ..hasty()
    })
    .await;
    post(&stage, 3, None, &[alert("Down", &[API], true)]).await;
    stage.said(HOME, "please acknowledge").await;
    let over = [alert("Down", &[API], false)];
    post(&stage, 3, Some("some alerts resolved"), &over).await;
    is_asked(&stage, "U0BEN00001").await;
    let room = stage.room(1).await;
    let told = stage
        .said(&room, "further that Alertmanager left out")
        .await;
    assert!(!words_of(&told).contains("0 alerts"), "{}", words_of(&told));
    stage.finish().await;
}

#[tokio::test]
async fn no_incident_of_the_group_is_over_until_none_is_left_out() {
    let stage = stage(AlertSettings {
        resolves: true,
        on_call: Vec::new(),
        ..hasty()
    })
    .await;
    let (down, slow) = (alert("Down", &[SHOP], true), alert("Slow", &[WIKI], true));
    post(&stage, 7, None, &[down.clone(), slow]).await;
    stage.room(2).await;
    let over = alert("Slow", &[WIKI], false);
    post(
        &stage,
        7,
        Some("some alerts resolved"),
        &[down.clone(), over],
    )
    .await;
    // Longer than it has to be quiet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for id in [1, 2] {
        assert_eq!(status(&stage, id).await, Status::Open);
    }
    // A body that leaves nothing out is about all of them, though it names one.
    post(&stage, 0, Some("repeat interval elapsed"), &[down]).await;
    let wiki = stage.app.store.incidents(10).await.unwrap();
    let wiki = wiki
        .iter()
        .find(|one| one.title.contains("Slow"))
        .unwrap()
        .id;
    let room = stage.room(wiki.0).await;
    stage.said(&room, &format!("{wiki} is resolved")).await;
    assert_eq!(status(&stage, 3 - wiki.0).await, Status::Open);
    stage.finish().await;
}

#[tokio::test]
async fn while_all_that_is_listed_flaps_some_may_fire() {
    let stage = stage(AlertSettings {
        damping: Damping {
            changes: 3,
            ..Damping::default()
        },
        ..hasty_without_escalation()
    })
    .await;
    for n in 0..2 {
        post(&stage, 0, None, &[nth(n, true)]).await;
        post(&stage, 3 * n as u64, None, &[nth(n, false)]).await;
    }
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    let told = stage.becomes(&told, "flapping, 4 changes in").await;
    let words = words_of(&told);
    assert!(
        words.contains("and 3 further that Alertmanager left out"),
        "{words}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn some_may_fire_wherever_alerts_of_their_group_are_told() {
    let stage = stage(AlertSettings {
        resolves: true,
        quiet: Duration::from_secs(2),
        ..hasty_without_escalation()
    })
    .await;
    let down = alert("Down", &[SHOP], true);
    post(&stage, 0, None, std::slice::from_ref(&down)).await;
    stage.room(1).await;
    post(&stage, 0, None, &[alert("Slow", &[WIKI], true)]).await;
    let room = stage.room(2).await;
    post(&stage, 0, None, &[alert("Slow", &[WIKI], false)]).await;
    // It lists only the other one: that of the wiki may fire again, and be among those left out.
    post(&stage, 2, Some("repeat interval elapsed"), &[down]).await;
    stage
        .said(&room, "2 further that Alertmanager left out")
        .await;
    assert_eq!(status(&stage, 2).await, Status::Open);
    stage.finish().await;
}

#[tokio::test]
async fn where_no_alert_of_their_group_is_told_any_more_nothing_is_left_out() {
    let stage = stage(AlertSettings {
        resolves: true,
        ..hasty_without_escalation()
    })
    .await;
    let errors = |severity: &str| {
        let labels = [("service", "frontend"), ("severity", severity)];
        let mut one = alert("Errors", &labels, true);
        one["fingerprint"] = "e1".into();
        one
    };
    let frontend = json!({"groupKey": "frontend", "truncatedAlerts": 3});
    let api = json!({"groupKey": "api"});
    // The frontend stands on the api, so that its alerts are told with those of the api …
    post_body(&stage, api.clone(), &[alert("Down", &[API], true)]).await;
    post_body(&stage, frontend.clone(), &[errors("warning")]).await;
    let room = stage.room(1).await;
    stage
        .said(&room, "3 further that Alertmanager left out")
        .await;
    // … until that is well, and theirs get worse.
    post_body(&stage, api, &[alert("Down", &[API], false)]).await;
    post_body(&stage, frontend, &[errors("critical")]).await;
    stage.said(&room, "INC-1 is resolved").await;
    let theirs = stage.room(2).await;
    stage
        .said(&theirs, "3 further that Alertmanager left out")
        .await;
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Alertmanager"]
async fn what_alertmanager_lists_no_more_was_not_left_out() {
    let port = free_port();
    let stage = Stage::set(Scenery {
        alertmanager: Some(format!("http://127.0.0.1:{port}")),
        alerts: AlertSettings {
            silence_check: Duration::from_millis(300),
            resolves: true,
            on_call: Vec::new(),
            ..hasty()
        },
        ..Scenery::default()
    })
    .await;
    let _alertmanager = Alertmanager::start_on(port, stage.app.address, "alerts-token").await;
    post(&stage, 2, None, &[alert("Down", &[API], true)]).await;
    let room = stage.room(1).await;
    let card = stage
        .said(&room, "and 2 further that Alertmanager left out")
        .await;
    post(&stage, 2, None, &[alert("Down", &[API], false)]).await;
    stage.becomes(&card, "1 alert is over for api").await;
    stage.said(&room, "INC-1 is resolved").await;
    stage.finish().await;
}
