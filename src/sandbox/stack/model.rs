//! The world: the pure core of the simulated stack.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::container::{By, Container, Journal, Phase, Then};
use super::fault::{ActiveFault, Fault, FaultRefused};
use super::lines::{self, Scene};
use super::load::{self, Load, Situation};
use super::role::Role;
use crate::domain::service::{Health, ReplicaStats};

/// More replicas than this the simulated engine has no room for.
pub const MAX_REPLICAS: u32 = 20;
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
    rng: StdRng,
    now: Timestamp,
    /// Simulated seconds since the beginning.
    age: f64,
    pub(super) containers: Vec<Container>,
    faults: BTreeMap<(Fault, Option<Role>), Timestamp>,
    pub(super) journal: Journal,
    load: Load,
    /// Share of reads that the cache answers.
    warmth: f64,
    /// How far the additional traffic has come, 0 to 1.
    surge: f64,
    sampled_at: Timestamp,
    sampled_age: f64,
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
            load: Load::default(),
            warmth: WARM,
            surge: 0.0,
            sampled_at: past,
            sampled_age: 0.0,
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

    // Faults

    /// The faults that are in.
    pub fn faults(&self) -> Vec<ActiveFault> {
        let active = |(&(fault, service), &since): (&(Fault, Option<Role>), &Timestamp)| ActiveFault {
            fault,
            service,
            since,
        };
        self.faults.iter().map(active).collect()
    }

    /// Is it in, anywhere?
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.keys().any(|(active, _)| *active == fault)
    }

    fn has_in(&self, fault: Fault, role: Role) -> bool {
        self.faults.contains_key(&(fault, Some(role)))
    }

    /// Puts a fault in; without a service into its default one. A fault that is in stays as it is.
    pub fn put_in(&mut self, fault: Fault, service: Option<&str>) -> Result<(), FaultRefused> {
        let place = fault.place(service)?;
        if self.faults.contains_key(&(fault, place)) {
            return Ok(());
        }
        self.faults.insert((fault, place), self.now);
        self.journal.changes += 1;
        match fault {
            Fault::CacheDown => self.end_cache(),
            Fault::ApiErrors => {
                for container in self.containers.iter_mut().filter(|c| c.role == Role::Api) {
                    container.poisoned = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a fault out wherever it is. What it broke comes back by itself.
    pub fn take_out(&mut self, fault: Fault) {
        let before = self.faults.len();
        self.faults.retain(|(active, _), _| *active != fault);
        if self.faults.len() == before {
            return;
        }
        self.journal.changes += 1;
        for container in &mut self.containers {
            match (fault, container.role) {
                (Fault::CacheDown, Role::Redis)
                    if container.phase == (Phase::Down { back_in: None }) =>
                {
                    container.phase = Phase::Down {
                        back_in: Some((0.5, By::Policy)),
                    };
                }
                (Fault::ApiErrors, Role::Api) => container.poisoned = false,
                (Fault::ConnectionsExhausted, Role::Api) => container.connections = 0.0,
                _ => {}
            }
        }
    }

    fn end_cache(&mut self) {
        let at = self.now;
        for c in self.containers.iter_mut().filter(|c| c.serves()) {
            if c.role == Role::Api {
                let time = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
                c.write(
                    at,
                    true,
                    format!(
                        "{{\"level\":\"error\",\"time\":\"{time}\",\"msg\":\"ReplyError: OOM command not allowed when used memory > 'maxmemory'.\"}}"
                    ),
                );
            }
        }
        for c in self.containers.iter_mut().filter(|c| c.role == Role::Redis) {
            if c.has_process() {
                c.write(
                    at,
                    false,
                    lines::redis_line(at, '#', "Out Of Memory allocating 131072 bytes!"),
                );
            }
            c.die(1, false, true, at, &mut self.journal);
        }
    }

    /// A restart ends what lived in the old processes.
    fn cured_by_start(&mut self, role: Role, by: By) {
        let healed = match role {
            Role::Redis if by == By::Operator => Fault::CacheDown,
            Role::Postgres => Fault::SlowDatabase,
            Role::Api if !self.of(Role::Api).any(|c| c.poisoned) => Fault::ApiErrors,
            _ => return,
        };
        let before = self.faults.len();
        self.faults.retain(|(fault, _), _| *fault != healed);
        if self.faults.len() != before {
            self.journal.changes += 1;
        }
    }

    // Changes

    /// Asks a replica to stop and start again; it is killed after `patience`. Returns how often it
    /// has started so far, or `None` if there is no such replica.
    pub fn restart(&mut self, id: &str, patience: Duration) -> Option<u64> {
        let takes = self.rng.random_range(0.8..2.2);
        let c = self.containers.iter_mut().find(|c| c.id == id)?;
        let run = c.run;
        let patience = patience.as_secs_f64();
        c.stop(takes, patience, Then::Restart, self.now, &mut self.journal);
        Some(run)
    }

    /// Makes one more replica. Returns its id, or `None` when there is no room.
    pub fn grow(&mut self, role: Role) -> Option<String> {
        let room = role != Role::Postgres && self.of(role).count() < MAX_REPLICAS as usize;
        room.then(|| self.create(role))
    }

    /// Asks the newest replica that is not going already to stop for good; the last one stays.
    /// Returns its id.
    pub fn shrink(&mut self, role: Role, patience: Duration) -> Option<String> {
        let takes = self.rng.random_range(0.5..1.5);
        let at = self.now;
        let staying = |c: &&mut Container| {
            let going = matches!(
                c.phase,
                Phase::Gone
                    | Phase::Stopping {
                        then: Then::Remove,
                        ..
                    }
            );
            c.role == role && !going
        };
        if self.containers.iter_mut().filter(staying).count() < 2 {
            return None;
        }
        let c = self.containers.iter_mut().rfind(staying)?;
        // A replica on its way through a restart is removed instead.
        if matches!(c.phase, Phase::Stopping { .. }) {
            c.phase = Phase::Running;
        }
        let patience = patience.as_secs_f64();
        c.stop(takes, patience, Then::Remove, at, &mut self.journal);
        let id = c.id.clone();
        self.containers.retain(|c| c.phase != Phase::Gone);
        Some(id)
    }

    fn create(&mut self, role: Role) -> String {
        let number = self.of(role).map(|c| c.number).max().unwrap_or(0) + 1;
        let id: String = (0..4)
            .map(|_| format!("{:016x}", self.rng.random_range(0..=u64::MAX)))
            .collect();
        let pace = self.rng.random_range(0.85..1.15);
        let start_in = self.rng.random_range(0.3..0.8);
        let made = Container::create(
            role,
            number,
            id.clone(),
            pace,
            start_in,
            self.now,
            &mut self.journal,
        );
        let place = self
            .containers
            .iter()
            .position(|c| (c.role, c.number) > (role, number))
            .unwrap_or(self.containers.len());
        self.containers.insert(place, made);
        id
    }

    // Time

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
        self.live(dt);
        self.flow(dt);
        self.spend(dt);
        self.check(dt);
        self.speak(dt);
        if self.age - self.sampled_age >= 1.0 {
            self.sampled_age = self.age;
            self.sampled_at = self.now;
            for c in &mut self.containers {
                c.sample = c.has_process().then(|| c.now.clone());
            }
        }
    }

    /// Starts, stops and crashes.
    fn live(&mut self, dt: f64) {
        let hang = self.has(Fault::RestartHangs);
        let at = self.now;
        for i in 0..self.containers.len() {
            let crashes = self.has_in(Fault::CrashLoop, self.containers[i].role);
            let c = &mut self.containers[i];
            let role = c.role;
            if let Some(by) = c.pass(dt, hang, at, &mut self.journal) {
                let (stderr, text) = lines::hello(role, at);
                c.write(at, stderr, text);
                self.cured_by_start(role, by);
            } else if crashes && c.phase == Phase::Running && c.uptime > 2.0 * c.pace {
                let text = lines::crash(role, at);
                c.write(at, true, text);
                c.die(1, false, false, at, &mut self.journal);
            }
        }
        self.containers.retain(|c| c.phase != Phase::Gone);
    }

    fn scene(&self) -> Scene {
        let up = |role| self.of(role).any(Container::serves);
        Scene {
            load: self.load,
            cache: up(Role::Redis),
            database: up(Role::Postgres),
            api: up(Role::Api),
            slow_disk: self.has(Fault::SlowDatabase),
        }
    }

    /// Requests, queries and connections.
    fn flow(&mut self, dt: f64) {
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
    fn spend(&mut self, dt: f64) {
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
            let serves = c.serves();
            if usage(c, &scene, self.warmth, peers, serves, noise, dt) {
                c.write(at, true, lines::HEAP.to_owned());
                c.die(137, true, false, at, &mut self.journal);
            }
        }
    }

    fn check(&mut self, dt: f64) {
        let scene = self.scene();
        let exhausted = self.load.exhausted();
        for c in &mut self.containers {
            let passes = c.role != Role::Api || (scene.database && !exhausted);
            c.check(passes, dt, self.now, &mut self.journal);
        }
    }

    fn speak(&mut self, dt: f64) {
        let scene = self.scene();
        for c in &mut self.containers {
            if c.phase != Phase::Running || c.health == Health::Starting {
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

/// Memory in use, 0 to 1.
pub(super) fn fullness(c: &Container) -> f64 {
    c.now.memory_bytes as f64 / c.role.memory_limit() as f64
}

/// Brings the use of resources up to date. Returns true when memory has run out.
fn usage(
    c: &mut Container,
    scene: &Scene,
    warmth: f64,
    peers: f64,
    serves: bool,
    noise: f64,
    dt: f64,
) -> bool {
    const MIB: f64 = 1024.0 * 1024.0;
    let load = &scene.load;
    // Megabytes of memory, CPU percent, processes, bytes of disk a second, by the load; network
    // by the rate.
    let (figures, memory, cpu, pids, disk, size) = match c.role {
        Role::Frontend => (load.frontend, 12.0, 65.0, 14, 900.0, 5_200.0),
        Role::Api => (load.api, 60.0, 90.0, 23, 2_500.0, 2_400.0),
        Role::Postgres => {
            let pids = 8 + u64::from(load.connections);
            (load.postgres, 40.0, 110.0, pids, 420_000.0, 3_100.0)
        }
        Role::Redis => (load.redis, 10.0, 60.0, 6, 9_000.0, 600.0),
    };
    let share = if serves { 1.0 } else { 0.0 };
    let busy = figures.busy.clamp(0.0, 1.3) * share;
    let held = match c.role {
        Role::Postgres => f64::from(load.connections) * 2.4,
        Role::Redis => warmth * 70.0,
        Role::Api => c.connections * 0.4,
        Role::Frontend => 0.0,
    };
    let wanted =
        c.role.resting_memory() as f64 + (memory * busy * noise + held) * MIB + c.leaked;
    let limit = c.role.memory_limit();
    c.now.memory_bytes = (wanted as u64).min(limit);
    let thrash = (fullness(c) - 0.85).max(0.0) * 400.0;
    let starting = if serves { 0.0 } else { 35.0 };
    c.now.cpu_percent = ((cpu * busy + thrash + starting + 1.5) * noise).clamp(0.0, 400.0);
    c.now.pids = if serves { pids } else { 2 };
    let bytes = figures.rate / peers * share * noise * dt;
    c.now.network_rx_bytes += (bytes * size * 0.3) as u64;
    c.now.network_tx_bytes += (bytes * size) as u64;
    let reads = if c.role == Role::Postgres && scene.slow_disk {
        95.0 * MIB
    } else {
        disk * 0.4
    };
    c.now.block_read_bytes += (reads * share * noise * dt) as u64;
    c.now.block_write_bytes += (disk * share * noise * dt) as u64;
    wanted >= limit as f64
}
