//! The world: the pure core of the simulated stack.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::container::{Container, Phase};
use super::diagnostics::Diagnostics;
use super::fault::Fault;
use super::images::Deployed;
use super::journal::Journal;
use super::lines::{self, Scene};
use super::load::{self, Load, Situation};
use super::role::Role;
use super::usage::{fullness, usage};

/// The longest step, simulated seconds: longer ones are cut into several.
const STEP: f64 = 0.25;
/// Seconds until a leaking replica without load would be full.
const FILL: f64 = 200.0;
/// Connections a second that one api replica leaks.
const CONNECTION_LEAK: f64 = 0.55;
/// Hit ratio of a warm cache.
const WARM: f64 = 0.94;

/// The simulated treasury stack. The same seed and the same steps give the same world.
#[derive(Debug)]
pub struct World {
    pub(super) rng: StdRng,
    pub(super) now: Timestamp,
    /// Simulated seconds since the beginning.
    age: f64,
    pub(super) containers: Vec<Container>,
    pub(super) faults: BTreeMap<(Fault, Option<Role>), Timestamp>,
    pub(super) journal: Journal,
    pub(super) load: Load,
    pub(super) deployed: Deployed,
    /// Share of reads that the cache answers.
    warmth: f64,
    /// How far the additional traffic has come, 0 to 1.
    surge: f64,
    sampled_at: Timestamp,
    sampled_age: f64,
    /// For those who ask about more than the platform tells.
    pub(super) diagnostics: Diagnostics,
}

impl World {
    /// A healthy world at `now` that has run for two simulated minutes.
    pub fn new(seed: u64, now: Timestamp) -> Self {
        let past = now
            .checked_sub(SignedDuration::from_secs(120))
            .unwrap_or(now);
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            now: past,
            age: 0.0,
            containers: Vec::new(),
            faults: BTreeMap::new(),
            journal: Journal::default(),
            deployed: Deployed::new(past),
            load: Load::default(),
            warmth: WARM,
            surge: 0.0,
            sampled_at: past,
            sampled_age: 0.0,
            diagnostics: Diagnostics::new(seed),
        };
        for role in Role::ALL {
            for _ in 0..role.replicas() {
                world.create(role);
            }
        }
        world.advance(now, 120.0);
        world
    }

    /// The time of the world.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Simulated seconds since the beginning.
    pub fn age(&self) -> f64 {
        self.age
    }

    /// When the newest samples were taken.
    pub fn sampled_at(&self) -> Timestamp {
        self.sampled_at
    }

    /// Rises with every event and every change of a fault.
    pub fn changes(&self) -> u64 {
        self.journal.changes
    }

    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    pub(super) fn warmth(&self) -> f64 {
        self.warmth
    }

    /// Replicas of a service in the order of their numbers.
    pub(super) fn of(&self, role: Role) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |c| c.role == role)
    }

    pub(super) fn find(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.id == id)
    }

    /// Lets `seconds` of simulated time pass in small steps, with times spread evenly up to `until`.
    pub fn advance(&mut self, until: Timestamp, seconds: f64) {
        if !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        let steps = (seconds / STEP).ceil().clamp(1.0, 1e6) as i32;
        let from = self.now;
        let span = until.duration_since(from).max(SignedDuration::ZERO) / steps;
        for i in 1..=steps {
            let at = from.checked_add(span * i).unwrap_or(until);
            self.step(at, seconds / f64::from(steps));
        }
    }

    /// One step of `dt` simulated seconds, at most a few tenths, that ends at `now`.
    pub fn step(&mut self, now: Timestamp, dt: f64) {
        self.now = self.now.max(now);
        self.age += dt;
        self.step_lifecycles(dt);
        self.step_load(dt);
        self.follow_sessions();
        self.follow_clients();
        self.record_figures(dt);
        self.step_usage(dt);
        self.sweep();
        self.check(dt);
        self.write_logs(dt);
        if self.age - self.sampled_age >= 1.0 {
            self.sampled_age = self.age;
            self.sampled_at = self.now;
            for c in &mut self.containers {
                c.sample = c.has_process().then(|| c.now.clone());
            }
        }
    }

    /// Starts, stops and crashes.
    fn step_lifecycles(&mut self, dt: f64) {
        let hang = self.has(Fault::RestartHangs);
        let at = self.now;
        for i in 0..self.containers.len() {
            // Where a new image is at fault, it is what crashes.
            let crashes = self.has_in(Fault::CrashLoop, self.containers[i].role)
                && (self.containers[i].runs_bad()
                    || !self.has_in(Fault::BadDeploy, self.containers[i].role));
            let c = &mut self.containers[i];
            let role = c.role;
            if let Some(by) = c.pass(dt, hang, at, &mut self.journal) {
                let (stderr, text) = lines::hello(role, c.tag(), at);
                c.write(at, stderr, text);
                self.cured_by_start(role, by);
            } else if crashes && c.phase == Phase::Running && c.uptime > 2.0 * c.pace {
                let text = lines::crash(role, at);
                c.write(at, true, text);
                c.die(1, false, false, at, &mut self.journal);
            }
        }
    }

    fn scene(&self) -> Scene {
        let up = |role| self.of(role).any(Container::serves);
        Scene {
            load: self.load,
            cache: up(Role::Redis),
            database: up(Role::Postgres),
            api: up(Role::Api),
            slow_disk: self.has(Fault::SlowDatabase),
            poisoned: self.of(Role::Api).any(|c| c.serves() && c.poisoned),
        }
    }

    /// Requests, queries and connections.
    fn step_load(&mut self, dt: f64) {
        let scene = self.scene();
        let goal = f64::from(u8::from(self.has(Fault::HighTraffic)));
        self.surge += (goal - self.surge) * (dt / 5.0).min(1.0);
        let goal = if scene.cache { WARM } else { 0.0 };
        let haste = if scene.cache { 20.0 } else { 1.0 };
        self.warmth += (goal - self.warmth) * (dt / haste).min(1.0);

        let leaking = self.has(Fault::ConnectionsExhausted) && !self.load.exhausted();
        for c in self.containers.iter_mut().filter(|c| c.role == Role::Api) {
            if !scene.database {
                // The server's end is gone, so the pool drops them all.
                c.connections = 0.0;
            } else if leaking && c.serves() {
                c.connections += CONNECTION_LEAK * c.pace * dt;
            }
        }
        let count = |role| self.of(role).filter(|c| c.serves()).count() as f64;
        let memory = |role| self.of(role).map(fullness).fold(0.0, f64::max);
        let apis = count(Role::Api);
        let poisoned = self.of(Role::Api).filter(|c| c.serves() && c.poisoned);
        let situation = Situation {
            demand: 120.0 * (1.0 + 0.06 * (self.age / 47.0).sin()) * (1.0 + 1.5 * self.surge),
            frontends: count(Role::Frontend),
            apis,
            database: scene.database,
            cache: scene.cache,
            warmth: self.warmth,
            leaked: self.of(Role::Api).map(|c| c.connections).sum(),
            slow_disk: scene.slow_disk,
            poisoned: poisoned.count() as f64 / apis.max(1.0),
            frontend_memory: memory(Role::Frontend),
            api_memory: memory(Role::Api),
        };
        let goal = load::settle(
            &situation,
            Role::Frontend.capacity(),
            Role::Api.capacity(),
            Role::Postgres.capacity(),
        );
        self.load.follow(&goal, (dt / 1.5).min(1.0));
    }

    /// Memory, CPU, network and disk; and the kernel when memory is out.
    fn step_usage(&mut self, dt: f64) {
        let scene = self.scene();
        let at = self.now;
        for i in 0..self.containers.len() {
            let role = self.containers[i].role;
            let leaks = self.has_in(Fault::MemoryLeak, role);
            let peers = self.of(role).filter(|c| c.serves()).count().max(1) as f64;
            let noise = self.rng.random_range(0.94..1.06);
            let c = &mut self.containers[i];
            if !c.has_process() {
                continue;
            }
            if leaks {
                let room = (role.memory_limit() - role.resting_memory()) as f64;
                c.leaked += room / FILL * c.pace * dt;
            }
            let up = c.is_up();
            if usage(c, &scene, self.warmth, peers, up, noise, dt) {
                c.write(at, true, lines::HEAP.to_owned());
                c.die(137, true, false, at, &mut self.journal);
            }
        }
    }

    fn check(&mut self, dt: f64) {
        let scene = self.scene();
        let exhausted = self.load.exhausted();
        for c in &mut self.containers {
            let reaches = c.role != Role::Api || (scene.database && !exhausted && !c.cut);
            let passes = reaches && c.can_be_healthy();
            c.check(passes, dt, self.now, &mut self.journal);
        }
    }

    fn write_logs(&mut self, dt: f64) {
        let scene = self.scene();
        for c in &mut self.containers {
            if !c.serves() {
                continue;
            }
            c.due += lines::rate(c.role, &scene) * dt;
            while c.due >= 1.0 {
                c.due -= 1.0;
                let memory = fullness(c);
                let (stderr, text) =
                    lines::line(c.role, &scene, c.poisoned, memory, self.now, &mut self.rng);
                c.write(self.now, stderr, text);
            }
        }
    }
}
