//! Who may have a runbook change what: the policy of typed commands holds for its steps too.

use std::collections::BTreeSet;

use treasury_bot::domain::Guarded;
use treasury_bot::sandbox::stack::Fault;

use crate::support::stage::{HOME, Scenery, Stage, words_of};

/// Nobody is asked by the runbook itself.
const CUT: &str = "name: cut
title: Cut it off
steps:
  - id: off
    title: Cut the api off
    uses: service.isolate
    with: {service: api}
    timeout: 5m
";

fn scenery(runbooks: &[&str]) -> Scenery {
    Scenery {
        runbooks: runbooks.iter().map(|text| (*text).to_owned()).collect(),
        ..Scenery::default()
    }
}

async fn press(stage: &Stage, who: &str, words: &str, label: &str) {
    let question = stage.said(HOME, words).await;
    let person = stage.person(who);
    person.clicks(HOME, &question.ts, label).await.unwrap();
}

#[tokio::test]
async fn what_needs_a_commander_waits_for_one_when_a_responder_runs_it() {
    let stage = Stage::set(scenery(&[CUT])).await;
    stage.ana("runbook show cut").await;
    stage.said(HOME, "a commander has to agree").await;
    stage.ana("runbook rehearse cut").await;
    stage.said(HOME, "a commander would have to agree").await;

    stage.ana("runbook run cut").await;
    let run = stage.said(HOME, "Run 2 of Cut it off").await;
    let asks = "1 commander can approve";
    let question = words_of(&stage.said(HOME, asks).await);
    let text = "Cut the api off: this needs a commander (ana is a responder). Do it?";
    assert!(question.contains(text), "{question}");
    press(&stage, "ana", asks, "Approve").await;
    stage.said(HOME, "only a commander may answer this").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    press(&stage, "ben", asks, "Approve").await;
    stage.becomes(&run, "succeeded").await;
    stage.said(HOME, "Cut the api off: approved by ben").await;
    assert_eq!(stage.stack.calls(), ["isolate api"]);
    stage.quiet().await;
    let audit = stage.audit().await;
    let told = |words: &str| audit.iter().any(|entry| entry.text.contains(words));
    assert!(told("Cut the api off asks: ") && told("Cut the api off may begin: approved by ben"));
    stage.finish().await;
}

#[tokio::test]
async fn a_commanders_no_is_a_no_and_a_commander_is_not_asked() {
    let stage = Stage::set(scenery(&[CUT])).await;
    stage.ana("runbook run cut").await;
    let run = stage.said(HOME, "Run 1 of Cut it off").await;
    press(&stage, "ben", "1 commander can approve", "Decline").await;
    stage.becomes(&run, "failed").await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    stage.types("ben", HOME, "runbook run cut").await;
    let run = stage.said(HOME, "Run 2 of Cut it off").await;
    stage.becomes(&run, "succeeded").await;
    assert_eq!(stage.stack.calls(), ["isolate api"]);
    stage.finish().await;
}

#[tokio::test]
async fn what_the_policy_wants_a_second_person_for_has_one_in_a_runbook_too() {
    let stage = Stage::set(Scenery {
        second_person: BTreeSet::from([Guarded::Restart]),
        ..scenery(&[])
    })
    .await;
    stage
        .types(
            "ben",
            HOME,
            "runbook run restart-service service=api steady=1s",
        )
        .await;
    let run = stage.said(HOME, "Run 1 of Restart a service").await;
    let asks = "1 responder can approve, other than ben";
    let question = words_of(&stage.said(HOME, asks).await);
    assert!(
        question.contains("the policy wants a second person"),
        "{question}"
    );
    press(&stage, "ben", asks, "Approve").await;
    stage
        .said(HOME, "other than who started the run has to answer this")
        .await;
    assert_eq!(stage.stack.calls(), [""; 0]);
    press(&stage, "ana", asks, "Approve").await;
    stage.becomes(&run, "succeeded").await;
    assert_eq!(stage.stack.calls(), ["restart api"]);
    stage.finish().await;
}

#[tokio::test]
async fn a_change_that_fails_after_its_leave_is_held_like_any_other() {
    let stage = Stage::set(scenery(&[CUT])).await;
    stage.ana("runbook run cut").await;
    let run = stage.said(HOME, "Run 1 of Cut it off").await;
    stage.said(HOME, "1 commander can approve").await;
    stage.stack.put_in(Fault::PermissionDenied, None).unwrap();
    press(&stage, "ben", "1 commander can approve", "Approve").await;
    stage.said(HOME, "Cut the api off failed").await;
    stage.stack.take_out(Fault::PermissionDenied);
    press(&stage, "ana", "Cut the api off failed", "Try again").await;
    stage.becomes(&run, "succeeded").await;
    stage.quiet().await;
    assert_eq!(stage.count("Cut the api off: approved by ben"), 1);
    assert_eq!(
        stage.count("can approve"),
        0,
        "the leave holds for the next attempt too"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_was_approved_before_holds_for_a_called_runbook() {
    let caller = "name: caller
steps:
  - id: agree
    approve: {text: 'Off with it?', by: commander, timeout: 5m}
  - id: first
    uses: service.restart
    with: {service: api}
  - id: inner
    runbook: cut
  - note: 'inner ${{ steps.inner.verdict }}'
";
    let stage = Stage::set(scenery(&[CUT, caller])).await;
    stage.ana("runbook run caller").await;
    let run = stage.said(HOME, "Run 1 of caller").await;
    press(&stage, "ben", "1 commander can approve", "Approve").await;
    // The caller has changed the api itself, and still has it: what it calls needs not wait for it.
    let run = words_of(&stage.becomes(&run, "succeeded").await);
    assert!(run.contains("inner succeeded"), "{run}");
    assert_eq!(stage.stack.calls(), ["restart api", "isolate api"]);
    stage.finish().await;
}

#[tokio::test]
async fn who_stops_a_run_stops_what_it_has_called() {
    let inner = "name: inner\nsteps:\n  - wait: 1h\n";
    let outer = "name: outer\nsteps:\n  - runbook: inner\n";
    let stage = Stage::set(scenery(&[inner, outer])).await;
    stage.ana("runbook run outer").await;
    let run = stage.said(HOME, "Run 1 of outer").await;
    let called = stage.said(HOME, "Run 2 of inner").await;
    let ana = stage.person("ana");
    ana.clicks(HOME, &run.ts, "Stop").await.unwrap();
    stage.becomes(&run, "was stopped").await;
    let called = words_of(&stage.becomes(&called, "was stopped").await);
    assert!(
        called.contains("Stopped by ana: run 1 was stopped"),
        "{called}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_result_that_was_too_large_says_what_is_left_of_it() {
    let text = "name: lines
steps:
  - id: logs
    uses: service.logs
    with: {service: api, lines: 500}
  - when: cut('logs')
    note: 'not all ${{ steps.logs.count }} lines'
";
    let stage = Stage::set(scenery(&[text])).await;
    stage.stack.advance(std::time::Duration::from_secs(300));
    stage.ana("runbook run lines").await;
    let run = stage.said(HOME, "Run 1 of lines").await;
    let run = words_of(&stage.becomes(&run, "succeeded").await);
    assert!(run.contains("✂️ kept lines 100 of 500"), "{run}");
    assert!(run.contains("not all 500 lines"), "{run}");
    let audit = stage.audit().await;
    let told = "its result was too large; kept: lines 100 of 500";
    assert!(
        audit.iter().any(|entry| entry.text.contains(told)),
        "{audit:#?}"
    );
    stage.finish().await;
}
