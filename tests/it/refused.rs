//! What Slack refuses, and where the main channel and people are told how an incident goes on.

use std::time::Duration;

use serde_json::Value;
use treasury_bot::bot::{AlertSettings, NotifySettings};
use treasury_bot::domain::Severity;
use treasury_bot::domain::mail::Mailbox;
use treasury_bot::domain::notification::{Channel, Recipient};
use treasury_bot::sandbox::slack::Workspace;

use crate::alerts::{alert, hasty, post, stage};
use crate::support::stage::{HOME, Scenery, Stage, words_of};

async fn ready(stage: &Stage) -> (u16, Value) {
    let url = format!("http://{}/health/ready", stage.app.address);
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// What the bot has said to somebody alone.
fn direct(stage: &Stage, person: &str) -> Vec<String> {
    stage.sandbox.look(|world| {
        let mut channels = world.channels.values();
        let channel = channels.find(|c| c.id.starts_with('D') && c.members.contains(person));
        let messages = channel.into_iter().flat_map(|c| &c.messages);
        messages.map(words_of).collect()
    })
}

#[tokio::test]
async fn an_incident_whose_channel_is_closed_goes_on_in_a_thread_of_the_main_one() {
    for code in ["is_archived", "channel_not_found", "restricted_action"] {
        let stage = Stage::new().await;
        stage.ana("incident declare Slow").await;
        let room = stage.room(1).await;
        stage.said(&room, "INC-1: Slow").await;
        let faults = stage.sandbox.faults();
        if code == "is_archived" {
            faults.archived(&room, true);
        } else {
            faults.closed(&room, Some(code));
        }

        stage.ana("note --incident INC-1 seen from home").await;
        let root = stage.said(HOME, "INC-1 goes on in this thread").await;
        assert!(words_of(&root).contains("can't be written to"));
        let note = stage.said(HOME, "seen from home").await;
        assert_eq!(note.thread_ts.as_ref(), Some(&root.ts));
        let header = stage.said(HOME, "INC-1: Slow").await;
        assert_eq!(header.thread_ts.as_ref(), Some(&root.ts));
        // The thread is the incident's place now: no id is needed there.
        let ana = stage.person("ana");
        ana.says(
            HOME,
            "<@UTREASURYBOT> incident severity SEV2",
            Some(&root.ts),
        )
        .await
        .unwrap();
        stage.said(HOME, "INC-1 is now SEV2").await;
        stage.quiet().await;
        assert_eq!(stage.count("goes on in this thread"), 1);

        // Opened again, it is still the incident's channel for whoever types there.
        faults.archived(&room, false);
        faults.closed(&room, None);
        stage.types("ana", &room, "note back in the room").await;
        stage.said(&room, "back in the room").await;
        let notes = stage.timeline(1).await;
        assert_eq!(notes.last().unwrap().text, "back in the room");
        stage.quiet().await;
        stage.finish().await;
    }
}

#[tokio::test]
async fn while_slack_refuses_messages_alerts_are_taken_and_all_is_said_when_it_is_mended() {
    let ana = Recipient::Email(Mailbox::parse("ana@example.com").unwrap());
    let stage = Stage::set(Scenery {
        alerts: hasty(),
        mail: Some(NotifySettings {
            people: [("U0ANA00001".to_owned(), vec![ana])].into(),
            stakeholders: Vec::new(),
            from_severity: Severity::Sev1,
        }),
        ..Scenery::default()
    })
    .await;
    let faults = stage.sandbox.faults();
    faults.lacks("chat:write", true);
    let (code, _) = post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    assert_eq!(code, 200);
    // A typed command is answered all the same, by its own address.
    stage.ana("alerts").await;
    stage.said(HOME, "1 alert fires").await;
    assert_eq!(stage.count("please acknowledge"), 0);
    let (code, body) = ready(&stage).await;
    assert_eq!(code, 200, "a load balancer goes on sending alerts: {body}");
    let slack = &body["slack"];
    assert_eq!(slack["connected"], false, "{body}");
    assert_eq!(slack["refused"][0]["needed"], "chat:write", "{body}");
    assert!(slack["refused"][0]["since"].is_string(), "{body}");
    assert!(slack["waiting"].as_i64().unwrap() > 0, "{body}");
    let url = format!("http://{}/metrics", stage.app.address);
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("treasury_bot_slack_connected 0"));

    // Who is on call hears by mail what lacks, once.
    let (store, lease) = (&stage.app.store, Duration::from_secs(60));
    let mails = store.notifications_claim(&Channel::Email, "test", 9, lease);
    let mails = mails.await.unwrap();
    let told = mails
        .iter()
        .map(|mail| mail.notification.message.title.plain());
    let told = told.filter(|title| title.starts_with("Slack refuses"));
    let told: Vec<String> = told.collect();
    let lacks = "Slack refuses chat.postMessage: the app lacks the scope chat:write";
    assert_eq!(told, [lacks]);

    faults.lacks("chat:write", false);
    stage.said(HOME, "INC-1 SEV2").await;
    stage.said(HOME, "please acknowledge").await;
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for api").await;
    let (_, body) = ready(&stage).await;
    assert_eq!(body["slack"]["connected"], true, "{body}");
    stage.finish().await;
}

#[tokio::test]
async fn a_scope_that_only_channels_need_is_told_in_the_main_one() {
    let stage = Stage::new().await;
    stage.sandbox.faults().lacks("channels:manage", true);
    stage.ana("incident declare Slow").await;
    let root = stage.said(HOME, "INC-1 SEV3: Slow").await;
    let told = stage.said(HOME, "Slack refuses conversations.create").await;
    let words = words_of(&told);
    assert!(words.contains("lacks the scope channels:manage"), "{words}");
    assert!(words.contains("Reinstall to Workspace"), "{words}");
    let header = stage.said(HOME, "INC-1: Slow").await;
    assert_eq!(header.thread_ts, Some(root.ts));
    stage.finish().await;
}

#[tokio::test]
async fn the_main_channel_follows_an_incident_to_its_end() {
    let stage = stage(hasty()).await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    let announced = stage.said(HOME, "INC-1 SEV2").await;
    let asked = stage.said(HOME, "please acknowledge").await;
    let room = stage.room(1).await;
    stage
        .becomes(&announced, &format!("Worked on in <#{room}>"))
        .await;
    stage.types("ana", &room, "incident severity SEV1").await;
    stage.becomes(&announced, "INC-1 SEV1").await;
    stage.types("ana", &room, "mitigate").await;
    stage.becomes(&announced, "mitigated").await;
    post(&stage, &[alert("Down", &[("service", "api")], false)]).await;
    stage.said(&room, "Quiet for").await;
    stage.types("ana", &room, "resolve").await;
    let over = stage.becomes(&announced, "resolved").await;
    assert!(words_of(&over).contains("✅"), "{}", words_of(&over));
    // Nobody is to acknowledge what is over. What a person called worse is not over by its alerts' end.
    stage.becomes(&asked, "Over: INC-1 is resolved").await;
    stage.quiet().await;
    assert_eq!(stage.count("please acknowledge"), 0);
    stage.types("ana", &room, "reopen").await;
    stage.becomes(&announced, "INC-1 SEV1").await;
    stage.finish().await;
}

#[tokio::test]
async fn an_acknowledged_ask_says_by_whom() {
    let stage = stage(hasty()).await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    let asked = stage.said(HOME, "please acknowledge").await;
    let ben = stage.person("ben");
    ben.clicks(HOME, &asked.ts, "Acknowledge").await.unwrap();
    let closed = stage.becomes(&asked, "Acknowledged by <@U0BEN00001>").await;
    let words = words_of(&closed);
    assert!(!words.contains("please acknowledge"), "{words}");
    // Whoever took it up is in the room, and knows where it is.
    let room = stage.room(1).await;
    stage.quiet().await;
    let is_in = |world: &Workspace| world.channels[&room].members.contains("U0BEN00001");
    assert!(stage.sandbox.look(is_in));
    let said = direct(&stage, "U0BEN00001");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&format!("Worked on in <#{room}>")),
        "{said:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn who_gets_a_role_is_invited_and_told_where_once() {
    for incident_channels in [true, false] {
        let stage = Stage::set(Scenery {
            incident_channels,
            ..Scenery::default()
        })
        .await;
        stage.ana("incident declare Slow").await;
        stage.said(HOME, "INC-1 SEV3: Slow").await;
        for role in ["scribe", "commander"] {
            let words = format!("incident assign {role} @chloe --incident INC-1");
            stage.ana(&words).await;
            stage.said(HOME, &format!("is {role}")).await;
        }
        stage.quiet().await;
        let said = direct(&stage, "U0CHLOE001");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("You are on INC-1 SEV3: Slow"), "{said:?}");
        if incident_channels {
            let room = stage.room(1).await;
            let is_in = stage
                .sandbox
                .look(|world| world.channels[&room].members.contains("U0CHLOE001"));
            assert!(is_in && said[0].contains(&room), "{said:?}");
        } else {
            assert!(said[0].contains("Open its thread"), "{said:?}");
        }
        stage.finish().await;
    }
}

#[tokio::test]
async fn whoever_is_asked_is_invited_and_told_where_once() {
    let stage = stage(AlertSettings {
        ack_within: Duration::from_millis(500),
        ask_again: Duration::from_secs(1),
        ..hasty()
    })
    .await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    let room = stage.room(1).await;
    // After ana ben, and then both again.
    let asked = stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            let all = workspace.messages().map(words_of);
            let of_ben = |words: &String| {
                words.contains("please acknowledge") && words.contains("<@U0BEN00001>")
            };
            (all.filter(of_ben).count() > 1).then_some(())
        });
    asked.await.unwrap();
    stage.quiet().await;
    for person in ["U0ANA00001", "U0BEN00001"] {
        let told = direct(&stage, person);
        let where_it_is = told.iter().filter(|one| one.contains("You are on INC-1"));
        let where_it_is: Vec<&String> = where_it_is.collect();
        assert_eq!(where_it_is.len(), 1, "{told:?}");
        assert!(where_it_is[0].contains(&room), "{told:?}");
        let is_in = |world: &Workspace| world.channels[&room].members.contains(person);
        assert!(stage.sandbox.look(is_in), "{person}");
    }
    stage.finish().await;
}
