//! Checklists: one message, a name and a time for each tick, and what the bot can see it ticks itself.

use jiff::SignedDuration;
use treasury_bot::bot::Routine;
use treasury_bot::domain::{IncidentId, Stream};

use super::world::World;
use crate::support::stage::{HOME, Stage, words_of};

#[tokio::test]
async fn a_checklist_is_one_message_whose_boxes_are_ticked_once_each() {
    let stage = Stage::new().await;
    stage.ana("checklist start deploy --service api").await;
    let list = stage
        .said(HOME, "Checklist 1: deploy of api, 0 of 14")
        .await;
    let words = words_of(&list);
    for part in [
        "Pre-deployment",
        "☐ 1. Code review completed",
        "☐ 14. Notify stakeholders",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let ana = stage.person("ana");
    ana.clicks(HOME, &list.ts, "☐ 1").await.unwrap();
    let now = stage
        .becomes(&list, "☑ 1. Code review completed — ana")
        .await;
    assert!(words_of(&now).contains("1 of 14"));
    // Twice is once, and who was first is said.
    stage.types("ben", HOME, "checklist tick 1 1").await;
    stage
        .said(HOME, "“Code review completed” was ticked by")
        .await;
    stage.types("ben", HOME, "checklist untick 1 1").await;
    stage.becomes(&list, "☐ 1. Code review completed").await;
    // What a probe can tell: all replicas of api are well.
    ana.clicks(HOME, &list.ts, "Look").await.unwrap();
    let now = stage
        .becomes(&list, "☑ 9. Verify health checks — treasury-bot")
        .await;
    let words = words_of(&now);
    assert!(
        words.contains("☐ 11. Verify application functionality (unknown: "),
        "{words}"
    );
    ana.clicks(HOME, &list.ts, "End it").await.unwrap();
    stage.becomes(&list, "Ended by").await;
    ana.types(HOME, "/treasury checklist tick 1 2")
        .await
        .unwrap();
    stage.said(HOME, "Checklist 1 was ended by").await;
    let audit = stage.audit().await;
    let texts: Vec<(&str, &str)> = audit
        .iter()
        .map(|one| (&*one.actor.name, &*one.text))
        .collect();
    for entry in [
        ("ana", "checklist 1: ticked: Code review completed"),
        ("ben", "checklist 1: tick taken back: Code review completed"),
    ] {
        assert!(texts.contains(&entry), "{entry:?}: {texts:#?}");
    }
    let end = texts
        .iter()
        .find(|(_, text)| text.contains("is ended: 1 of 14 ticked; not ticked: "));
    assert!(end.is_some(), "{texts:#?}");
    stage.finish().await;
}

#[tokio::test]
async fn a_checklist_of_an_incident_is_on_its_timeline_and_survives_a_restart() {
    let mut world = World::new("2026-11-24T03:00:00Z", Routine::default()).await;
    world.ana("incident declare Broken --service api").await;
    world.ana("checklist start deploy --incident INC-1").await;
    world.ana("checklist tick 1 2").await;
    world.dead_for(SignedDuration::from_hours(1)).await;
    world.ben("checklist tick 1 3").await;
    let list = world.ana("checklist").await;
    assert!(list.contains("1 checklist worked on"), "{list}");
    assert!(
        list.contains("Checklist 1: deploy, 2 of 14, INC-1, since 2026-11-24 03:00"),
        "{list}"
    );
    let shown = world.ana("checklist show 1").await;
    assert!(
        shown.contains("☑ 2. Tests passing — ana 2026-11-24 03:00"),
        "{shown}"
    );
    assert!(
        shown.contains("☑ 3. Security scan clean — ben 2026-11-24 04:00"),
        "{shown}"
    );
    assert!(!shown.contains("[Look:"), "nothing to look at: {shown}");
    let entries = world
        .store
        .entries(&Stream::Incident(IncidentId(1)))
        .await
        .unwrap();
    let texts: Vec<&str> = entries.iter().map(|one| &*one.text).collect();
    for text in [
        "checklist 1 (deploy) begins",
        "checklist 1: ticked: Security scan clean",
    ] {
        assert!(texts.contains(&text), "{text}: {texts:?}");
    }
    for (words, answer) in [
        ("checklist tick 1 15", "has boxes from 1 to 14"),
        ("checklist tick 1 0", "has boxes from 1 to 14"),
        ("checklist untick 1 1", "is not ticked"),
        ("checklist tick 7 1", "There is no checklist 7"),
        ("checklist look 1", "No box of checklist 1"),
        ("checklist start deplo", "There is no checklist deplo"),
        (
            "checklist start deploy --incident INC-9",
            "There is no incident INC-9",
        ),
    ] {
        let said = world.ana(words).await;
        assert!(said.contains(answer), "{words}: {said}");
    }
}
