//! Deployments, rollbacks, isolation: from the typed sentence to the replicas, and back.

use std::time::Duration;

use treasury_bot::domain::{EntryKind, Guarded};
use treasury_bot::sandbox::stack::Fault;

use crate::support::stage::{HOME, Scenery, Stage, words_of};

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.ana("incident declare Errors --service api").await;
    stage.room(1).await;
    stage
}

fn kinds(entries: &[treasury_bot::domain::Entry]) -> Vec<EntryKind> {
    entries.iter().map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn a_bad_deployment_is_rolled_back_from_slack() {
    let stage = stage().await;
    stage.stack.put_in(Fault::BadDeploy, None).unwrap();
    stage.stack.advance(Duration::from_secs(60));
    stage.ana("rollback api").await;
    let asked = stage.said(HOME, "Roll api back to").await;
    let words = words_of(&asked);
    assert!(words.contains("ghcr.io/treasury/api:1.8.3"), "{words}");
    assert!(words.contains("put back as it is now"), "{words}");

    stage
        .person("ana")
        .clicks(HOME, &asked.ts, "Roll api back")
        .await
        .unwrap();
    let done = stage.becomes(&asked, "rolled back to").await;
    let words = words_of(&done);
    assert!(
        words.contains("healthy 2/2 · ghcr.io/treasury/api:1.9.0-rc1"),
        "{words}"
    );
    assert!(
        words.contains("healthy 2/2 · ghcr.io/treasury/api:1.8.3"),
        "{words}"
    );
    assert_eq!(stage.stack.calls(), ["deploy api 1.8.3"]);
    assert_eq!(stage.stack.faults(), []);

    let told = stage.timeline(1).await;
    let last: Vec<_> = told.iter().rev().take(2).map(|entry| entry.kind).collect();
    assert_eq!(
        last,
        [EntryKind::Outcome, EntryKind::Intent],
        "{:?}",
        kinds(&told)
    );
    stage.finish().await;
}

#[tokio::test]
async fn an_image_that_gets_not_well_is_put_back_and_told() {
    let stage = stage().await;
    stage
        .ana("deploy api 1.9.1-broken --reason 'the fix'")
        .await;
    let asked = stage.said(HOME, "Change api to").await;
    stage
        .person("ana")
        .clicks(HOME, &asked.ts, "Deploy to api")
        .await
        .unwrap();
    let done = stage.becomes(&asked, "failed after").await;
    let words = words_of(&done);
    assert!(
        words.contains("was put back as it was before and is well"),
        "{words}"
    );
    assert!(words.contains("Try again"), "{words}");
    assert!(!words.contains("Roll back"), "{words}");
    let now = words.split("After").nth(1).unwrap();
    assert!(
        now.contains("healthy 2/2 · ghcr.io/treasury/api:1.8.3"),
        "{words}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_can_not_be_deployed_is_refused_before_anybody_is_asked() {
    let stage = stage().await;
    stage.ana("deploy api 7.7.7").await;
    let refused = stage.said(HOME, "is not on the simulated engine").await;
    assert!(words_of(&refused).contains("ghcr.io/treasury/api:1.9.0"));
    stage.ana("deploy api 1.8.3").await;
    stage
        .said(HOME, "runs ghcr.io/treasury/api:1.8.3 already")
        .await;
    stage.ana("release api").await;
    stage.said(HOME, "Only a commander may do this").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn isolation_needs_a_second_person_keeps_evidence_and_is_undone_exactly() {
    let stage = Stage::set(Scenery {
        second_person: [Guarded::Isolate].into(),
        commanders: vec!["U0CHLOE001".into()],
        ..Scenery::default()
    })
    .await;
    stage.ana("incident declare Intruder --service api").await;
    stage.room(1).await;
    stage.types("ben", HOME, "isolate api").await;
    let asked = stage.said(HOME, "Cut api off?").await;
    let person = |name: &str| stage.person(name);
    person("ben")
        .clicks(HOME, &asked.ts, "Isolate api")
        .await
        .unwrap();
    stage.said(HOME, "a second person has to confirm it").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    person("ana")
        .clicks(HOME, &asked.ts, "Isolate api")
        .await
        .unwrap();
    stage.said(HOME, "Only a commander may do this").await;
    person("chloe")
        .clicks(HOME, &asked.ts, "Isolate api")
        .await
        .unwrap();
    let done = stage
        .becomes(&asked, "api is cut off from network treasury_default")
        .await;
    assert!(
        words_of(&done).contains("6 pieces kept"),
        "{}",
        words_of(&done)
    );

    let told = stage.timeline(1).await;
    let kept = told
        .iter()
        .find(|entry| entry.kind == EntryKind::Evidence)
        .unwrap();
    let pieces = kept.data["pieces"].as_array().unwrap();
    assert_eq!(pieces.len(), 6);
    let action = kept.data["action"].as_i64().unwrap();
    let stored = stage.app.store.evidence(action).await.unwrap();
    for piece in pieces {
        let stored = stored.iter().find(|one| piece["name"] == one.name.as_str());
        let stored = stored.unwrap();
        assert_eq!(piece["sha256"], stored.sha256.as_str());
        assert_eq!(piece["bytes"].as_u64().unwrap() as usize, stored.text.len());
    }
    // Evidence stands before the outcome: it was kept first.
    let kinds = kinds(&told);
    let at = |kind| kinds.iter().position(|one| *one == kind).unwrap();
    assert!(at(EntryKind::Intent) < at(EntryKind::Evidence));
    assert!(at(EntryKind::Evidence) < at(EntryKind::Outcome));

    stage.ana("status api").await;
    stage.said(HOME, "release api joins it again").await;
    stage.types("ben", HOME, "isolate api").await;
    stage.said(HOME, "is cut off from everything already").await;

    stage.types("ben", HOME, "release api").await;
    let asked = stage.said(HOME, "Join api again?").await;
    person("chloe")
        .clicks(HOME, &asked.ts, "Release api")
        .await
        .unwrap();
    stage
        .becomes(
            &asked,
            "api is joined again to network treasury_default, healthy 2/2",
        )
        .await;
    stage.types("ben", HOME, "release api").await;
    stage.said(HOME, "is not cut off by this bot").await;
    assert_eq!(stage.stack.calls(), ["isolate api", "release api"]);
    stage.finish().await;
}
