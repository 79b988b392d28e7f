//! Steps that wait for somebody, and what people decide.

use serde_json::json;
use treasury_domain::Role;

use super::super::*;
use super::{Hand, at, person, runbook, start, vocabulary};

#[test]
fn a_failing_step_is_tried_again_and_then_held_for_somebody() {
    let runbook = runbook(
        "name: a\nsteps:\n  - id: s\n    uses: service.stats\n    retry: {attempts: 3, delay: 10s, backoff: 2}\n  - note: done\n",
    );
    let vocabulary = vocabulary();
    let mut hand = Hand::with(&runbook, &vocabulary, start(60_000));
    hand.calls();
    hand.bad("s");
    assert_eq!(hand.phase("s"), Phase::Pausing);
    hand.wait(9);
    assert_eq!(hand.calls(), [""; 0]);
    hand.wait(1);
    assert_eq!(hand.calls(), ["s service.stats"]);
    hand.bad("s");
    hand.wait(20);
    hand.calls();
    hand.bad("s");
    assert!(
        hand.drive.state().steps["s"].is_held(),
        "three attempts are all"
    );
    assert_eq!(hand.verdict(), None);
    hand.drive
        .decide("s", &Decision::Retry, "ben", None, at(hand.now))
        .unwrap();
    hand.go();
    assert_eq!(hand.calls(), ["s service.stats"]);
    hand.bad("s");
    assert_eq!(hand.phase("s"), Phase::Pausing, "its attempts count anew");
    hand.wait(10);
    hand.calls();
    hand.good("s", json!({}));
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
    assert!(
        hand.drive
            .decide("s", &Decision::Skip, "ben", None, at(hand.now))
            .is_err()
    );
}

#[test]
fn nobody_decides_and_the_run_fails_with_its_last_steps_done() {
    let runbook = runbook(
        "name: a\nsteps:\n  - id: s\n    uses: service.stats\n  - id: after\n    note: never\nfinally:\n  - id: last\n    note: 'it ${{ verdict }}'\n",
    );
    let vocabulary = vocabulary();
    let mut hand = Hand::with(&runbook, &vocabulary, start(60_000));
    hand.calls();
    hand.bad("s");
    hand.wait(59);
    assert_eq!(hand.verdict(), None);
    hand.wait(1);
    assert_eq!(hand.verdict(), Some(Verdict::Failed));
    assert!(!hand.drive.state().steps.contains_key("after"));
    assert_eq!(hand.drive.state().steps["last"].line, "it failed");
}

#[test]
fn approval_needs_enough_people_of_the_role_and_not_who_started() {
    let text = "name: a\nsteps:\n  - id: ok\n    approve: {text: 'isolate?', by: commander, count: 2, other: true, timeout: 10m}\n  - note: 'by ${{ steps.ok.by }}'\n    id: n\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::new(&runbook, &vocabulary);
    let now = at(0);
    let drive = &mut hand.drive;
    let say = |drive: &mut Drive<'_>, who: &str, role| {
        drive.vote("ok", person(who, "approve", role), now)
    };
    assert!(say(drive, "U2", Role::Responder).is_err());
    assert!(say(drive, "U1", Role::Commander).is_err(), "who started it");
    say(drive, "U2", Role::Commander).unwrap();
    assert!(say(drive, "U2", Role::Commander).is_err(), "twice");
    assert_eq!(drive.state().steps["ok"].phase, Phase::Asking);
    say(drive, "U3", Role::Commander).unwrap();
    assert!(say(drive, "U4", Role::Commander).is_err(), "too late");
    hand.go();
    assert_eq!(hand.drive.state().steps["n"].line, "by u2, u3");
    let mut hand = Hand::with(&runbook, &vocabulary, start(60_000));
    hand.drive
        .vote("ok", person("U2", "decline", Role::Commander), now)
        .unwrap();
    hand.go();
    assert_eq!(
        hand.verdict(),
        Some(Verdict::Failed),
        "a no is not held for a retry"
    );
    let mut hand = Hand::new(&runbook, &vocabulary);
    hand.wait(600);
    assert_eq!(hand.verdict(), Some(Verdict::Failed), "nobody answered");
}

#[test]
fn a_stop_is_prompt_but_a_change_under_way_is_awaited() {
    let text = "name: a\nsteps:\n  - parallel:\n      - id: r\n        uses: service.restart\n      - id: s\n        uses: service.stats\n      - id: w\n        wait: 1h\n  - id: after\n    note: never\nfinally:\n  - id: f\n    note: 'it was ${{ verdict }}'\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::new(&runbook, &vocabulary);
    assert_eq!(hand.calls().len(), 2);
    hand.drive.stop("ben", "wrong service", at(0)).unwrap();
    hand.go();
    assert_eq!(hand.drive.give_up(at(0)), [("s".to_owned(), 1)]);
    assert_eq!(
        (hand.phase("s"), hand.phase("w")),
        (Phase::Skipped, Phase::Skipped)
    );
    assert_eq!(hand.verdict(), None, "the restart can't be taken back");
    hand.good("r", json!({}));
    assert_eq!(hand.verdict(), Some(Verdict::Stopped));
    assert_eq!(hand.drive.state().steps["f"].line, "it was stopped");
    assert!(hand.drive.stop("ben", "again", at(0)).is_err());
}

#[test]
fn a_change_that_is_not_the_starters_waits_for_leave() {
    let text = "name: a\nsteps:\n  - id: r\n    uses: service.restart\n    retry: {attempts: 2, delay: 5s}\n  - id: ok\n    approve: {text: 'more?', by: commander, timeout: 1m}\n  - id: s\n    uses: service.scale\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let approval = |other| Approval {
        by: Role::Commander,
        other,
        attempt: 0,
    };
    let mut hand = Hand::with(&runbook, &vocabulary, start(60_000));
    let may = |hand: &Hand<'_>, path: &str, other| {
        hand.drive.state().may(&runbook, path, &approval(other))
    };
    assert!(!may(&hand, "r", false));
    let until = at(1_800);
    hand.drive
        .request_approval("r", approval(false), "do it?", until);
    hand.go();
    assert_eq!(
        (hand.phase("r"), hand.drive.wake()),
        (Phase::Asking, Some(until))
    );
    assert_eq!(hand.calls(), [""; 0], "nothing begins without leave");
    let now = at(0);
    let responder = person("U2", "approve", Role::Responder);
    assert!(hand.drive.vote("r", responder, now).is_err());
    let yes = person("U2", "approve", Role::Commander);
    hand.drive.vote("r", yes.clone(), now).unwrap();
    hand.go();
    assert!(may(&hand, "r", false) && may(&hand, "r", true) && !may(&hand, "s", false));
    assert_eq!(hand.calls(), ["r service.restart"]);
    hand.bad("r");
    hand.wait(5);
    assert!(
        may(&hand, "r", false),
        "an attempt more needs no further leave"
    );
    hand.calls();
    hand.good("r", json!({}));
    // What is approved by a step before it needs no leave either.
    hand.drive.vote("ok", yes, at(5)).unwrap();
    hand.go();
    assert!(may(&hand, "s", false));

    // No, or nobody: nothing is done.
    let mut hand = Hand::with(&runbook, &vocabulary, start(60_000));
    hand.drive
        .request_approval("r", approval(true), "do it?", until);
    let own = person("U1", "approve", Role::Commander);
    assert!(
        hand.drive.vote("r", own, now).is_err(),
        "a second person is needed"
    );
    let no = person("U2", "decline", Role::Commander);
    hand.drive.vote("r", no, now).unwrap();
    hand.go();
    assert_eq!(hand.verdict(), Some(Verdict::Failed));
    let mut hand = Hand::with(&runbook, &vocabulary, start(60_000));
    hand.drive
        .request_approval("r", approval(false), "do it?", until);
    hand.go();
    hand.wait(1_800);
    assert!(hand.drive.state().steps["r"].is_held());
    assert!(hand.drive.state().steps["r"].line.contains("within 30m"));
    assert_eq!(hand.calls(), [""; 0]);
}

#[test]
fn an_approval_that_nobody_gave_can_not_be_left_out() {
    let text = "name: a\nsteps:\n  - id: ok\n    approve: {text: 'cut it off?', timeout: 1m}\n  - id: r\n    uses: service.restart\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::with(&runbook, &vocabulary, start(600_000));
    hand.wait(60);
    let mut decide = |what: &Decision| hand.drive.decide("ok", what, "ana", None, at(60));
    assert!(decide(&Decision::Skip).is_err());
    decide(&Decision::Retry).unwrap();
    hand.go();
    assert_eq!(hand.phase("ok"), Phase::Asking);
}
