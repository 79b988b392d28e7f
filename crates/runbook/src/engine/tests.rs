use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::*;
use crate::model::Runbook;
use crate::source::Source;
use crate::types::Type;
use crate::vocabulary::{Callable, Vocabulary};
use treasury_domain::Role;

fn vocabulary() -> Vocabulary {
    let callable = |changes| Callable {
        summary: String::new(),
        changes,
        needs: Role::Responder,
        params: json!({"type": "object"}),
        result: Type::Any,
    };
    let names = [
        ("service.stats", false),
        ("service.status", false),
        ("service.restart", true),
        ("service.scale", true),
    ];
    Vocabulary {
        callables: names
            .into_iter()
            .map(|(name, changes)| (name.to_owned(), callable(changes)))
            .collect(),
        ..Vocabulary::default()
    }
}

fn runbook(text: &str) -> Runbook {
    let source = Source::new("test.yml", text);
    crate::read(&source).unwrap_or_else(|findings| {
        let all: Vec<String> = findings
            .iter()
            .map(|f| source.explain(f).to_string())
            .collect();
        panic!("{}", all.join("\n"))
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn start(hold_ms: u64) -> Start {
    let Value::Object(params) = json!({"service": "api", "limit": 90}) else {
        panic!("a record");
    };
    Start {
        params,
        by_id: "U1".into(),
        by: "ana".into(),
        role: Role::Responder,
        callers: Vec::new(),
        approvals: Vec::new(),
        incident: None,
        rehearsal: false,
        at: at(0),
        hold_ms,
    }
}

/// A run that is driven by hand.
struct Hand<'r> {
    drive: Drive<'r>,
    now: i64,
    said: Vec<Announcement>,
}

impl<'r> Hand<'r> {
    fn new(runbook: &'r Runbook, vocabulary: &'r Vocabulary) -> Self {
        Self::with(runbook, vocabulary, start(0))
    }

    fn with(runbook: &'r Runbook, vocabulary: &'r Vocabulary, start: Start) -> Self {
        let mut hand = Self {
            drive: Drive::new(runbook, vocabulary, RunState::new(7, start)),
            now: 0,
            said: Vec::new(),
        };
        hand.go();
        hand
    }

    fn go(&mut self) {
        let batch = self.drive.advance(at(self.now));
        self.said.extend(batch.said);
    }

    /// What is started now, changes begun at once.
    fn calls(&mut self) -> Vec<String> {
        let mut calls = Vec::new();
        for wanted in self.drive.start(at(self.now)) {
            if wanted.begin {
                self.drive.started(&wanted.path);
            }
            calls.push(format!("{} {}", wanted.path, wanted.call.name));
        }
        // What has just been begun is wanted under way as well.
        self.drive.start(at(self.now));
        calls
    }

    fn good(&mut self, path: &str, result: Value) {
        let attempt = self.drive.state().steps[path].attempt;
        let line = "good".into();
        assert!(
            self.drive
                .finished(path, attempt, Outcome::Good { result, line }, at(self.now))
        );
        self.go();
    }

    fn bad(&mut self, path: &str) {
        let attempt = self.drive.state().steps[path].attempt;
        let (line, retry) = ("bad".into(), true);
        assert!(
            self.drive
                .finished(path, attempt, Outcome::Bad { line, retry }, at(self.now))
        );
        self.go();
    }

    fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        self.go();
    }

    fn phase(&self, path: &str) -> Phase {
        self.drive.state().steps[path].phase
    }

    fn verdict(&self) -> Option<Verdict> {
        self.drive.state().verdict
    }
}

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
    assert!(hand.said.contains(&Announcement::Note {
        path: "step_3".into(),
        text: "restarted api-2".into()
    }));
}

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

fn person(id: &str, answer: &str, role: Role) -> Vote {
    Vote {
        by_id: id.into(),
        by: id.to_lowercase(),
        answer: answer.into(),
        note: None,
        role,
    }
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
fn a_rehearsal_changes_nothing_and_tells_all() {
    let text = "name: a\nsteps:\n  - id: s\n    uses: service.stats\n  - id: r\n    uses: service.restart\n    with: {service: api}\n  - id: w\n    wait: 2m\n  - id: ok\n    approve: {text: 'go on?', timeout: 5m}\n  - id: x\n    when: steps.r.well\n    note: x\n  - id: n\n    notify: hello\n  - id: l\n    uses: service.status\n    wait: {until: result.well, every: 5s, timeout: 1m}\n";
    let (runbook, vocabulary) = (runbook(text), vocabulary());
    let mut rehearsal = start(60_000);
    rehearsal.rehearsal = true;
    let mut hand = Hand::with(&runbook, &vocabulary, rehearsal);
    assert_eq!(hand.calls(), ["s service.stats"]);
    hand.good("s", json!({"percent": 1}));
    assert_eq!(hand.calls(), ["l service.status"], "nothing else is called");
    hand.good("l", json!({"well": false}));
    let line = |path: &str| hand.drive.state().steps[path].line.clone();
    assert_eq!(line("r"), "would call service.restart service=api");
    assert_eq!(line("w"), "would wait 2m");
    assert_eq!(line("ok"), "would ask: go on?");
    assert_eq!(line("n"), "would say: hello");
    assert!(
        line("x").starts_with("can't be told before it runs"),
        "{}",
        line("x")
    );
    assert!(
        line("l").starts_with("would call it until result.well"),
        "{}",
        line("l")
    );
    assert_eq!(hand.verdict(), Some(Verdict::Succeeded));
    assert!(
        !hand
            .said
            .iter()
            .any(|said| matches!(said, Announcement::Notify { .. }))
    );
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

// ---------------------------------------------------------------------------------------------
// Simulation: seeded schedules with crashes at every commit, faults, and messages that come twice.

const SIMULATED: [&str; 4] = [
    "name: a\ntimeout: 2h\nsteps:\n  - id: s\n    uses: service.stats\n    retry: {attempts: 3, delay: 5s}\n  - id: r\n    uses: service.restart\n    with: {service: api}\n    retry: {attempts: 2, delay: 1s}\n  - wait: 2m\n  - id: v\n    uses: service.status\n    wait: {until: result.well, every: 10s, timeout: 2m}\n    on_failure: continue\n  - note: x\nfinally:\n  - uses: service.stats\n",
    "name: b\ntimeout: 1h\nsteps:\n  - id: e\n    for_each: \"['api', 'web', 'db']\"\n    steps:\n      - id: ask\n        approve: {text: ok, timeout: 5m}\n        on_failure: continue\n      - id: r\n        when: succeeded('ask')\n        uses: service.restart\n        with: {service: '${{ item }}'}\n        on_failure: continue\n      - id: c\n        uses: service.scale\n        with: {service: '${{ item }}', n: 2}\n        on_failure: {goto: z}\n      - note: between\n      - id: z\n        uses: service.stats\n        on_failure: continue\n",
    "name: c\ntimeout: 1h\nsteps:\n  - parallel:\n      - id: a\n        uses: service.restart\n        with: {service: api}\n      - id: b\n        uses: service.restart\n        with: {service: api}\n      - id: c\n        steps:\n          - uses: service.stats\n          - id: d\n            uses: service.scale\n            with: {service: web}\n            retry: 3\n      - manual: {text: look, timeout: 3m}\n        on_failure: continue\n  - id: last\n    uses: service.restart\n    with: {service: web}\n",
    "name: d\ntimeout: 30m\nsteps:\n  - id: q\n    ask: {text: which, choices: [a, b], timeout: 2m}\n    on_failure: {goto: e}\n  - id: r\n    when: steps.q.answer == 'a'\n    uses: service.restart\n    with: {service: api}\n  - id: e\n    for_each: '[1, 2]'\n    uses: service.scale\n    with: {service: api, n: '${{ item }}'}\n    retry: 2\nfinally:\n  - id: f\n    uses: service.restart\n    with: {service: web}\n",
];

/// What has been committed.
#[derive(Clone, Default)]
struct Disk {
    steps: BTreeMap<String, String>,
    stop: Option<String>,
    verdict: Option<String>,
    /// Intents by key: `path:attempt`; the outcome once it is recorded.
    actions: BTreeMap<String, Action>,
    /// Which service is being changed by which intent.
    locks: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Action {
    outcome: Option<bool>,
    service: String,
}

/// The platform: outlives every crash.
#[derive(Default)]
struct Platform {
    effects: BTreeMap<String, u32>,
}

/// A call under way.
#[derive(Clone)]
struct Under {
    key: String,
    path: String,
    attempt: u32,
    changes: bool,
    /// Begun by this process: the platform is told, not asked.
    fresh: bool,
}

struct Simulation<'r> {
    rng: StdRng,
    runbook: &'r Runbook,
    vocabulary: &'r Vocabulary,
    disk: Disk,
    platform: Platform,
    drive: Option<Drive<'r>>,
    /// Calls of this process under way.
    calls: Vec<Under>,
    /// Changes that this process has begun and not yet asked of the platform.
    fresh: BTreeSet<String>,
    /// Results that have been delivered: they may come again.
    old: Vec<(String, u32, Outcome)>,
    now: i64,
    crashes: u32,
    commits: u32,
}

impl Simulation<'_> {
    fn load(&mut self) {
        let mut state = RunState::new(1, start(30_000));
        for (path, text) in &self.disk.steps {
            state
                .steps
                .insert(path.clone(), serde_json::from_str(text).unwrap());
        }
        state.stop = self
            .disk
            .stop
            .as_deref()
            .map(|t| serde_json::from_str(t).unwrap());
        state.verdict = self
            .disk
            .verdict
            .as_deref()
            .map(|t| serde_json::from_str(t).unwrap());
        self.drive = Some(Drive::new(self.runbook, self.vocabulary, state));
    }

    /// One commit: the process may die just before or just after it.
    fn commit(&mut self, write: impl FnOnce(&mut Disk)) -> bool {
        if self.rng.random_bool(0.04) {
            self.crash();
            return false;
        }
        write(&mut self.disk);
        self.commits += 1;
        if self.rng.random_bool(0.04) {
            self.crash();
            return false;
        }
        true
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.drive = None;
        // A change that had been asked of the platform may or may not take effect.
        self.fresh.clear();
        for call in std::mem::take(&mut self.calls) {
            let done = self.platform.effects.contains_key(&call.key);
            if call.changes && !done && self.rng.random_bool(0.5) {
                self.effect(&call.key);
            }
        }
    }

    fn effect(&mut self, key: &str) {
        *self.platform.effects.entry(key.to_owned()).or_default() += 1;
    }

    /// One turn of the owner's loop; `false` if it died.
    fn turn(&mut self) -> bool {
        let now = at(self.now);
        let Some(drive) = &mut self.drive else {
            return false;
        };
        let batch = drive.advance(now);
        for (path, attempt) in drive.give_up(now) {
            self.calls.retain(|call| {
                let given_up = call.path == path && call.attempt == attempt;
                assert!(!(given_up && call.changes), "a change is never given up");
                !given_up
            });
        }
        if !batch.is_empty() {
            let alive = self.commit(|disk| {
                for (path, step) in batch.steps {
                    disk.steps
                        .insert(path, serde_json::to_string(&step).unwrap());
                }
                if let Some(stop) = batch.stop {
                    disk.stop = Some(serde_json::to_string(&stop).unwrap());
                }
                if let Some(verdict) = batch.verdict {
                    disk.verdict = Some(serde_json::to_string(&verdict).unwrap());
                }
            });
            if !alive {
                return false;
            }
        }
        let Some(drive) = &mut self.drive else {
            return false;
        };
        for wanted in drive.start(now) {
            if !self.launch(wanted) {
                return false;
            }
        }
        true
    }

    fn launch(&mut self, wanted: PendingCall) -> bool {
        let key = format!("{}:{}", wanted.path, wanted.attempt);
        if !wanted.call.changes {
            self.calls.push(Under {
                key,
                path: wanted.path,
                attempt: wanted.attempt,
                changes: false,
                fresh: true,
            });
            return true;
        }
        let service = super::advance::call_text("", &wanted.call.with);
        if wanted.begin {
            let Some(drive) = &mut self.drive else {
                return false;
            };
            if self.disk.locks.contains_key(&service) {
                drive.queued(&wanted.path, "another change", at(self.now + 2));
                return true;
            }
            let step = drive.begun(&wanted.path).unwrap();
            let (path, own) = (wanted.path.clone(), key.clone());
            let alive = self.commit(|disk| {
                let outcome = None;
                let new = Action {
                    outcome,
                    service: service.clone(),
                };
                assert!(
                    disk.actions.insert(own.clone(), new).is_none(),
                    "an intent once"
                );
                disk.locks.insert(service, own);
                disk.steps
                    .insert(path, serde_json::to_string(&step).unwrap());
            });
            if !alive {
                return false;
            }
            let Some(drive) = &mut self.drive else {
                return false;
            };
            drive.started(&wanted.path);
            self.fresh.insert(key);
            // It is wanted under way from now on; it is attached to like any other.
            for again in drive.start(at(self.now)) {
                if !self.launch(again) {
                    return false;
                }
            }
            return true;
        }
        // Attached: new, or found after a crash.
        let fresh = self.fresh.remove(&key);
        self.calls.push(Under {
            key,
            path: wanted.path,
            attempt: wanted.attempt,
            changes: true,
            fresh,
        });
        true
    }

    /// A call comes to its end.
    fn deliver(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let n = self.rng.random_range(0..self.calls.len());
        let Under {
            key,
            path,
            attempt,
            changes,
            fresh,
        } = self.calls[n].clone();
        let good = self.rng.random_bool(0.75);
        let well = self.rng.random_bool(0.5);
        let mut outcome = if good {
            let result = json!({"well": well, "v": 1});
            Outcome::Good {
                result,
                line: "ok".into(),
            }
        } else {
            Outcome::Bad {
                line: "fault".into(),
                retry: true,
            }
        };
        if changes {
            let recorded = self.disk.actions[&key].outcome;
            let good = match recorded {
                Some(good) => good,
                None => {
                    // After a crash the platform is asked; what had not happened is done now.
                    if fresh || !self.platform.effects.contains_key(&key) {
                        self.effect(&key);
                    }
                    self.calls[n].fresh = false;
                    // The outcome is recorded before it is told to the run.
                    let (own, service) = (key.clone(), self.disk.actions[&key].service.clone());
                    let alive = self.commit(|disk| {
                        if let Some(action) = disk.actions.get_mut(&own) {
                            action.outcome = Some(good);
                        }
                        disk.locks.remove(&service);
                    });
                    if !alive {
                        return;
                    }
                    good
                }
            };
            outcome = if good {
                Outcome::Good {
                    result: json!({"well": true}),
                    line: "ok".into(),
                }
            } else {
                Outcome::Bad {
                    line: "fault".into(),
                    retry: true,
                }
            };
        }
        self.calls.retain(|call| call.key != key);
        if let Some(drive) = &mut self.drive {
            drive.finished(&path, attempt, outcome.clone(), at(self.now));
        }
        self.old.push((path, attempt, outcome));
    }

    fn disturb(&mut self) {
        let now = at(self.now);
        let Some(drive) = &mut self.drive else {
            return;
        };
        match self.rng.random_range(0..8) {
            0 => {
                // A result comes a second time.
                if !self.old.is_empty() {
                    let n = self.rng.random_range(0..self.old.len());
                    let (path, attempt, outcome) = self.old[n].clone();
                    let before = drive.state().steps.get(&path).cloned();
                    let is_new =
                        before.is_some_and(|s| s.phase == Phase::Running && s.attempt == attempt);
                    // While the same attempt is under way again it is not told apart, and for a
                    // change there is one outcome for ever.
                    if !is_new {
                        assert!(!drive.finished(&path, attempt, outcome, now));
                    }
                }
            }
            1..=3 => {
                let asking = drive
                    .state()
                    .steps
                    .iter()
                    .find(|(_, s)| s.phase == Phase::Asking);
                if let Some(path) = asking.map(|(path, _)| path.clone()) {
                    let answers = ["approve", "decline", "a", "b", "done"];
                    let answer = answers[self.rng.random_range(0..answers.len())];
                    let _ = drive.vote(&path, person("U2", answer, Role::Commander), now);
                    let _ = drive.vote(&path, person("U2", answer, Role::Commander), now);
                }
            }
            4 | 5 => {
                if let Some(path) = drive.state().held().first().map(|p| (*p).to_owned()) {
                    let decision = if self.rng.random_bool(0.5) {
                        Decision::Retry
                    } else {
                        Decision::Skip
                    };
                    let _ = drive.decide(&path, &decision, "ben", None, now);
                }
            }
            6 if self.rng.random_bool(0.03) => {
                let _ = drive.stop("ben", "enough", now);
            }
            _ => self.now += self.rng.random_range(1..40),
        }
    }
}

fn simulate(seed: u64) -> (u32, u32) {
    let mut rng = StdRng::seed_from_u64(seed);
    let runbook = runbook(SIMULATED[rng.random_range(0..SIMULATED.len())]);
    let vocabulary = vocabulary();
    let mut simulation = Simulation {
        rng,
        runbook: &runbook,
        vocabulary: &vocabulary,
        disk: Disk::default(),
        platform: Platform::default(),
        drive: None,
        calls: Vec::new(),
        fresh: BTreeSet::new(),
        old: Vec::new(),
        now: 0,
        crashes: 0,
        commits: 0,
    };
    for _ in 0..20_000 {
        if simulation.disk.verdict.is_some() {
            break;
        }
        if simulation.drive.is_none() {
            simulation.now += 3;
            simulation.load();
        }
        if simulation.turn() {
            simulation.deliver();
            simulation.disturb();
        }
        // A process that has nothing to do waits for the next moment.
        let idle = simulation.calls.is_empty();
        if let Some(wake) = simulation.drive.as_ref().and_then(Drive::wake)
            && idle
            && wake > at(simulation.now)
            && simulation.rng.random_bool(0.3)
        {
            simulation.now = wake.as_second() - at(0).as_second();
        }
    }
    let Simulation {
        disk,
        platform,
        crashes,
        commits,
        ..
    } = simulation;
    assert!(
        disk.verdict.is_some(),
        "seed {seed}: the run does not end: {:?}",
        disk.steps
    );
    for (key, effects) in &platform.effects {
        assert_eq!(
            *effects, 1,
            "seed {seed}: {key} took effect {effects} times"
        );
        assert!(
            disk.actions.contains_key(key),
            "seed {seed}: {key} without an intent"
        );
    }
    let ended: BTreeSet<&str> = disk.actions.keys().map(String::as_str).collect();
    for (path, text) in &disk.steps {
        let step: StepState = serde_json::from_str(text).unwrap();
        let changes = step.call.as_ref().is_some_and(|call| call.changes);
        assert!(
            step.phase.is_end(),
            "seed {seed}: {path} has no end: {step:?}"
        );
        if changes && step.phase == Phase::Succeeded {
            let key = format!("{path}:{}", step.attempt);
            assert!(
                ended.contains(key.as_str()),
                "seed {seed}: {key} has no intent"
            );
            assert_eq!(disk.actions[&key].outcome, Some(true), "seed {seed}: {key}");
            assert_eq!(
                platform.effects.get(&key),
                Some(&1),
                "seed {seed}: {key} is lost"
            );
        }
    }
    for (key, action) in &disk.actions {
        assert!(
            action.outcome.is_some(),
            "seed {seed}: {key} has no outcome"
        );
    }
    (crashes, commits)
}

#[test]
fn thousands_of_schedules_change_everything_once_and_end() {
    let seeds = std::env::var("TREASURY_BOT_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok());
    let (mut crashes, mut commits) = (0, 0);
    for seed in 0..seeds.unwrap_or(4_000) {
        let (c, n) = simulate(seed);
        crashes += c;
        commits += n;
    }
    assert!(
        crashes > 4_000 && commits > 40_000,
        "{crashes} crashes, {commits} commits"
    );
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
