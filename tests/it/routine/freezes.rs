//! Freezes: what they refuse, who breaks them, and what goes on.

use std::time::Duration;

use jiff::SignedDuration;
use treasury_bot::bot::Routine;
use treasury_bot::domain::period::{PeriodKind, PlannedPeriod};

use super::world::{World, schedule};
use crate::support::stage::{HOME, Scenery, Stage};

#[tokio::test]
async fn a_freeze_refuses_deployments_with_who_may_break_it_and_lets_people_act() {
    let stage = Stage::new().await;
    stage
        .ana("freeze start --until 2h --reason 'big day'")
        .await;
    stage.said(HOME, "Only a commander may do this").await;
    stage
        .types("ben", HOME, "freeze start --until 2h --reason 'big day'")
        .await;
    stage.said(HOME, "Freeze of all until").await;
    stage.ana("deploy api 1.8.3").await;
    let refusal = stage.said(HOME, "big day. Nothing was done").await;
    let refusal = crate::support::stage::words_of(&refusal);
    assert!(
        refusal.contains(
            "have a commander (ben) type /treasury deploy api 1.8.3 --break-freeze --reason WHY"
        ),
        "{refusal}"
    );
    // Nor may a responder say so.
    stage
        .ana("deploy api 1.8.3 --break-freeze --reason hurry")
        .await;
    stage.quiet().await;
    assert_eq!(stage.count("Change api to 1.8.3?"), 0);
    // On call can act.
    stage.ana("restart frontend").await;
    stage.said(HOME, "Restart frontend?").await;
    // A commander breaks it, and is asked like always.
    stage
        .types(
            "ben",
            HOME,
            "deploy api 1.8.3 --break-freeze --reason 'the leak'",
        )
        .await;
    let question = stage.said(HOME, "Change api to 1.8.3?").await;
    // Whoever answers has to be allowed to break it as well.
    stage
        .person("ana")
        .clicks(HOME, &question.ts, "Deploy to api")
        .await
        .unwrap();
    stage.quiet().await;
    assert!(stage.stack.calls().is_empty(), "{:?}", stage.stack.calls());
    stage
        .person("ben")
        .clicks(HOME, &question.ts, "Deploy to api")
        .await
        .unwrap();
    stage.said(HOME, "api changed to 1.8.3 in").await;
    let audit = stage.audit().await;
    let broken = "deploy api 1.8.3 --break-freeze --reason 'the leak'";
    assert!(
        audit.iter().any(|one| one.text.contains(broken)),
        "{audit:#?}"
    );
    stage.types("ben", HOME, "freeze end").await;
    stage.said(HOME, "Deployments are possible again").await;
    stage.ana("deploy api 1.9.0").await;
    stage.said(HOME, "Change api to 1.9.0?").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_step_of_a_runbook_deploys_nothing_in_a_freeze() {
    let runbook = "name: ship\nsteps:\n  - uses: service.deploy\n    \
                   with: {service: api, image: 1.8.3}\n";
    let stage = Stage::set(Scenery {
        runbooks: vec![runbook.to_owned()],
        hold: Duration::from_millis(10),
        ..Scenery::default()
    })
    .await;
    stage
        .types(
            "ben",
            HOME,
            "freeze start api --until 2h --reason 'big day'",
        )
        .await;
    stage.said(HOME, "Freeze of api until").await;
    stage.types("ben", HOME, "runbook run ship").await;
    stage.said(HOME, "Freeze of api until").await;
    stage.said(HOME, "big day. Nothing was done").await;
    assert!(stage.stack.calls().is_empty());
    stage.finish().await;
}

#[tokio::test]
async fn a_planned_freeze_over_a_change_of_clocks_lasts_its_hours_and_another_service_goes_on() {
    let routine = Routine {
        periods: vec![PlannedPeriod {
            kind: PeriodKind::Freeze,
            service: None,
            schedule: schedule("weekly friday 16:00", "Europe/Paris"),
            length: Duration::from_secs(64 * 3_600),
            reason: "weekend".into(),
        }],
        ..Routine::default()
    };
    // The clocks go back in the night to Sunday: it ends at 07:00 there.
    let mut world = World::new("2026-10-23T13:00:00Z", routine).await;
    world.pass(SignedDuration::from_hours(1)).await;
    world.heard("Freeze of all until 2026-10-26 06:00");
    let refusal = world.ana("deploy api 1.8.3").await;
    assert!(refusal.contains("weekend. Nothing was done"), "{refusal}");
    world.pass(SignedDuration::from_hours(64)).await;
    world.heard("Freeze of all is over after 2d 16h");
    world
        .ben("freeze start redis --until 2h --reason move")
        .await;
    let answer = world.ana("deploy api 1.8.3").await;
    assert!(answer.starts_with("Change api to 1.8.3?"), "{answer}");
    let list = world.ana("freeze").await;
    assert!(list.contains("1 freeze on"), "{list}");
    assert!(
        list.contains("weekly friday 16:00 Europe/Paris for 2d 16h, next 2026-10-30 15:00"),
        "{list}"
    );
}
