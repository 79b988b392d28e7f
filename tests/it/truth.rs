//! What fires is never over, and nobody sleeps through it. The situations are those that people
//! report of other tools; each is one of its kind.

use std::time::Duration;

use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::{Severity, Status};

use crate::alerts::{alert, hasty, hasty_without_escalation, is_asked, post, stage};
use crate::mail::resolves;
use crate::support::stage::{HOME, Stage, words_of};

const API: (&str, &str) = ("service", "api");

fn of(name: &str, severity: &str, labels: &[(&str, &str)], firing: bool) -> Value {
    let mut one = alert(name, labels, firing);
    one["labels"]["severity"] = json!(severity);
    one["fingerprint"] = json!(format!("{name}{}", labels.len()));
    one
}

/// Alertmanager's body with more than its alerts.
pub async fn post_body(stage: &Stage, more: Value, alerts: &[Value]) -> (u16, String) {
    let mut body =
        json!({"version": "4", "groupKey": "{}:{x=\"y\"}", "receiver": "bot", "alerts": alerts});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    let answer = reqwest::Client::new()
        .post(format!("http://{}/alerts/alertmanager", stage.app.address))
        .bearer_auth("alerts-token")
        .json(&body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub async fn status(stage: &Stage, id: i64) -> Status {
    let id = treasury_bot::domain::IncidentId(id);
    stage.app.store.incident(id).await.unwrap().unwrap().status
}

#[tokio::test]
async fn the_same_firing_after_its_end_fires_again_and_its_incident_is_not_resolved() {
    let stage = stage(AlertSettings {
        resolves: true,
        quiet: Duration::from_secs(3),
        ..hasty_without_escalation()
    })
    .await;
    let (fires, over) = (alert("Down", &[API], true), alert("Down", &[API], false));
    post(&stage, std::slice::from_ref(&fires)).await;
    let room = stage.room(1).await;
    let told = stage.said(&room, "1 alert fires for api").await;
    post(&stage, &[over]).await;
    // A second Alertmanager's late report stays quiet; one more is no accident.
    let (_, said) = post(&stage, std::slice::from_ref(&fires)).await;
    assert_eq!(said, "0 fired, 0 ended, 1 known already\n");
    let (_, said) = post(&stage, &[fires]).await;
    assert_eq!(said, "1 fired, 0 ended, 0 known already\n");
    stage.said(&room, "1 alert fires again").await;
    stage.becomes(&told, "1 alert fires for api").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(status(&stage, 1).await, Status::Open);
    stage.finish().await;
}

#[tokio::test]
async fn what_begins_after_everything_was_quiet_is_asked_about_though_it_was_acknowledged_before() {
    let stage = stage(hasty_without_escalation()).await;
    post(&stage, &[alert("NodeDown", &[API, ("node", "1")], true)]).await;
    let room = stage.room(1).await;
    stage.said(HOME, "please acknowledge").await;
    stage.ana("ack INC-1").await;
    post(&stage, &[alert("NodeDown", &[API, ("node", "1")], false)]).await;
    stage.said(&room, "Shall INC-1 be resolved?").await;
    let asked = stage.count("please acknowledge");
    let more: Vec<Value> = (2..6)
        .map(|n| alert("NodeDown", &[API, ("node", &n.to_string())], true))
        .collect();
    post(&stage, &more).await;
    stage.said(&room, "4 alerts fire after all was over").await;
    stage
        .sandbox
        .wait_for(Duration::from_secs(10), |workspace| {
            let asks = workspace
                .messages()
                .filter(|m| words_of(m).contains("please acknowledge"));
            (asks.count() > asked).then_some(())
        })
        .await
        .unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn a_new_kind_is_a_new_message_to_whoever_has_it_and_a_worse_one_is_asked_about_again() {
    let mut alerts = hasty_without_escalation();
    alerts.declare_from = Severity::Sev3;
    let stage = stage(alerts).await;
    post(&stage, &[of("HighCpu", "warning", &[API], true)]).await;
    let room = stage.room(1).await;
    stage.said(HOME, "please acknowledge").await;
    stage.ana("ack INC-1").await;
    stage.said(HOME, "has acknowledged").await;
    // More of the same is an edit.
    post(
        &stage,
        &[of("HighCpu", "warning", &[API, ("pod", "2")], true)],
    )
    .await;
    let card = stage.said(&room, "2 alerts fire for api").await;
    assert_eq!(stage.count("more fires"), 0);
    post(&stage, &[of("SlowDisk", "warning", &[API], true)]).await;
    let news = words_of(&stage.said(&room, "1 alert more fires").await);
    assert!(
        news.contains("<@U0ANA00001>") && news.contains("SlowDisk"),
        "{news}"
    );
    // What asked says who has it.
    assert_eq!(stage.count("please acknowledge"), 0);
    post(&stage, &[of("AllDown", "critical", &[API], true)]).await;
    let news = words_of(&stage.said(&room, "It is worse now: SEV2").await);
    assert!(news.contains("AllDown"), "{news}");
    stage.said(HOME, "INC-1 SEV2: AllDown").await;
    stage.becomes(&card, "SEV2").await;
    stage.finish().await;
}

#[tokio::test]
async fn severity_that_rises_while_it_fires_declares_and_asks_and_one_that_falls_is_only_told() {
    let mut alerts = hasty_without_escalation();
    alerts.declare_from = Severity::Sev2;
    let stage = stage(alerts).await;
    post(&stage, &[of("DiskFilling", "warning", &[API], true)]).await;
    stage.said(HOME, "1 alert fires for api").await;
    assert!(stage.app.store.incidents_open().await.unwrap().is_empty());
    post(&stage, &[of("DiskFilling", "critical", &[API], true)]).await;
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    stage.said(HOME, "please acknowledge").await;
    let entries = stage.timeline(1).await;
    let has = |words: &str| entries.iter().any(|entry| entry.text.contains(words));
    assert!(has("SEV2 (was SEV3): DiskFilling"), "{entries:?}");
    let asked = stage.count("<@U0ANA00001>");
    post(&stage, &[of("DiskFilling", "warning", &[API], true)]).await;
    stage.quiet().await;
    let entries = stage.timeline(1).await;
    let last = entries.last().unwrap();
    assert!(
        last.text.contains("SEV3 (was SEV2): DiskFilling"),
        "{last:?}"
    );
    assert_eq!(stage.count("<@U0ANA00001>"), asked);
    stage.finish().await;
}

#[tokio::test]
async fn what_still_fires_after_an_incident_was_resolved_by_hand_is_told_anew() {
    let stage = stage(hasty_without_escalation()).await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    resolves(&stage, &room, "resolve looks fine").await;
    stage.said(&room, "INC-1 is resolved").await;
    // Nobody repeats it; the bot knows that it was never over.
    let room = stage.room(2).await;
    stage.said(&room, "1 alert fires for api").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_silence_silences_follow_ups_and_new_incidents_and_then_there_is_one_message() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(600),
        follow_up: Duration::from_secs(1),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    let room = stage.room(1).await;
    stage.said(&room, "1 alert still fires after").await;
    stage.ana("silence Down 5s").await;
    stage.said(HOME, "silenced for 5s").await;
    let follow_ups = stage.count("still fires after");
    stage.said(&room, "the silence is over").await;
    let messages = stage.sandbox.messages(&room);
    let words = messages.iter().map(words_of);
    let before = words.take_while(|words| !words.contains("the silence is over"));
    let told = before.filter(|words| words.contains("still fires after"));
    assert_eq!(
        told.count(),
        follow_ups,
        "one was due two seconds after the first"
    );

    stage.ana("silence Down 6s").await;
    stage.said(HOME, "silenced for 6s").await;
    let follow_ups = stage.count("still fires after");
    resolves(&stage, &room, "resolve it is known").await;
    stage.said(&room, "INC-1 is resolved").await;
    // It ends and begins within the silence: no incident.
    post(&stage, &[alert("Down", &[API], false)]).await;
    let mut again = alert("Down", &[API], true);
    again["startsAt"] = json!("2026-11-24T03:30:00Z");
    post(&stage, &[again]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.app.store.incidents(10).await.unwrap().len(), 1);
    assert_eq!(stage.count("still fires after"), follow_ups);
    let room = stage.room(2).await;
    stage.said(&room, "1 alert fires for api").await;
    stage.finish().await;
}

#[tokio::test]
async fn alerts_that_alertmanager_left_out_are_told_and_keep_their_incident_open() {
    let stage = stage(AlertSettings {
        resolves: true,
        ..hasty_without_escalation()
    })
    .await;
    post_body(
        &stage,
        json!({"truncatedAlerts": 3}),
        &[alert("Down", &[API], true)],
    )
    .await;
    let room = stage.room(1).await;
    let card = stage
        .said(&room, "and 3 further that Alertmanager left out")
        .await;
    let more = json!({"truncatedAlerts": 3, "status": "resolved",
                      "notification_reason": "some alerts resolved"});
    post_body(&stage, more, &[alert("Down", &[API], false)]).await;
    stage.becomes(&card, "1 alert is over").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(status(&stage, 1).await, Status::Open);
    let all = json!({"truncatedAlerts": 3, "status": "resolved",
                     "notification_reason": "all alerts resolved"});
    post_body(&stage, all, &[alert("Down", &[API], false)]).await;
    stage.said(&room, "INC-1 is resolved").await;
    stage.finish().await;
}

#[tokio::test]
async fn one_group_without_a_service_is_one_incident_and_services_of_other_names_are_apart() {
    let stage = stage(hasty_without_escalation()).await;
    let cluster = ("cluster", "prod");
    let rules: Vec<Value> = (0..60)
        .map(|n| alert(&format!("Kube{n}"), &[cluster], true))
        .collect();
    post(&stage, &rules).await;
    let room = stage.room(1).await;
    stage.said(&room, "60 alerts fire").await;
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 1);
    for name in ["payments-db", "intranet-wiki"] {
        post(&stage, &[alert("InstanceDown", &[("service", name)], true)]).await;
    }
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 3);
    stage.finish().await;
}

#[tokio::test]
async fn a_storm_declares_five_incidents_and_the_worst_has_its_own() {
    let stage = stage(hasty_without_escalation()).await;
    let mut storm: Vec<Value> = (0..40)
        .map(|n| {
            of(
                &format!("Warn{n:02}"),
                "warning",
                &[("service", &format!("svc-{n:02}"))],
                true,
            )
        })
        .collect();
    storm.push(of("ZDatabaseDown", "critical", &[("service", "zdb")], true));
    let (_, said) = post(&stage, &storm).await;
    assert_eq!(said, "41 fired, 0 ended, 0 known already\n");
    let mut open = stage.app.store.incidents_open().await.unwrap();
    open.sort_by_key(|incident| incident.id);
    assert_eq!(open.len(), 5);
    assert!(open[0].title.contains("ZDatabaseDown"), "{open:?}");
    let room = stage.room(5).await;
    stage.said(&room, "37 alerts fire").await;
    stage.finish().await;
}

/// A message a second and channel, twenty channels a minute, 429 with Retry-After.
#[tokio::test]
async fn in_a_storm_under_slacks_limits_the_worst_is_said_first() {
    let stage = stage(hasty_without_escalation()).await;
    stage.sandbox.faults().slacks_limits();
    let mut storm: Vec<Value> = (0..40)
        .map(|n| {
            let service = format!("svc-{n:02}");
            of(
                &format!("Warn{n:02}"),
                "warning",
                &[("service", &service)],
                true,
            )
        })
        .collect();
    storm.push(of("ZDatabaseDown", "critical", &[("service", "zdb")], true));
    post(&stage, &storm).await;
    let taken = jiff::Timestamp::now().as_millisecond();
    stage.said(HOME, "ZDatabaseDown").await;
    // By Slack's own clock: it is said within five seconds, and nothing that Slack refused came before.
    let calls = stage.sandbox.calls();
    let posts = || {
        calls
            .iter()
            .filter(|call| call.method == "chat.postMessage")
    };
    let worst = posts().find(|call| call.body.to_string().contains("ZDatabaseDown"));
    let worst = worst.unwrap();
    assert_eq!(worst.status, 200);
    assert!(worst.at - taken <= 5_000, "{} ms", worst.at - taken);
    assert!(posts().all(|call| call.at > worst.at || call.status == 200));
    let first = stage.sandbox.look(|workspace| {
        let messages = &workspace.channel(HOME).unwrap().messages;
        messages.iter().find(|one| one.by_bot).map(words_of)
    });
    let first = first.unwrap();
    assert!(first.contains("ZDatabaseDown"), "{first}");
    stage.finish().await;
}

#[tokio::test]
async fn what_stands_on_a_failed_service_joins_its_incident_and_asks_nobody() {
    let stage = stage(hasty_without_escalation()).await;
    // Reported first, it is still the consequence.
    let bodies = [
        alert("Errors", &[API], true),
        alert("Down", &[("service", "postgres")], true),
    ];
    post(&stage, &bodies).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "2 alerts fire for postgres").await;
    post(
        &stage,
        &[alert("SlowPages", &[("service", "frontend")], true)],
    )
    .await;
    stage.becomes(&card, "3 alerts fire for postgres").await;
    stage.quiet().await;
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 1);
    assert_eq!(stage.count("please acknowledge"), 1);
    // It still ends by itself.
    post(
        &stage,
        &[alert("SlowPages", &[("service", "frontend")], false)],
    )
    .await;
    stage.becomes(&card, "2 alerts fire for postgres").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_declared_incident_asks_who_is_on_call_and_a_lesser_one_does_not() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(1),
        ..hasty()
    })
    .await;
    stage
        .types("ben", HOME, "incident declare Slow pages --severity SEV3")
        .await;
    stage
        .types(
            "ben",
            HOME,
            "incident declare Payments stuck --severity SEV1",
        )
        .await;
    let asked = words_of(&stage.said(HOME, "please acknowledge").await);
    assert!(
        asked.contains("INC-2") && asked.contains("Payments stuck"),
        "{asked}"
    );
    stage.ana("ack INC-2").await;
    stage
        .said(HOME, "has acknowledged the alerts of INC-2")
        .await;
    // That ask is closed, and of the other there was none.
    stage.quiet().await;
    assert_eq!(stage.count("please acknowledge"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn an_acknowledgement_is_asked_about_and_without_an_answer_the_next_is_asked() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(2),
        reask: Duration::from_secs(2),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    stage.room(1).await;
    stage.ana("ack INC-1").await;
    let asked = stage.said(HOME, "do you still have it?").await;
    assert!(
        words_of(&asked).contains("<@U0ANA00001>"),
        "{}",
        words_of(&asked)
    );
    let ana = stage.person("ana");
    ana.clicks(HOME, &asked.ts, "I still have it")
        .await
        .unwrap();
    // The next time nobody answers.
    is_asked(&stage, "<@U0BEN00001>").await;
    let entries = stage.timeline(1).await;
    let has = |words: &str| entries.iter().any(|entry| entry.text.contains(words));
    assert!(
        has("alerts acknowledged again") && has("did not answer"),
        "{entries:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn the_ladder_ends_in_everybody_again_and_again_and_never_in_silence() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_millis(300),
        ask_again: Duration::from_millis(500),
        follow_up: Duration::from_secs(600),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let asks = workspace.messages().filter(|m| {
                let words = words_of(m);
                words.contains("please acknowledge")
                    && words.contains("<@U0ANA00001>")
                    && words.contains("<@U0BEN00001>")
            });
            (asks.count() >= 4).then_some(())
        })
        .await
        .unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn what_its_sender_repeats_no_more_is_not_heard_of_and_asks_nobody_further() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(3),
        unheard: Some(Duration::from_secs(1)),
        follow_up: Duration::from_secs(600),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for api").await;
    let told = words_of(&stage.said(&room, "1 alert is not heard of since").await);
    assert!(told.contains("not known"), "{told}");
    stage.becomes(&card, "Not heard of").await;
    let asked = stage.count("please acknowledge");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(stage.count("please acknowledge"), asked);
    assert_eq!(stage.count("is not heard of since"), 1, "told once");
    assert_eq!(status(&stage, 1).await, Status::Open);
    // It is heard of again.
    post(&stage, &[alert("Down", &[API], true)]).await;
    stage.becomes(&card, "1 alert fires for api").await;
    stage.finish().await;
}
