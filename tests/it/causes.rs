//! What stands on a failed service (`depends_on`) and was reported before it: nobody is asked about the
//! consequence while the cause is asked about.

use std::time::Duration;

use serde_json::json;
use treasury_bot::bot::AlertSettings;

use crate::alerts::{alert, hasty, post, stage};
use crate::support::stage::{HOME, Stage, words_of};
use crate::truth::post_body;

const FRONTEND: (&str, &str) = ("service", "frontend");
const POSTGRES: (&str, &str) = ("service", "postgres");

/// What asks somebody about this incident.
fn asks(stage: &Stage, incident: &str) -> usize {
    let messages = stage.sandbox.messages(HOME);
    let words = messages.iter().map(words_of);
    words
        .filter(|words| words.contains("please acknowledge") && words.contains(incident))
        .count()
}

async fn is_asked(stage: &Stage, incident: &str) {
    let asked = stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let mut all = workspace.channel(HOME)?.messages.iter().map(words_of);
            all.find(|words| words.contains("please acknowledge") && words.contains(incident))
        });
    let asked = asked.await;
    asked.unwrap_or_else(|error| panic!("nobody is asked about {incident}: {error}"));
}

fn patient() -> AlertSettings {
    AlertSettings {
        ack_within: Duration::from_secs(1),
        ask_again: Duration::from_secs(1),
        follow_up: Duration::from_secs(600),
        quiet: Duration::from_secs(600),
        ..hasty()
    }
}

#[tokio::test]
async fn a_consequence_that_fired_first_asks_nobody_while_its_cause_does_and_again_after_it() {
    let stage = stage(patient()).await;
    post(&stage, &[alert("Errors", &[FRONTEND], true)]).await;
    let room = stage.room(1).await;
    is_asked(&stage, "INC-1").await;
    post(&stage, &[alert("Down", &[POSTGRES], true)]).await;
    is_asked(&stage, "INC-2").await;
    let why = "Nobody is asked about this while postgres fails, which it stands on: see INC-2";
    stage.said(&room, why).await;
    let card = stage.said(&room, "1 alert fires for frontend").await;
    stage
        .becomes(&card, "nobody while postgres fails: INC-2")
        .await;
    // What was asked is taken back, and nobody further is asked.
    stage.said(HOME, why).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(asks(&stage, "INC-1"), 0);
    let entries = stage.timeline(1).await;
    let told = entries.iter().filter(|entry| entry.text == why);
    assert_eq!(told.count(), 1, "said once");

    post(&stage, &[alert("Down", &[POSTGRES], false)]).await;
    is_asked(&stage, "INC-1").await;
    stage.becomes(&card, "1 alert fires for frontend").await;
    stage.finish().await;
}

#[tokio::test]
async fn what_is_worse_than_the_cause_or_may_be_no_consequence_is_asked_about() {
    for (severity, left_out) in [("SEV1", 0), ("critical", 3)] {
        let stage = stage(patient()).await;
        let mut errors = alert("Errors", &[FRONTEND], true);
        errors["labels"]["severity"] = severity.into();
        post_body(&stage, json!({"truncatedAlerts": left_out}), &[errors]).await;
        stage.room(1).await;
        post(&stage, &[alert("Down", &[POSTGRES], true)]).await;
        is_asked(&stage, "INC-2").await;
        let asked = asks(&stage, "INC-1");
        let more = stage
            .sandbox
            .wait_for(Duration::from_secs(20), |workspace| {
                let all = workspace.channel(HOME)?.messages.iter().map(words_of);
                let asks = |words: &String| {
                    words.contains("please acknowledge") && words.contains("INC-1")
                };
                (all.filter(asks).count() > asked).then_some(())
            });
        more.await.unwrap();
        assert_eq!(stage.count("Nobody is asked about this while"), 0);
        stage.finish().await;
    }
}
