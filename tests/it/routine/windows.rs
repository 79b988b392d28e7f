//! Maintenance windows: recorded and quiet, told at their ends, and never silent about more.

use std::time::Duration;

use jiff::SignedDuration;
use treasury_bot::bot::Routine;
use treasury_bot::domain::ServiceName;
use treasury_bot::domain::period::{PeriodKind, PlannedPeriod};

use super::world::{World, schedule};
use crate::alerts::{alert, hasty, is_asked, post};
use crate::support::postgres::Postgres;
use crate::support::process::Setup;
use crate::support::stage::{HOME, Scenery, Stage, said, words_of};

const ASKED: &str = "please acknowledge";

fn planned(text: &str, zone: &str, hours: u64) -> Routine {
    Routine {
        periods: vec![PlannedPeriod {
            kind: PeriodKind::Window,
            service: Some(ServiceName::parse("api").unwrap()),
            schedule: schedule(text, zone),
            length: Duration::from_secs(hours * 3_600),
            reason: "patches".into(),
        }],
        ..Routine::default()
    }
}

async fn plain() -> World {
    World::new("2026-11-24T03:00:00Z", Routine::default()).await
}

#[tokio::test]
async fn what_fires_in_a_window_is_recorded_and_held_and_at_its_end_told_and_asked_about() {
    let mut world = plain().await;
    let answer = world.ana("window start api 2h --reason 'new disks'").await;
    assert!(
        answer.starts_with("The window of api is on until 2026-11-24 05:00"),
        "{answer}"
    );
    world.pass(SignedDuration::ZERO).await;
    world.heard("Maintenance of api until 2026-11-24 05:00");

    world.alert("Down", "api", "critical", true).await;
    world.alert("Slow", "api", "warning", true).await;
    world.minutes(3).await;
    world.alert("Slow", "api", "warning", false).await;
    world.minutes(20).await;
    assert_eq!(world.count(ASKED), 0);
    assert!(world.store.incidents_open().await.unwrap().is_empty());
    let card = world.heard("🔕 Held: ");
    assert!(
        card.contains("1 alert fires (Down); 1 alert was there and is over (Slow)"),
        "{card}"
    );
    let list = world.ana("alerts").await;
    assert!(
        list.contains("🔕") && list.contains("in a maintenance window until 2026-11-24 05:00"),
        "{list}"
    );
    let audit = world.audit().await;
    for text in [
        "maintenance window of api until 2026-11-24 05:00:00 UTC: new disks",
        "1 alert fires in the maintenance window of api: Down",
        "1 alert is over in the maintenance window of api: Slow",
    ] {
        assert!(audit.iter().any(|one| one == text), "{text}: {audit:#?}");
    }

    world.pass(SignedDuration::from_mins(98)).await;
    let over = world.heard("What fires is told and asked about from now on");
    assert!(
        over.starts_with("Maintenance of api is over after 2h"),
        "{over}"
    );
    world.minutes(1).await;
    assert_eq!(world.store.incidents_open().await.unwrap().len(), 1);
    world.heard(ASKED);
    assert_eq!(
        world.count("Maintenance of api is over after 2h\n1 alert"),
        1,
        "told once"
    );
}

#[tokio::test]
async fn what_is_worse_of_another_service_from_before_or_declared_by_people_is_not_held() {
    let mut world = plain().await;
    world.alert("Old", "api", "critical", true).await;
    world.minutes(1).await;
    assert_eq!(world.count(ASKED), 1, "{:#?}", world.said);
    world.ana("window start api 4h --reason disks").await;
    world.minutes(1).await;
    world.heard("INC-1 is open, and stays so");
    // It was there before: people are asked on.
    world.minutes(10).await;
    assert!(world.count(ASKED) >= 2, "{:#?}", world.said);
    world.ana("ack INC-1").await;
    let asked = world.count(ASKED);

    // Another of the service joins its incident without a word; another service's is told.
    world.alert("New", "api", "critical", true).await;
    world.minutes(10).await;
    assert_eq!(world.count("more fires"), 0);
    assert_eq!(world.count(ASKED), asked);
    world.alert("Down", "redis", "critical", true).await;
    world.minutes(2).await;
    assert_eq!(world.store.incidents_open().await.unwrap().len(), 2);
    assert!(world.count(ASKED) > asked);
    world.ana("ack INC-2").await;

    // So bad that it is told in any window.
    let asked = world.count(ASKED);
    world.alert("New", "api", "emergency", true).await;
    world.minutes(2).await;
    world.heard("It is worse now: SEV1");
    assert!(world.count(ASKED) > asked, "{:#?}", world.said);

    // And what people say themselves.
    let asked = world.count(ASKED);
    world
        .ana("incident declare Broken --severity SEV1 --service api")
        .await;
    world.minutes(2).await;
    assert!(world.count(ASKED) > asked, "{:#?}", world.said);
    assert_eq!(world.store.incidents_open().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_held_alert_that_becomes_as_bad_as_nothing_may_be_is_an_incident_at_once() {
    let mut world = plain().await;
    world.ana("window start api 4h --reason disks").await;
    world.alert("Down", "api", "warning", true).await;
    world.minutes(5).await;
    world.alert("Down", "api", "critical", true).await;
    world.minutes(5).await;
    assert_eq!(world.count(ASKED), 0, "worse, but still held");
    assert!(world.store.incidents_open().await.unwrap().is_empty());
    world.alert("Down", "api", "emergency", true).await;
    world.minutes(1).await;
    assert_eq!(world.store.incidents_open().await.unwrap().len(), 1);
    world.heard(ASKED);
    // It is told now: the window's end says nothing of it.
    world.ben("window end api").await;
    world.minutes(1).await;
    let over = world.heard("Maintenance of api is over after 11m, ended by ben");
    assert!(!over.contains("Down"), "{over}");
}

#[tokio::test]
async fn a_window_goes_on_for_longer_and_ends_early_once_each() {
    let mut world = plain().await;
    world.ana("window start api 1h --reason disks").await;
    world.alert("Down", "api", "critical", true).await;
    world.minutes(30).await;
    let answer = world.ana("window start api 2h --reason more").await;
    assert!(
        answer.contains("goes on until 2026-11-24 05:30"),
        "{answer}"
    );
    let answer = world.ana("window start api 1h --reason less").await;
    assert!(
        answer.contains("until 2026-11-24 05:30:00 UTC already"),
        "{answer}"
    );
    // Its first end passes in silence.
    world.minutes(60).await;
    assert_eq!(world.count(ASKED), 0);
    assert_eq!(world.count("is over"), 0);
    let list = world.ana("window").await;
    assert!(
        list.contains("1 maintenance window on") && list.contains("[End api: window end api]"),
        "{list}"
    );
    world.ana("window end api").await;
    world.minutes(1).await;
    world.heard(ASKED);
    let answer = world.ana("window end api").await;
    assert!(answer.starts_with("There is no window of api"), "{answer}");
    assert_eq!(
        world.count("Maintenance of api is over after 1h 30m, ended by ana\n1 alert fires"),
        1
    );
    let answer = world.ana("window start api 4d --reason ever").await;
    assert!(answer.contains("lasts 3d at most"), "{answer}");
}

#[tokio::test]
async fn a_clock_that_jumps_and_a_bot_that_was_dead_end_a_window_once() {
    let mut world = plain().await;
    world.ana("window start api 2h --reason disks").await;
    world.alert("Down", "api", "critical", true).await;
    world.minutes(1).await;
    // Back by hours: it goes on until the moment that it was said to.
    world.dead_for(SignedDuration::from_hours(-5)).await;
    assert_eq!(world.count("is over"), 0);
    world.dead_for(SignedDuration::from_hours(5)).await;
    assert_eq!(world.count("is over"), 0);
    assert_eq!(world.count(ASKED), 0);
    world.dead_for(SignedDuration::from_hours(9)).await;
    world.minutes(2).await;
    world.heard(ASKED);
    assert_eq!(
        world.count("Maintenance of api is over after 2h\n1 alert fires"),
        1
    );
    assert_eq!(world.store.incidents_open().await.unwrap().len(), 1);
}

#[tokio::test]
async fn planned_windows_come_by_the_clocks_of_their_place_also_when_those_change() {
    // Paris goes back at 01:00 UTC on the 25th of October, New York on the 1st of November at 06:00,
    // Lord Howe forward by half an hour on the 3rd of October at 15:30.
    for (text, zone, start, expected) in [
        (
            "daily 02:30",
            "Europe/Paris",
            "2026-10-24T12:00:00Z",
            "2026-10-25 02:30",
        ),
        (
            "daily 02:30",
            "Europe/Paris",
            "2027-03-27T12:00:00Z",
            "2027-03-28 03:30",
        ),
        (
            "weekly sunday 03:00",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            "2026-11-01 10:00",
        ),
        (
            "daily 02:10",
            "Australia/Lord_Howe",
            "2026-10-03T02:00:00Z",
            "2026-10-03 17:40",
        ),
    ] {
        let mut world = World::new(start, planned(text, zone, 2)).await;
        world.pass(SignedDuration::ZERO).await;
        assert_eq!(world.count("Maintenance of api until"), 0, "{text} {zone}");
        for _ in 0..24 {
            world.pass(SignedDuration::from_mins(60)).await;
        }
        world.heard(&format!("Maintenance of api until {expected}"));
        assert_eq!(
            world.count("Maintenance of api is over"),
            2,
            "card and message: {text} {zone}"
        );
    }
}

#[tokio::test]
async fn a_planned_window_is_taken_up_after_a_restart_but_not_begun_again_once_it_was_ended() {
    let mut world = World::new("2026-11-24T01:00:00Z", planned("daily 02:00", "UTC", 3)).await;
    // Dead at its begin: it is on all the same, until it was to end.
    world.dead_for(SignedDuration::from_hours(2)).await;
    world.heard("Maintenance of api until 2026-11-24 05:00");
    world.ana("window end api").await;
    world.dead_for(SignedDuration::from_mins(10)).await;
    let list = world.ana("window list").await;
    assert!(list.starts_with("No maintenance window is on"), "{list}");
    assert!(
        list.contains("daily 02:00 for 3h, next 2026-11-25 02:00"),
        "{list}"
    );
    // Dead over the whole of the next: nothing is said of it.
    world.dead_for(SignedDuration::from_hours(28)).await;
    assert_eq!(world.count("Maintenance of api until"), 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn two_bots_begin_and_end_a_window_once_and_tell_once_what_it_held() {
    let server = Postgres::start().await;
    let routine = planned("daily 03:30", "UTC", 1);
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::on(&server.url(), folder, "2026-11-24T03:00:00Z", routine, 2).await;
    world.minutes(31).await;
    world.alert("Down", "api", "critical", true).await;
    world.minutes(62).await;
    assert_eq!(
        world.count("Maintenance of api is over after 1h\n1 alert fires"),
        1
    );
    assert_eq!(world.store.incidents_open().await.unwrap().len(), 1);
    world.heard(ASKED);
    let audit = world.audit().await;
    let begun = audit
        .iter()
        .filter(|one| one.starts_with("maintenance window of api until"));
    assert_eq!(begun.count(), 1, "{audit:#?}");
}

#[tokio::test]
async fn on_the_phone_a_window_is_one_message_with_a_button_that_ends_it() {
    let stage = Stage::set(Scenery {
        alerts: hasty(),
        ..Scenery::default()
    })
    .await;
    stage.ana("window start api 1h --reason 'new disks'").await;
    let card = stage.said(HOME, "Maintenance of api until").await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    stage.becomes(&card, "Held: 1 alert fires (Down)").await;
    assert_eq!(stage.count(ASKED), 0);
    let ana = stage.person("ana");
    ana.clicks(HOME, &card.ts, "End it now").await.unwrap();
    stage
        .said(HOME, "What fires is told and asked about from now on")
        .await;
    is_asked(&stage, "U0ANA00001").await;
    stage.room(1).await;
    stage.becomes(&card, "is over after").await;
    stage.finish().await;
}

#[tokio::test]
async fn killed_in_the_middle_a_window_is_on_after_the_restart_and_ends_once() {
    let setup = Setup::new(
        false,
        "[alerts]\ntoken_file = \"alerts.token\"\non_call = [\"U0ANA00001\"]\n\n\
         [watch]\nenabled = false\n\n[[service]]\nname = \"api\"\ncontainer = \"no-such-api\"\n",
    );
    std::fs::write(setup.folder.path().join("alerts.token"), "alerts-token").unwrap();
    let sandbox = treasury_bot::sandbox::slack::Sandbox::start(
        treasury_bot::sandbox::slack::SandboxConfig::default(),
    )
    .await
    .unwrap();
    let serve = setup.serve(&sandbox).await;
    let ana = sandbox.person("ana");
    ana.types(HOME, "/treasury window start api 45s --reason disks")
        .await
        .unwrap();
    said(&sandbox, HOME, "Maintenance of api until").await;
    serve.kill();
    let serve = setup.serve(&sandbox).await;
    let body =
        serde_json::json!({"version": "4", "alerts": [alert("Down", &[("service", "api")], true)]});
    let url = format!("http://127.0.0.1:{}/alerts/alertmanager", setup.port);
    let post = reqwest::Client::new()
        .post(url)
        .bearer_auth("alerts-token")
        .body(body.to_string());
    assert!(post.send().await.unwrap().status().is_success());
    said(&sandbox, HOME, "Held: 1 alert fires (Down)").await;
    serve.kill();
    let _serve = setup.serve(&sandbox).await;
    said(
        &sandbox,
        HOME,
        "What fires is told and asked about from now on",
    )
    .await;
    said(&sandbox, HOME, ASKED).await;
    let ends = sandbox.look(|workspace| {
        let all = workspace.messages().filter(|m| m.by_bot).map(words_of);
        all.filter(|text| text.contains("told and asked about from now on"))
            .count()
    });
    assert_eq!(ends, 1);
}
