//! Seeded schedules with crashes at every commit, faults, and messages that come twice.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use treasury_domain::Role;

use super::super::*;
use super::{at, person, runbook, start, vocabulary};
use crate::model::Runbook;
use crate::vocabulary::Vocabulary;

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
        let service = crate::engine::work::call_text("", &wanted.call.with);
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
