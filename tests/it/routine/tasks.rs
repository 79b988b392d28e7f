//! Tasks: asked about until they are done, run once, and never forgotten in silence.

use std::time::Duration;

use jiff::SignedDuration;
use treasury_bot::bot::Routine;
use treasury_bot::domain::task::{Task, TaskBy};

use super::world::{World, schedule};
use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, Scenery, Stage};

fn task(name: &str, when: &str, by: TaskBy) -> Task {
    Task {
        name: name.into(),
        schedule: schedule(when, "Europe/Paris"),
        by,
        text: "look through the updates".into(),
        every: Duration::from_secs(4 * 3_600),
    }
}

fn asks(when: &str) -> Routine {
    Routine {
        tasks: vec![task("updates", when, TaskBy::Rotation(None))],
        ..Routine::default()
    }
}

#[tokio::test]
async fn a_task_is_asked_of_whoever_is_on_call_again_and_again_until_it_is_done_once() {
    let mut world = World::new("2026-11-24T01:00:00Z", asks("weekly tuesday 10:00")).await;
    world.pass(SignedDuration::ZERO).await;
    let list = world.ana("task").await;
    assert!(list.starts_with("1 task, none is due"), "{list}");
    assert!(
        list.contains("next 2026-11-24 09:00:00 UTC; never done yet"),
        "{list}"
    );
    world.pass(SignedDuration::from_hours(8)).await;
    let ask = world.heard("📋 updates is due").to_owned();
    for part in [
        ": look through the updates",
        "[Done: task done updates]",
        "[Skip this time: task skip updates --reason 'not this time']",
    ] {
        assert!(ask.contains(part), "{part}: {ask}");
    }
    assert!(!ask.contains("no bot was there"), "{ask}");
    world.pass(SignedDuration::from_hours(4)).await;
    world.heard("updates is still not done, 4h after it was due");
    world.heard("it is asked again below");
    let answer = world.ana("task done updates").await;
    assert_eq!(answer, "updates is done by ana");
    world.pass(SignedDuration::ZERO).await;
    world.heard("📋 updates done by ana");
    let answer = world.ben("task done updates").await;
    assert!(
        answer.starts_with("updates is not due: done by ana at"),
        "{answer}"
    );
    world.pass(SignedDuration::from_hours(24)).await;
    assert_eq!(world.count("still not done"), 1, "nobody is asked any more");
    let audit = world.audit().await;
    for text in [
        "task updates is due since 2026-11-24 09:00:00 UTC",
        "task updates is done, 4h after it was due",
    ] {
        assert!(audit.iter().any(|one| one == text), "{text}: {audit:#?}");
    }
}

#[tokio::test]
async fn what_is_skipped_needs_a_reason_and_what_is_due_again_was_missed() {
    let mut world = World::new("2026-11-24T01:00:00Z", asks("daily 10:00")).await;
    world.pass(SignedDuration::from_hours(8)).await;
    let answer = world.ana("task skip updates").await;
    assert!(answer.contains("--reason"), "{answer}");
    world.ana("task skip updates --reason 'release day'").await;
    world.pass(SignedDuration::from_hours(24)).await;
    assert_eq!(world.count("📋 updates is due"), 2);
    world.pass(SignedDuration::from_hours(24)).await;
    assert_eq!(world.count("📋 updates is due"), 3);
    world.heard("📋 updates missed: it is due again");
    let audit = world.audit().await;
    for text in [
        "task updates is skipped: release day",
        "task updates was not done: it is due again",
    ] {
        assert!(audit.iter().any(|one| one == text), "{text}: {audit:#?}");
    }
    let answer = world.ana("task done update").await;
    assert!(answer.contains("[updates: task done updates]"), "{answer}");
}

#[tokio::test]
async fn what_was_missed_while_no_bot_was_there_is_told_after_the_restart_and_asked_once() {
    // The clocks of Paris go back while nobody is there: 10:00 is 08:00, then 09:00 UTC.
    let mut world = World::new("2026-10-23T09:00:00Z", asks("daily 10:00")).await;
    world.pass(SignedDuration::ZERO).await;
    world.dead_for(SignedDuration::from_hours(72)).await;
    let ask = world
        .heard("📋 updates was due at 2026-10-26 09:00")
        .to_owned();
    assert!(ask.contains("while no bot was there"), "{ask}");
    assert!(
        ask.contains("2 earlier times passed while no bot was there"),
        "{ask}"
    );
    world.dead_for(SignedDuration::from_mins(1)).await;
    assert_eq!(world.count("📋 updates was due"), 1);
    // A clock that is set forward by hours and back again neither doubles nor loses a day.
    world.ana("task done updates").await;
    world.pass(SignedDuration::from_hours(5)).await;
    world.pass(SignedDuration::from_hours(-5)).await;
    assert_eq!(world.count("📋 updates is due"), 0);
    world.pass(SignedDuration::from_hours(24)).await;
    assert_eq!(world.count("📋 updates is due"), 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn two_bots_ask_once() {
    let server = Postgres::start().await;
    let folder = tempfile::tempdir().unwrap();
    let routine = asks("daily 10:00");
    let mut world = World::on(&server.url(), folder, "2026-11-24T08:00:00Z", routine, 2).await;
    for _ in 0..30 {
        world.pass(SignedDuration::from_hours(1)).await;
    }
    assert_eq!(world.count("📋 updates is due"), 2);
    let audit = world.audit().await;
    let due = audit
        .iter()
        .filter(|one| one.starts_with("task updates is due"));
    assert_eq!(due.count(), 2, "{audit:#?}");
}

#[tokio::test]
async fn a_runbook_does_a_task_and_where_it_fails_somebody_is_asked() {
    let good =
        "name: rotate\nsteps:\n  - id: look\n    uses: service.status\n    with: {service: api}\n";
    let bad = "name: verify\nsteps:\n  - id: look\n    uses: service.status\n    \
               with: {service: api}\n  - assert: steps.look.total_replicas > 99\n";
    let runbook = |name: &str| TaskBy::Runbook(name.to_owned());
    let stage = Stage::set(Scenery {
        runbooks: vec![good.to_owned(), bad.to_owned()],
        hold: Duration::from_millis(10),
        routine: Routine {
            tasks: vec![
                task("log-rotation", "daily 03:00", runbook("rotate")),
                task("backup-verification", "daily 03:00", runbook("verify")),
            ],
            ..Routine::default()
        },
        ..Scenery::default()
    })
    .await;
    stage.ana("task run log-rotation").await;
    stage
        .said(HOME, "log-rotation is being done by run 1")
        .await;
    let done = async || {
        let audit = stage.audit().await;
        audit
            .iter()
            .any(|one| one.text.starts_with("task log-rotation is done, "))
    };
    while !done().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.ana("task run backup-verification").await;
    let ask = stage
        .said(HOME, "Its runbook did not do it: run 2 failed")
        .await;
    stage
        .person("ana")
        .clicks(HOME, &ask.ts, "Done")
        .await
        .unwrap();
    stage.becomes(&ask, "backup-verification done by ana").await;
    stage.finish().await;
}
