//! Steps by themselves.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::*;
use super::{Hand, at, runbook, start, vocabulary};

#[test]
fn steps_follow_each_other_and_what_is_not_needed_is_left_out() {
    let runbook = runbook(
        "name: a\nsteps:\n  - id: stats\n    uses: service.stats\n    with: {service: '${{ params.service }}'}\n  - id: restart\n    when: steps.stats.percent > params.limit\n    uses: service.restart\n    with: {service: '${{ params.service }}', replica: '${{ steps.stats.worst }}'}\n  - note: 'restarted ${{ steps.stats.worst }}'\n  - id: never\n    when: steps.stats.percent < 1\n    uses: service.restart\n",
    );
    let vocabulary = vocabulary();
    let mut hand = Hand::new(&runbook, &vocabulary);
    assert_eq!(hand.calls(), ["stats service.stats"]);
    assert_eq!(hand.calls(), [""; 0], "it is started once");
    hand.good("stats", json!({"percent": 93, "worst": "api-2"}));
    assert_eq!(hand.phase("restart"), Phase::Scheduled);
    assert_eq!(hand.calls(), ["restart service.restart"]);
    let call = hand.drive.state().steps["restart"].call.clone().unwrap();
    assert_eq!(
        json!(call.with),
        json!({"service": "api", "replica": "api-2"})
    );
    hand.good("restart", json!({}));
    assert_eq!(hand.phase("never"), Phase::Skipped);
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
    assert!(hand.announcements.contains(&Announcement::Note {
        path: "step_3".into(),
        text: "restarted api-2".into()
    }));
}

#[test]
fn a_goto_leaves_out_what_is_between() {
    let runbook = runbook(
        "name: a\nsteps:\n  - id: s\n    uses: service.stats\n    on_failure: {goto: c}\n  - id: b\n    note: b\n  - id: c\n    note: \"failed: ${{ failed('s') }}\"\n",
    );
    let vocabulary = vocabulary();
    let mut hand = Hand::new(&runbook, &vocabulary);
    hand.calls();
    hand.bad("s");
    assert!(!hand.drive.state().steps.contains_key("b"));
    assert_eq!(hand.drive.state().steps["c"].line, "failed: true");
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
}

#[test]
fn a_loop_goes_over_its_items_and_gives_a_list() {
    let runbook = runbook(
        "name: a\nsteps:\n  - id: each\n    for_each: \"['a', 'b']\"\n    steps:\n      - id: s\n        uses: service.stats\n        with: {replica: '${{ item }}', n: '${{ index }}'}\n      - id: n\n        note: '${{ item }} has ${{ steps.s.v }}'\n  - note: 'sum ${{ sum(steps.each[*].s.v) }}'\n    id: sum\n  - id: one\n    for_each: steps.each[*].s.v\n    uses: service.restart\n    with: {v: '${{ item }}'}\n",
    );
    let vocabulary = vocabulary();
    let mut hand = Hand::new(&runbook, &vocabulary);
    assert_eq!(hand.calls(), ["s[0] service.stats"]);
    hand.good("s[0]", json!({"v": 1}));
    assert_eq!(hand.drive.state().steps["n[0]"].line, "a has 1");
    assert_eq!(hand.calls(), ["s[1] service.stats"]);
    let with = json!(hand.drive.state().steps["s[1]"].call.clone().unwrap().with);
    assert_eq!(with, json!({"replica": "b", "n": 1}));
    hand.good("s[1]", json!({"v": 2}));
    assert_eq!(hand.drive.state().steps["sum"].line, "sum 3");
    assert_eq!(hand.calls(), ["one[0] service.restart"]);
    hand.good("one[0]", json!({}));
    assert_eq!(hand.calls(), ["one[1] service.restart"]);
    hand.good("one[1]", json!({}));
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
}

#[test]
fn parallel_steps_run_together_and_the_slowest_ends_them() {
    let runbook = runbook(
        "name: a\nsteps:\n  - id: p\n    parallel:\n      - id: x\n        uses: service.stats\n      - id: y\n        uses: service.status\n        on_failure: continue\n  - id: z\n    note: \"${{ steps.x.v }} ${{ failed('y') }}\"\n",
    );
    let vocabulary = vocabulary();
    let mut hand = Hand::new(&runbook, &vocabulary);
    assert_eq!(hand.calls(), ["x service.stats", "y service.status"]);
    hand.bad("y");
    assert!(!hand.drive.state().steps.contains_key("z"));
    hand.good("x", json!({"v": 5}));
    assert_eq!(hand.drive.state().steps["z"].line, "5 true");
}

#[test]
fn a_probe_is_called_until_it_holds_or_it_is_too_late() {
    let text = "name: a\nsteps:\n  - id: w\n    uses: service.status\n    wait: {until: result.well, every: 10s, timeout: 30s}\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::new(&runbook, &vocabulary);
    hand.calls();
    hand.good("w", json!({"well": false}));
    hand.wait(10);
    hand.calls();
    hand.bad("w");
    assert_eq!(
        hand.phase("w"),
        Phase::Pausing,
        "a probe that fails is asked again"
    );
    hand.wait(10);
    hand.calls();
    hand.good("w", json!({"well": true}));
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
    let mut hand = Hand::new(&runbook, &vocabulary);
    for _ in 0..3 {
        hand.calls();
        hand.good("w", json!({"well": false}));
        hand.wait(10);
    }
    hand.calls();
    hand.good("w", json!({"well": false}));
    assert_eq!(hand.verdict(), Some(Verdict::Failed));
    assert!(hand.drive.state().steps["w"].line.contains("within 30s"));
}

#[test]
fn a_rehearsal_changes_nothing_and_tells_all() {
    let text = "name: a\nsteps:\n  - id: s\n    uses: service.stats\n  - id: r\n    uses: service.restart\n    with: {service: api}\n  - id: w\n    wait: 2m\n  - id: ok\n    approve: {text: 'go on?', timeout: 5m}\n  - id: x\n    when: steps.r.well\n    note: x\n  - id: n\n    notify: hello\n  - id: f\n    notify: '${{ steps.s.percent }} %'\n  - id: l\n    uses: service.status\n    wait: {until: result.well, every: 5s, timeout: 1m}\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut rehearsal = start(60_000);
    rehearsal.rehearsal = true;
    let mut hand = Hand::with(&runbook, &vocabulary, rehearsal);
    assert_eq!(hand.calls(), ["s service.stats"]);
    hand.good("s", json!({"percent": 1}));
    // The bot is asked what the change would come to, and does not do it.
    assert_eq!(hand.calls(), ["r service.restart"]);
    hand.tells("r", Value::Null, "tool is restarted after it");
    assert_eq!(hand.calls(), ["l service.status"], "nothing else is called");
    hand.good("l", json!({"well": false}));
    let line = |path: &str| hand.drive.state().steps[path].line.clone();
    let would = "would call service.restart service=api; tool is restarted after it";
    assert_eq!(line("r"), would);
    assert_eq!(line("w"), "would wait 2m");
    assert_eq!(line("ok"), "would ask: go on?");
    assert_eq!(line("n"), "would say: hello");
    let of_now = "would say (the figures are of now, nothing was changed): 1 %";
    assert_eq!(line("f"), of_now);
    assert!(
        line("x").starts_with("can't be told before it runs"),
        "{}",
        line("x")
    );
    assert!(
        line("l").starts_with("would wait for it; now well: no: "),
        "{}",
        line("l")
    );
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
    assert!(
        !hand
            .announcements
            .iter()
            .any(|one| matches!(one, Announcement::Notify { .. }))
    );
}

#[test]
fn a_rehearsal_fails_by_what_is_wrong_now_but_not_for_want_of_its_own_changes() {
    let check = |before: &str| {
        let text = format!(
            "name: a\nsteps:\n{before}  - id: ok\n    assert: 2 < 1\n    message: it did not fall\n"
        );
        let (runbook, vocabulary) = (runbook(&text), vocabulary());
        let mut rehearsal = start(60_000);
        rehearsal.rehearsal = true;
        let mut hand = Hand::with(&runbook, &vocabulary, rehearsal);
        if !hand.calls().is_empty() {
            hand.tells("r", Value::Null, "");
        }
        (hand.verdict(), hand.drive.state().steps["ok"].line.clone())
    };
    let (verdict, line) = check("");
    assert_eq!(
        (verdict, line.as_str()),
        (Some(Verdict::Failed), "it did not fall")
    );
    let restart = "  - id: r\n    uses: service.restart\n    with: {service: api}\n";
    let (verdict, line) = check(restart);
    assert_eq!(verdict, Some(Verdict::Succeeded));
    assert_eq!(line, "would check; now: it did not fall");
}

#[test]
fn a_change_that_would_be_refused_fails_a_rehearsal_unless_another_change_comes_before_it() {
    let step =
        |id: &str| format!("  - id: {id}\n    uses: service.restart\n    with: {{service: api}}\n");
    let text = format!("name: a\nsteps:\n{}{}", step("a"), step("b"));
    let (runbook, vocabulary) = (runbook(&text), vocabulary());
    for (a_is_refused, verdict) in [(true, Verdict::Failed), (false, Verdict::Succeeded)] {
        let mut rehearsal = start(60_000);
        rehearsal.rehearsal = true;
        let mut hand = Hand::with(&runbook, &vocabulary, rehearsal);
        assert_eq!(hand.calls(), ["a service.restart"]);
        if a_is_refused {
            hand.bad("a");
        } else {
            hand.tells("a", Value::Null, "");
        }
        assert_eq!(hand.calls(), ["b service.restart"], "all that would follow");
        hand.bad("b");
        assert_eq!(hand.verdict(), Some(verdict));
        let line = &hand.drive.state().steps["b"].line;
        let now = "would call service.restart service=api; now: ";
        assert!(line.starts_with(now), "{line}");
    }
}

#[test]
fn a_rehearsal_fails_only_where_a_run_would() {
    for (on_failure, verdict) in [
        ("continue", Verdict::Succeeded),
        ("stop", Verdict::Failed),
        ("{goto: b}", Verdict::Succeeded),
    ] {
        for inner in [
            format!("    uses: service.stats\n    on_failure: {on_failure}\n"),
            format!(
                "    on_failure: {on_failure}\n    steps:\n      - id: s\n        uses: service.stats\n"
            ),
            format!("    for_each: '[1]'\n    on_failure: {on_failure}\n    uses: service.stats\n"),
        ] {
            let text = format!("name: a\nsteps:\n  - id: a\n{inner}  - id: b\n    note: b\n");
            let (runbook, vocabulary) = (runbook(&text), vocabulary());
            for rehearsal in [false, true] {
                let mut start = start(0);
                start.rehearsal = rehearsal;
                let mut hand = Hand::with(&runbook, &vocabulary, start);
                let called = hand.calls().remove(0);
                hand.bad(called.split(' ').next().unwrap());
                assert_eq!(hand.verdict(), Some(verdict), "{rehearsal}: {text}");
            }
        }
    }
}

#[test]
fn a_result_that_was_cut_says_so() {
    let text = "name: a\nsteps:\n  - id: s\n    uses: service.stats\n  - id: n\n    when: cut('s')\n    note: 'not all of ${{ steps.s.count }}'\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::new(&runbook, &vocabulary);
    hand.calls();
    hand.good(
        "s",
        json!({"count": 500, "lines": vec!["x".repeat(300); 500]}),
    );
    let cut = hand.drive.state().steps["s"].cut.clone();
    assert_eq!(cut.as_deref(), Some("lines 100 of 500"));
    assert_eq!(hand.drive.state().steps["n"].line, "not all of 500");
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let text = "name: a\ntimeout: 10m\nsteps:\n  - id: w\n    wait: 1h\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::new(&runbook, &vocabulary);
    assert_eq!(hand.drive.wake(), Some(at(600)));
    hand.wait(600);
    assert_eq!(hand.verdict(), Some(Verdict::Stopped));
    assert!(
        hand.drive
            .state()
            .stop
            .as_ref()
            .unwrap()
            .reason
            .contains("10m")
    );
}

#[test]
fn what_comes_twice_or_late_changes_nothing() {
    let text = "name: a\nsteps:\n  - id: s\n    uses: service.stats\n    retry: 2\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut hand = Hand::new(&runbook, &vocabulary);
    hand.calls();
    let bad = || Outcome::Bad {
        line: "x".into(),
        retry: true,
    };
    assert!(hand.drive.finished("s", 1, bad(), at(0)));
    assert!(!hand.drive.finished("s", 1, bad(), at(0)));
    hand.wait(5);
    hand.calls();
    assert!(
        !hand.drive.finished("s", 1, bad(), at(5)),
        "of the first attempt"
    );
    assert_eq!(hand.phase("s"), Phase::Running);
}

#[test]
fn the_pause_grows_and_is_bounded() {
    let retry = crate::model::Retry {
        attempts: 5,
        delay: Duration::from_secs(10),
        backoff: 3.0,
    };
    assert_eq!(retry.pause(1), Duration::from_secs(10));
    assert_eq!(retry.pause(3), Duration::from_secs(90));
    assert_eq!(retry.pause(60), Duration::from_secs(3_600));
}
