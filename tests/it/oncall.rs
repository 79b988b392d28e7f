//! Who is on call: shown, changed from the chat, asked when something fires, told at handovers.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;
use treasury_bot::domain::alert::Auto;
use treasury_bot::domain::oncall::{Backup, Handover, Rotation};
use treasury_bot::domain::{EntryKind, Person, ServiceName};
use treasury_bot::sandbox::slack::Message;

use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, PATIENCE, Scenery, Stage, words_of};

const ANA: &str = "U0ANA00001";
const BEN: &str = "U0BEN00001";
const CHLOE: &str = "U0CHLOE001";

fn person(id: &str) -> Person {
    Person {
        id: id.into(),
        name: id.into(),
    }
}

/// The first of them is on call today and long after.
fn rotation(name: &str, members: &[&str]) -> Rotation {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let yesterday = today.yesterday().unwrap();
    Rotation {
        name: name.into(),
        members: members.iter().copied().map(person).collect(),
        handover: Some(
            Handover::parse("every 300 days 00:00", Some(yesterday), TimeZone::UTC).unwrap(),
        ),
        holidays: [].into(),
        substitutes: Vec::new(),
        backups: None,
        services: Vec::new(),
        teams: Vec::new(),
        default: true,
    }
}

/// A second rotation, for redis.
fn of_redis(members: &[&str]) -> Rotation {
    Rotation {
        services: vec![ServiceName::parse("redis").unwrap()],
        default: false,
        ..rotation("cache people", members)
    }
}

fn scenery(rotations: Vec<Rotation>) -> Scenery {
    let mut alerts = AlertSettings {
        ack_within: Duration::from_secs(600),
        follow_up: Duration::from_secs(600),
        rotations,
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Off;
    Scenery {
        alerts,
        commanders: vec![CHLOE.into()],
        ..Scenery::default()
    }
}

fn alert(service: &str) -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": "Down", "severity": "critical", "service": service},
        "annotations": {"summary": format!("{service} is down")},
        "startsAt": "2026-11-24T03:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    })
}

async fn fires(stage: &Stage, service: &str) {
    let answer = reqwest::Client::new()
        .post(format!("http://{}/alerts/alertmanager", stage.app.address))
        .bearer_auth("alerts-token")
        .json(&json!({"version": "4", "alerts": [alert(service)]}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

/// Waits for a message of the bot in the main channel that says all of this.
async fn says(stage: &Stage, words: &[&str]) -> Message {
    stage
        .sandbox
        .wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(HOME)?.messages;
            let all = |m: &&Message| words.iter().all(|part| words_of(m).contains(part));
            messages
                .iter()
                .rev()
                .filter(|m| m.by_bot)
                .find(all)
                .cloned()
        })
        .await
        .unwrap_or_else(|error| panic!("nobody said {words:?}: {error}"))
}

/// Who was asked to acknowledge, in the order of asking.
fn asked(stage: &Stage) -> Vec<String> {
    stage.sandbox.look(|workspace| {
        let messages = &workspace.channel(HOME).unwrap().messages;
        messages
            .iter()
            .map(words_of)
            .filter(|words| words.contains("please acknowledge"))
            .map(|words| {
                let ids = [ANA, BEN, CHLOE].into_iter();
                let ids: Vec<&str> = ids.filter(|id| words.contains(*id)).collect();
                ids.join(" ")
            })
            .collect()
    })
}

#[tokio::test]
async fn who_is_on_call_is_shown_without_waking_anybody() {
    let rotations = vec![rotation("primary", &[ANA, BEN]), of_redis(&[BEN, CHLOE])];
    let stage = Stage::set(Scenery {
        commanders: Vec::new(),
        ..scenery(rotations)
    })
    .await;
    stage.types("chloe", HOME, "oncall set me").await;
    stage.said(HOME, "Only a responder may do this").await;
    stage.ana("oncall").await;
    let told = words_of(&stage.said(HOME, "Who is on call").await);
    assert!(told.contains("primary: ana until"), "{told}");
    assert!(told.contains("cache people: ben until"), "{told}");
    assert!(told.contains("— redis"), "{told}");
    assert!(!told.contains("<@"), "somebody is woken: {told}");

    stage.ana("oncall show --rotation 'cache people'").await;
    let told = words_of(&stage.said(HOME, "ben is on call for cache people").await);
    assert!(told.contains("then chloe"), "{told}");
    assert!(
        told.contains("Asked one after another: ben, chloe"),
        "{told}"
    );
    let table = &treasury_bot::bot::Zones::here().told;
    assert!(
        told.contains(&format!("Table of time zones: {table}")),
        "{told}"
    );
    stage.ana("oncall show --rotation primry").await;
    stage.said(HOME, "There is no rotation primry").await;
    stage.finish().await;
}

#[tokio::test]
async fn an_override_is_told_asked_first_and_taken_back_by_a_button() {
    let stage = Stage::set(scenery(vec![rotation("primary", &[ANA, BEN])])).await;
    stage.types("ben", HOME, "oncall override me 2h").await;
    let told = says(
        &stage,
        &[
            "<@U0BEN00001> is on call",
            "(was <@U0ANA00001>)",
            "Take it back",
        ],
    )
    .await;
    fires(&stage, "api").await;
    let question = says(&stage, &["please acknowledge", BEN]).await;
    assert!(
        !words_of(&question).contains(ANA),
        "{}",
        words_of(&question)
    );
    assert_eq!(asked(&stage), [BEN]);

    stage.ana("oncall").await;
    let shown = words_of(&stage.said(HOME, "Override 1: ben until").await);
    assert!(shown.contains("ben is on call until"), "{shown}");
    assert!(shown.contains("then ana"), "{shown}");

    stage
        .person("ben")
        .clicks(HOME, &told.ts, "Take it back")
        .await
        .unwrap();
    says(
        &stage,
        &[
            "<@U0ANA00001> is on call",
            "(was <@U0BEN00001>)",
            "1 incident is open",
        ],
    )
    .await;
    stage.types("ben", HOME, "oncall clear").await;
    stage.said(HOME, "There is no override").await;

    let audit: Vec<String> = stage
        .audit()
        .await
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Assigned)
        .map(|entry| entry.text)
        .collect();
    assert_eq!(audit.len(), 2, "{audit:?}");
    assert!(
        audit[0].starts_with("on call by primary: ana → ben, from"),
        "{audit:?}"
    );
    assert!(
        audit[1].starts_with("on call by primary: ben → ana, from"),
        "{audit:?}"
    );
    let told = stage.timeline(1).await;
    let changed = told
        .iter()
        .filter(|entry| entry.kind == EntryKind::Assigned);
    let changed: Vec<&str> = changed.map(|entry| entry.text.as_str()).collect();
    assert_eq!(changed, ["ana is on call by primary (was ben)"]);
    stage.finish().await;
}

#[tokio::test]
async fn what_makes_no_sense_or_is_not_theirs_is_refused() {
    let rotations = vec![rotation("primary", &[BEN, ANA]), of_redis(&[ANA, BEN])];
    let stage = Stage::set(scenery(rotations)).await;
    for (words, told) in [
        ("oncall set me", "For which rotation?"),
        (
            "oncall set me --rotation primary --x",
            "I did not understand that",
        ),
        (
            "oncall override @chloe 2h --rotation primary",
            "It is the shift of ben: you can take it yourself",
        ),
        (
            "oncall set U0EVE00001 --rotation primary",
            "can't be on call: they may not act",
        ),
        ("oncall set @nobody --rotation primary", "I know nobody"),
        (
            "oncall set me --rotation 'cache people'",
            "ana is already on call for all of that time",
        ),
        (
            "oncall override me 2h --from 2020-01-01T09:00 --rotation primary",
            "begins within the next 90 days",
        ),
        (
            "oncall override me 91d --rotation primary",
            "lasts from 1s to 90d",
        ),
        ("oncall clear 7", "There is no override 7"),
    ] {
        stage.ana(words).await;
        stage.said(HOME, told).await;
    }
    assert_eq!(stage.app.store.overrides().await.unwrap(), []);
    // In an incident's own channel its service says which rotation is meant.
    fires(&stage, "redis").await;
    let room = stage.room(1).await;
    stage.types("ana", &room, "oncall set @ben").await;
    says(&stage, &["<@U0BEN00001> is on call for cache people until"]).await;
    let set = stage.app.store.overrides().await.unwrap().remove(0);
    assert_eq!(set.rotation, "cache people");
    assert!(set.until.is_some(), "until the next handover");
    let words = "oncall override @chloe 1h --from 3h --rotation 'cache people'";
    stage.types("ben", HOME, words).await;
    says(
        &stage,
        &["<@U0CHLOE001> will be on call", "in place of <@U0BEN00001>"],
    )
    .await;
    stage.ana("oncall clear").await;
    stage.said(HOME, "Which override?").await;
    stage.ana("oncall clear 2").await;
    stage.said(HOME, "This override is by ben").await;
    // What she said herself is hers to take back.
    stage.ana("oncall clear 1").await;
    says(&stage, &["<@U0ANA00001> is on call", "(was <@U0BEN00001>)"]).await;
    let left = stage.app.store.overrides().await.unwrap();
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [2]);
    stage.finish().await;
}

#[tokio::test]
async fn an_override_that_begins_later_counts_for_later_levels() {
    let mut primary = rotation("primary", &[ANA]);
    primary.backups = Some(vec![Backup::Person(person(BEN))]);
    let mut scenery = scenery(vec![primary]);
    scenery.alerts.ack_within = Duration::from_secs(4);
    let stage = Stage::set(scenery).await;
    fires(&stage, "api").await;
    says(&stage, &["please acknowledge", ANA]).await;
    stage.ana("oncall set @chloe").await;
    says(&stage, &["<@U0CHLOE001> is on call"]).await;
    says(&stage, &["<@U0ANA00001> <@U0BEN00001> <@U0CHLOE001>"]).await;
    let everybody = format!("{ANA} {BEN} {CHLOE}");
    assert_eq!(asked(&stage), [ANA, CHLOE, BEN, &everybody]);
    stage.finish().await;
}

#[tokio::test]
async fn whoever_comes_on_call_while_an_incident_is_open_is_told() {
    let stage = Stage::set(scenery(vec![rotation("primary", &[ANA, BEN])])).await;
    // Nothing is open: who is on call changes without a word.
    stage.types("ben", HOME, "oncall override me 1s").await;
    says(&stage, &["<@U0BEN00001> is on call"]).await;
    fires(&stage, "api").await;
    stage.types("ben", HOME, "oncall override me 3s").await;
    let back = says(
        &stage,
        &[
            "<@U0ANA00001> is on call",
            "(was <@U0BEN00001>)",
            "INC-1 SEV2 open",
        ],
    )
    .await;
    assert!(!words_of(&back).contains("Said by"), "{}", words_of(&back));
    stage.finish().await;
}

#[tokio::test]
async fn a_configuration_that_changes_who_is_on_call_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    let mut scenery = scenery(vec![rotation("primary", &[ANA])]);
    scenery.store_url = Some(url);
    let stage = Stage::set(scenery.clone()).await;
    fires(&stage, "api").await;
    says(&stage, &["please acknowledge", ANA]).await;
    stage.quiet().await;
    let Stage {
        sandbox,
        stack,
        app,
        ..
    } = stage;
    app.stop().await;
    scenery.alerts.rotations = vec![rotation("primary", &[BEN])];
    let app = crate::support::stage::another_bot(&sandbox, &stack, &scenery).await;
    sandbox
        .wait_for(PATIENCE, |workspace| {
            let mut all = workspace.channel(HOME)?.messages.iter();
            all.find(|m| words_of(m).contains("<@U0BEN00001> is on call (was <@U0ANA00001>)"))
                .map(|_| ())
        })
        .await
        .unwrap();
    app.stop().await;
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn two_bots_on_one_store_tell_of_a_handover_once() {
    let server = Postgres::start().await;
    let mut scenery = scenery(vec![rotation("primary", &[ANA, BEN])]);
    scenery.store_url = Some(server.url());
    let stage = Stage::set(scenery.clone()).await;
    let other = stage.another_bot(&scenery).await;
    fires(&stage, "api").await;
    stage.room(1).await;
    for n in 1..=2 {
        stage
            .types("ben", HOME, "oncall override me 3s --from 1s")
            .await;
        says(&stage, &["<@U0BEN00001> will be on call"]).await;
        stage
            .sandbox
            .wait_for(PATIENCE, |workspace| {
                let back = |m: &&Message| words_of(m).contains("<@U0ANA00001> is on call");
                (workspace.messages().filter(back).count() >= n).then_some(())
            })
            .await
            .unwrap();
    }
    stage.quiet().await;
    let entries = stage.timeline(1).await;
    let changes = entries
        .iter()
        .filter(|entry| entry.text.contains("is on call by primary"))
        .count();
    assert_eq!(
        (
            stage.count("<@U0BEN00001> is on call"),
            stage.count("<@U0ANA00001> is on call"),
            changes
        ),
        (2, 2, 4)
    );
    other.stop().await;
    stage.finish().await;
}
