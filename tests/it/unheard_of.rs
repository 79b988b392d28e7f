//! Ways in which alerts went unheard, or were told falsely, that a tester found by trying: each is one of
//! its kind.

use std::time::Duration;

use serde_json::json;
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::alert::generic::Preset;
use treasury_bot::domain::{Severity, Status};

use crate::alerts::{alert, hasty, hasty_without_escalation, post, stage};
use crate::mail::resolves;
use crate::sources;
use crate::support::stage::{HOME, Stage, words_of};

const API: (&str, &str) = ("service", "api");

fn with(name: &str, severity: &str, labels: &[(&str, &str)], firing: bool) -> serde_json::Value {
    let mut one = alert(name, labels, firing);
    one["labels"]["severity"] = json!(severity);
    let labels: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
    one["fingerprint"] = json!(format!("{name}{}", labels.concat()));
    one
}

fn whole(stage: &Stage) -> String {
    stage.sandbox.look(|workspace| {
        let channels = workspace.channels.values();
        let all: Vec<String> = channels
            .flat_map(|one| one.messages.iter().map(words_of))
            .collect();
        all.join("\n")
    })
}

#[tokio::test]
async fn an_alert_that_one_body_names_twice_is_asked_about_once() {
    let stage = stage(hasty()).await;
    let fires = alert("Dup", &[API], true);
    let (code, _) = post(&stage, &[fires.clone(), fires]).await;
    assert_eq!(code, 200);
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    stage.said(HOME, "please acknowledge").await;
    assert!(!whole(&stage).contains("0 alerts"), "{}", whole(&stage));

    // What fired and was over within one body was over before anybody could be told.
    let blip = [
        alert("Blip", &[("service", "db")], true),
        alert("Blip", &[("service", "db")], false),
    ];
    post(&stage, &blip).await;
    let firing = stage.app.store.alerts_list(false, 10).await.unwrap();
    assert_eq!(firing.len(), 1, "{firing:?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_a_person_declared_is_asked_about_until_somebody_has_it_whatever_lesser_alerts_do() {
    let stage = stage(AlertSettings {
        resolves: true,
        quiet: Duration::from_secs(1),
        ack_within: Duration::from_secs(2),
        ..hasty()
    })
    .await;
    stage
        .ana("incident declare --severity SEV1 --service api payments stuck")
        .await;
    stage.said(HOME, "INC-1 SEV1: payments stuck").await;
    post(&stage, &[with("Slow", "info", &[API], true)]).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for api").await;
    post(&stage, &[with("Slow", "info", &[API], false)]).await;
    stage.becomes(&card, "1 alert is over for api").await;
    stage.said(&room, "Quiet for").await;
    // The next is asked all the same, about what was declared, and it stays open.
    stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            let asks = messages.iter().map(words_of);
            let asks = asks.filter(|words| words.contains("please acknowledge"));
            let asks: Vec<String> = asks.collect();
            let about = asks.iter().all(|ask| ask.contains("payments stuck"));
            (asks.len() > 2 && about).then_some(())
        })
        .await
        .unwrap();
    let open = stage.app.store.incidents_open().await.unwrap();
    assert_eq!(open[0].status, Status::Open);
    assert!(!whole(&stage).contains("0 alerts"), "{}", whole(&stage));
    stage.finish().await;
}

#[tokio::test]
async fn an_alert_that_moves_to_an_incident_leaves_no_all_clear_behind() {
    let stage = stage(AlertSettings {
        quiet: Duration::from_secs(1),
        ..hasty_without_escalation()
    })
    .await;
    post(&stage, &[with("DiskFilling", "info", &[API], true)]).await;
    let card = stage.said(HOME, "1 alert fires for api").await;
    post(&stage, &[with("DiskFilling", "critical", &[API], true)]).await;
    stage.becomes(&card, "1 alert goes on in INC-1").await;
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let all = whole(&stage);
    assert!(
        !all.contains("0 alerts") && !all.contains("Quiet for"),
        "{all}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn the_end_of_an_outage_that_nobody_told_is_seen_when_the_next_begins() {
    let stage = stage(hasty()).await;
    let began = jiff::Timestamp::now() - Duration::from_secs(3_600);
    let mut first = alert("Down", &[API], true);
    first["startsAt"] = json!(began);
    post(&stage, &[first.clone()]).await;
    stage.said(HOME, "please acknowledge").await;
    stage.ana("ack INC-1").await;
    stage.said(HOME, "has acknowledged").await;
    let heard = jiff::Timestamp::now();
    // Alertmanager sends no ends (`send_resolved: false`); this firing began after the last word.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut second = first;
    second["startsAt"] = json!(heard + Duration::from_millis(100));
    let (_, said) = post(&stage, &[second]).await;
    assert_eq!(said, "1 fired, 0 ended, 0 known already\n");
    stage
        .said(&stage.room(1).await, "1 alert fires again")
        .await;
    let record = stage
        .app
        .store
        .alerts_list(false, 1)
        .await
        .unwrap()
        .remove(0)
        .1;
    assert!(record.tracked.since() > heard, "of this firing: {record:?}");
    let timeline = stage.timeline(1).await;
    assert!(
        timeline
            .iter()
            .any(|one| one.text == "1 alert is over: Down"),
        "{timeline:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_got_worse_within_a_silence_raises_and_is_asked_about_when_the_silence_ends() {
    let stage = stage(hasty()).await;
    post(&stage, &[with("Queue", "error", &[API], true)]).await;
    stage.said(HOME, "please acknowledge").await;
    stage.ana("ack INC-1").await;
    stage.said(HOME, "has acknowledged").await;
    stage.ana("silence Queue 3s").await;
    stage.said(HOME, "silenced for 3s").await;
    post(&stage, &[with("Queue", "disaster", &[API], true)]).await;
    let room = stage.room(1).await;
    stage.said(&room, "the silence is over").await;
    stage.said(HOME, "INC-1 SEV1: Queue: it hurts").await;
    let incident = stage.app.store.incidents_open().await.unwrap().remove(0);
    assert_eq!(incident.severity, Severity::Sev1);
    stage.finish().await;
}

#[tokio::test]
async fn an_incident_that_is_named_before_the_text_is_the_one_that_is_resolved() {
    let stage = stage(hasty_without_escalation()).await;
    for title in ["one thing", "another"] {
        stage
            .ana(&format!("incident declare --severity SEV3 {title}"))
            .await;
    }
    stage.room(2).await;
    stage.ana("resolve INC-2 the disk is free again").await;
    stage.said(HOME, "INC-2 is resolved").await;
    let open = stage.app.store.incidents_open().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].title, "one thing");
    let timeline = stage.timeline(2).await;
    let told = timeline.iter().find(|one| one.text.contains("resolved"));
    assert!(
        told.unwrap().text.ends_with("the disk is free again"),
        "{timeline:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn how_bad_an_alert_is_is_no_part_of_which_alert_it_is() {
    let stage = sources::stage(vec![sources::source("backup", Preset::Plain, None)]).await;
    let post = async |body: serde_json::Value| {
        let to = sources::to(&stage, "/alerts/generic/backup").bearer_auth("alerts-token");
        sources::sent(to.body(body.to_string())).await.1
    };
    for level in ["warning", "critical"] {
        post(json!({"name": "Backup", "status": "firing", "severity": level})).await;
    }
    // The end says nothing of how bad it was.
    let said = post(json!({"name": "Backup", "status": "ok"})).await;
    assert_eq!(said, "0 fired, 1 ended, 0 known already\n");
    assert!(
        stage
            .app
            .store
            .alerts_list(false, 9)
            .await
            .unwrap()
            .is_empty()
    );
    stage.finish().await;
}

#[tokio::test]
async fn who_took_up_the_last_of_a_storm_hears_of_what_is_added_to_it() {
    let stage = stage(hasty()).await;
    for n in 1..=5 {
        let service = format!("s{n}");
        post(
            &stage,
            &[with(
                "Down",
                "critical",
                &[("service", &service), ("n", &service)],
                true,
            )],
        )
        .await;
        stage.room(n).await;
        stage.ana(&format!("ack INC-{n}")).await;
        stage
            .said(HOME, &format!("has acknowledged the alerts of INC-{n}"))
            .await;
    }
    let sixth = [("service", "s6"), ("n", "s6"), ("m", "6")];
    post(&stage, &[with("Down", "critical", &sixth, true)]).await;
    let room = stage.room(5).await;
    let told = words_of(&stage.said(&room, "1 alert more fires").await);
    assert!(told.contains("<@U0ANA00001>"), "{told}");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_over_takes_no_acknowledgement() {
    let stage = stage(AlertSettings {
        resolves: true,
        quiet: Duration::from_secs(1),
        ..hasty()
    })
    .await;
    post(&stage, &[with("Queue", "critical", &[API], true)]).await;
    let room = stage.room(1).await;
    post(&stage, &[with("Queue", "critical", &[API], false)]).await;
    stage.said(&room, "INC-1 is resolved").await;
    stage.ana("close INC-1").await;
    stage.said(HOME, "INC-1 is closed").await;
    let entries = stage.timeline(1).await.len();
    post(
        &stage,
        &[with("Queue", "critical", &[API, ("n", "2")], true)],
    )
    .await;
    stage.room(2).await;
    stage.ana("ack Queue").await;
    let told = words_of(&stage.said(HOME, "has acknowledged the alerts of").await);
    assert!(told.contains("INC-2") && !told.contains("INC-1"), "{told}");
    assert_eq!(
        stage.timeline(1).await.len(),
        entries,
        "the closed chain is as it was"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_fires_anew_after_a_silence_in_which_it_ended_is_asked_about() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(600),
        ..hasty()
    })
    .await;
    post(&stage, &[with("Queue", "critical", &[API], true)]).await;
    let room = stage.room(1).await;
    let asked = stage.said(HOME, "please acknowledge").await;
    stage.ana("silence Queue 1h").await;
    stage.said(HOME, "silenced for 1h").await;
    post(&stage, &[with("Queue", "critical", &[API], false)]).await;
    stage.said(&room, "Shall INC-1 be resolved?").await;
    stage.ana("silence Queue --end").await;
    stage.said(HOME, "is told again").await;
    stage.becomes(&asked, "Nothing fires any more").await;
    assert_eq!(stage.count("please acknowledge"), 0);
    let mut again = with("Queue", "critical", &[API], true);
    again["startsAt"] = json!("2026-11-24T03:30:00Z");
    post(&stage, &[again]).await;
    stage.said(&room, "1 alert fires again").await;
    stage.said(HOME, "please acknowledge").await;
    stage.finish().await;
}

#[tokio::test]
async fn an_end_that_comes_after_people_resolved_is_told_and_resolves_nothing_again() {
    let stage = stage(AlertSettings {
        resolves: true,
        quiet: Duration::from_secs(5),
        ..hasty_without_escalation()
    })
    .await;
    post(&stage, &[with("Queue", "critical", &[API], true)]).await;
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    resolves(&stage, &room, "resolve it was the cable").await;
    stage.said(&room, "INC-1 is resolved").await;
    post(&stage, &[with("Queue", "critical", &[API], false)]).await;
    // Longer than it has to be quiet, and than what still fires is told anew.
    tokio::time::sleep(Duration::from_secs(7)).await;
    stage.quiet().await;
    let timeline = stage.timeline(1).await;
    let told = |words: &str| {
        timeline
            .iter()
            .filter(|one| one.text.contains(words))
            .count()
    };
    assert_eq!((told("1 alert is over: Queue"), told("→ resolved")), (1, 1));
    assert_eq!(stage.count("Quiet for"), 0);
    assert_eq!(stage.app.store.incidents(10).await.unwrap().len(), 1);
    stage.finish().await;
}
