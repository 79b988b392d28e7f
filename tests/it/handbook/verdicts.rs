//! That a runbook says only what it has seen: no all-clear by one look, or by a figure that is low
//! anyway.

use treasury_bot::sandbox::stack::Fault;

use super::{began, run};
use crate::support::stage::{HOME, Scenery, Stage, words_of};
use crate::watchers::watching;

#[tokio::test]
async fn memory_that_a_restart_does_not_free_has_not_come_down_however_low_it_is() {
    let run = run(None, 60, "memory-leak service=redis settle=1s").await;
    run.press("ana", "Restart it all the same?", "Approve")
        .await;
    run.press("ana", "Memory of redis did not fall: ", "Stop the run")
        .await;
    run.ends("was stopped").await;
    assert_eq!(run.calls(), ["restart redis"]);
    run.finish().await;
}

#[tokio::test]
async fn a_rehearsal_of_memory_leak_does_not_fail_for_want_of_its_own_restart() {
    let stage = Stage::new().await;
    stage
        .ana("runbook rehearse memory-leak service=frontend")
        .await;
    let told = stage.said(HOME, "Rehearsal 1 of Memory leak").await;
    let told = stage
        .becomes(&told, "is over: a run would go through")
        .await;
    let words = words_of(&told);
    let named = "▫️ Memory has come down — would check; now: ";
    assert!(words.contains(named), "{words}");
    stage.finish().await;
}

#[tokio::test]
async fn a_restarted_service_stays_well_only_if_nothing_starts_again_for_a_while() {
    let stage = Stage::set(Scenery {
        speed: 10.0,
        ..Scenery::default()
    })
    .await;
    let run = began(stage, None, 60, "restart-service service=redis steady=4s").await;
    run.stage.becomes(&run.message, "✅ Restart redis").await;
    run.stage
        .stack
        .put_in(Fault::CrashLoop, Some("redis"))
        .unwrap();
    let told = "See that it stays well — not yet: redis ";
    let message = run.stage.becomes(&run.message, told).await;
    assert!(!words_of(&message).contains("succeeded"));
    run.stage.becomes(&run.message, "restarts").await;
    run.stage.stack.take_out(Fault::CrashLoop);
    let told = run.ends("succeeded").await;
    assert!(
        told.contains("Restarts by the platform that it counts: 0 before, "),
        "{told}"
    );
    assert!(!told.contains("0 before, 0 after"), "{told}");
    run.finish().await;
}

#[tokio::test]
async fn high_errors_looks_at_errors_before_and_after() {
    let stage = Stage::set(Scenery {
        pages: true,
        alerts: watching(),
        ..Scenery::default()
    })
    .await;
    stage.stack.put_in(Fault::ApiErrors, None).unwrap();
    let room = stage.room(1).await;
    stage.said(&room, "HighErrorRate").await;
    let run = began(stage, None, 1, "high-errors service=api limit=10").await;
    run.press("ana", "of the answers of api", "Restart").await;
    let told = run.ends("succeeded").await;
    assert!(told.contains("✅ Errors have come down"), "{told}");
    run.stage.said(HOME, "Errors of api fell from ").await;
    assert_eq!(run.calls(), ["restart api"]);
    run.finish().await;
}

#[tokio::test]
async fn high_errors_claims_nothing_where_nobody_counts_them() {
    let run = run(None, 60, "high-errors service=api").await;
    run.press("ana", "errors is not known", "Stop the run")
        .await;
    run.ends("was stopped").await;
    assert_eq!(run.calls(), [""; 0]);
    run.finish().await;
}
