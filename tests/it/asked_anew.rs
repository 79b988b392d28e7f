//! Who is asked anew when a person says that it is worse, when nobody can be asked, and after Slack
//! was away.

use std::time::Duration;

use serde_json::json;
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::alert::{Matcher, Route};
use treasury_bot::domain::request::Reply;
use treasury_bot::domain::{Door, Person, Place, Request, Status};
use treasury_bot::sandbox::slack::Fault;

use crate::alerts::{alert, hasty, post, stage};
use crate::support::engine::eventually;
use crate::support::stage::{HOME, Stage, words_of};
use crate::truth::post_body;

const API: (&str, &str) = ("service", "api");

/// What asks somebody to acknowledge, in the order of the main channel.
fn asks(stage: &Stage) -> Vec<String> {
    let messages = stage.sandbox.messages(HOME);
    let words = messages.iter().map(words_of);
    words
        .filter(|words| words.contains("please acknowledge"))
        .collect()
}

/// Types a command in a terminal, as `exec` does.
async fn in_a_terminal(stage: &Stage, text: &str) {
    let request = Request {
        key: format!("terminal:{text}"),
        door: Door::Terminal,
        person: Person::terminal("ana"),
        place: Place::terminal(),
        text: text.into(),
        reply: Reply::default(),
    };
    stage.app.store.accept(request, None).await.unwrap();
}

#[tokio::test]
async fn what_a_person_calls_worse_is_asked_about_anew_unless_that_person_has_it() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(600),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    stage.said(HOME, "please acknowledge").await;
    stage.types("ben", HOME, "ack INC-1").await;
    stage.said(HOME, "has acknowledged the alerts of").await;
    stage.ana("incident severity SEV1 --incident INC-1").await;
    let asked = stage.said(HOME, "INC-1 SEV1: Down: it hurts").await;
    let asked = words_of(&asked);
    assert!(
        asked.contains("please acknowledge") && !asked.contains("nobody has for"),
        "{asked}"
    );

    // Who has it and says so knows.
    post(&stage, &[alert("Slow", &[("service", "redis")], true)]).await;
    stage.said(HOME, "INC-2 SEV2: Slow: it hurts").await;
    stage.ana("ack INC-2").await;
    stage
        .said(HOME, "has acknowledged the alerts of INC-2")
        .await;
    stage.ana("incident severity SEV1 --incident INC-2").await;
    stage.said(HOME, "INC-2 is now SEV1 (was SEV2)").await;
    stage.quiet().await;
    let about_it = asks(&stage).into_iter().filter(|one| one.contains("INC-2"));
    let told: Vec<String> = about_it.collect();
    assert!(told.is_empty(), "the only ask is closed: {told:?}");
    stage.finish().await;
}

#[tokio::test]
async fn who_acknowledged_in_a_terminal_can_not_be_asked_so_the_next_is() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(600),
        reask: Duration::from_secs(1),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[API], true)]).await;
    stage.said(HOME, "please acknowledge").await;
    in_a_terminal(&stage, "ack INC-1").await;
    let told = "ana acknowledged it where nobody can be asked whether they still have it";
    eventually(told, || async {
        let entries = stage.timeline(1).await;
        let told = entries.iter().position(|one| one.text == told)?;
        // It is another moment's work.
        let mut then = entries[told..].iter();
        let asked = |text: &str| text.starts_with("asked ") && text.ends_with("to acknowledge");
        then.any(|one| asked(&one.text)).then_some(())
    })
    .await;
    stage.quiet().await;
    assert_eq!(asks(&stage).len(), 1, "the former is closed");
    assert_eq!(stage.count("do you still have it?"), 0);
    stage.finish().await;
}

#[tokio::test]
async fn after_slack_was_away_all_who_were_asked_hear_it_at_once() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_millis(200),
        ask_again: Duration::from_millis(500),
        follow_up: Duration::from_secs(600),
        ..hasty()
    })
    .await;
    let faults = stage.sandbox.faults();
    faults.next("*", u32::MAX, Fault::ServerError(503));
    post(&stage, &[alert("Down", &[API], true)]).await;
    let asked = async || {
        let entries = stage.timeline(1).await;
        let asked = entries.iter().filter(|one| one.text.starts_with("asked "));
        asked.count()
    };
    eventually("16 were asked", || async {
        (asked().await >= 16).then_some(())
    })
    .await;
    faults.clear();
    stage.said(HOME, "please acknowledge").await;
    stage.quiet().await;
    // One was on its way when Slack went, and some came since it is back.
    let (said, asked) = (asks(&stage).len(), asked().await);
    assert!(said * 2 < asked, "{said} of {asked} asks were said");
    stage.finish().await;
}

#[tokio::test]
async fn closing_names_its_incident_as_resolving_does() {
    let stage = Stage::new().await;
    for title in ["one", "two"] {
        stage.ana(&format!("incident declare {title}")).await;
        stage.said(HOME, title).await;
    }
    stage.ana("resolve it was the disk --incident INC-1").await;
    stage.said(HOME, "INC-1 is resolved").await;
    stage.ana("close --incident INC-1").await;
    stage.said(HOME, "INC-1 is closed").await;
    stage.ana("reopen --incident INC-1").await;
    stage.said(HOME, "INC-1 is open").await;
    let two = stage.app.store.incidents(10).await.unwrap();
    assert!(two.iter().all(|one| one.status == Status::Open), "{two:?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_alertmanager_left_out_is_said_by_alerts_and_before_its_incident_is_resolved() {
    let stage = stage(AlertSettings {
        on_call: Vec::new(),
        ..hasty()
    })
    .await;
    let more = json!({"truncatedAlerts": 3});
    post_body(&stage, more, &[alert("Down", &[API], true)]).await;
    stage.room(1).await;
    let left_out =
        "3 further that Alertmanager left out (max_alerts): whether they fire is not known";
    stage.ana("alerts").await;
    stage.said(HOME, left_out).await;
    stage.ana("resolve the disk --incident INC-1").await;
    let asked = stage.said(HOME, "Resolve INC-1?").await;
    assert!(words_of(&asked).contains(left_out), "{}", words_of(&asked));
    stage.finish().await;
}

#[tokio::test]
async fn what_begins_on_a_service_that_is_well_again_is_asked_about() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_secs(600),
        ..hasty()
    })
    .await;
    let (postgres, frontend) = (("service", "postgres"), ("service", "frontend"));
    post(&stage, &[alert("Down", &[postgres], true)]).await;
    let room = stage.room(1).await;
    let card = stage.said(&room, "1 alert fires for postgres").await;
    stage.ana("ack INC-1").await;
    // What stands on it joins, and asks nobody.
    post(&stage, &[alert("Errors", &[frontend], true)]).await;
    stage.becomes(&card, "2 alerts fire for postgres").await;
    post(&stage, &[alert("Down", &[postgres], false)]).await;
    stage.becomes(&card, "1 alert fires for postgres").await;
    let words = words_of(&stage.becomes(&card, "Errors").await);
    assert!(!words.contains("it is the likely cause"), "{words}");
    post(&stage, &[alert("Gone", &[frontend], true)]).await;
    let asked = words_of(&stage.said(HOME, "INC-2 SEV2").await);
    assert!(
        asked.contains("please acknowledge") || asked.contains("declared"),
        "{asked}"
    );
    stage.said(HOME, "please acknowledge").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_storm_is_one_incident_only_for_those_whom_it_wakes() {
    let mut settings = hasty();
    settings.ack_within = Duration::from_secs(600);
    let route = Route {
        matchers: vec![Matcher::parse("team=\"web\"").unwrap()],
        channel: Some("#general".into()),
        ..Route::default()
    };
    settings.routes.routes = vec![route];
    let stage = stage(settings).await;
    let storm: Vec<_> = (0..7)
        .map(|n| {
            let service = format!("s{n}");
            alert(&format!("Warn{n}"), &[("service", &service)], true)
        })
        .collect();
    post(&stage, &storm).await;
    assert_eq!(stage.app.store.incidents_open().await.unwrap().len(), 5);
    let web = [("service", "shop"), ("team", "web")];
    post(&stage, &[alert("SiteDown", &web, true)]).await;
    let open = stage.app.store.incidents_open().await.unwrap();
    assert_eq!(open.len(), 6);
    assert!(open[0].title.contains("SiteDown"), "{open:?}");
    stage.finish().await;
}
