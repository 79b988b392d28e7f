//! One replica: its life from start to end, its log and its counters.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::role::Role;
use crate::domain::service::{
    Event, Health, LogLine, Replica, ReplicaMark, ReplicaState, ReplicaStats,
};

/// Log lines kept of a replica.
pub const MAX_LINES: usize = 2_000;
/// Events kept of the whole stack.
pub const MAX_EVENTS: usize = 1_000;
/// Seconds of failing checks until a replica is called unhealthy.
const UNHEALTHY_AFTER: f64 = 9.0;
/// A process that ends sooner counts as a quick death: the restart policy waits longer each time.
const QUICK_DEATH: f64 = 10.0;

/// Who brings a process back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A person or the bot.
    Operator,
    /// The platform, by its restart policy.
    Policy,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The same replica starts again.
    Restart,
    /// The replica is removed.
    Remove,
}

/// Where a replica is in its life; times in simulated seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// The process runs.
    Running,
    /// It was asked to stop and takes this long; `killed` when patience ends first.
    Stopping { left: f64, then: Then, killed: bool },
    /// No process; it comes back after a while, or never.
    Down { back_in: Option<(f64, By)> },
    /// To be dropped from the world.
    Gone,
}

/// The bounded list of events and the count of changes worth telling.
#[derive(Debug, Default)]
pub struct Journal {
    /// Oldest first.
    pub events: VecDeque<(Role, Event)>,
    /// Rises with every event.
    pub changes: u64,
}

impl Journal {
    fn note(&mut self, of: &Container, at: Timestamp, what: &str, detail: Option<String>) {
        while self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        let event = Event {
            at,
            replica: of.name.clone(),
            what: what.to_owned(),
            detail,
        };
        self.events.push_back((of.role, event));
        self.changes += 1;
    }
}

/// A replica of the model.
#[derive(Debug)]
pub struct Container {
    pub role: Role,
    pub number: u32,
    pub id: String,
    pub name: String,
    pub phase: Phase,
    pub health: Health,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub restarts: u64,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// How often a process has started.
    pub run: u64,
    /// Seconds since the process started.
    pub uptime: f64,
    /// Seconds the health check has been failing.
    failing: f64,
    /// Quick deaths in a row.
    quick: u32,
    /// Leaks of two replicas are never equally fast.
    pub pace: f64,
    /// Bytes leaked.
    pub leaked: f64,
    /// Database connections leaked.
    pub connections: f64,
    /// Holds a broken state that makes it answer errors.
    pub poisoned: bool,
    /// Share of a log line that is due.
    pub due: f64,
    /// Use of resources now.
    pub now: ReplicaStats,
    /// The newest sample of it, as the platform tells.
    pub sample: Option<ReplicaStats>,
    /// Log lines with the run that wrote them.
    pub log: VecDeque<(u64, LogLine)>,
}

impl Container {
    /// A replica that has been made but not started; it starts in `start_in` seconds.
    pub fn create(
        role: Role,
        number: u32,
        id: String,
        pace: f64,
        start_in: f64,
        at: Timestamp,
        journal: &mut Journal,
    ) -> Self {
        let name = format!("treasury-{}-{number}", role.name());
        let mut container = Self {
            role,
            number,
            id,
            phase: Phase::Down {
                back_in: Some((start_in, By::Operator)),
            },
            health: Health::Starting,
            started_at: None,
            finished_at: None,
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            run: 0,
            uptime: 0.0,
            failing: 0.0,
            quick: 0,
            pace,
            leaked: 0.0,
            connections: 0.0,
            poisoned: false,
            due: 0.0,
            now: idle(&name, role),
            sample: None,
            log: VecDeque::new(),
            name,
        };
        container.clear();
        journal.note(
            &container,
            at,
            "create",
            Some(format!("image {}", role.image())),
        );
        container
    }

    /// The replica as the platform tells of it.
    pub fn view(&self) -> Replica {
        let state = match self.phase {
            Phase::Running
            | Phase::Stopping {
                then: Then::Remove, ..
            } => ReplicaState::Running,
            Phase::Stopping { .. } => ReplicaState::Restarting,
            Phase::Down { .. } if self.run == 0 => ReplicaState::Created,
            Phase::Down { back_in: Some(_) } => ReplicaState::Restarting,
            Phase::Down { back_in: None } | Phase::Gone => ReplicaState::Exited,
        };
        Replica {
            id: self.id.clone(),
            name: self.name.clone(),
            state,
            health: self.health,
            started_at: self.started_at,
            finished_at: if self.has_process() {
                None
            } else {
                self.finished_at
            },
            restarts: self.restarts,
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            image: self.role.image().to_owned(),
        }
    }

    /// A process exists.
    pub fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Stopping { .. })
    }

    /// It takes requests: running and past its start period. A failing check alone takes nobody
    /// out of nginx's upstream list.
    pub fn serves(&self) -> bool {
        self.phase == Phase::Running && self.health != Health::Starting
    }

    /// Running, and its health check passes.
    pub fn is_well(&self) -> bool {
        self.phase == Phase::Running && self.health == Health::Healthy
    }

    /// The mark was taken of this replica, and it has started since.
    pub fn started_since(&self, mark: &ReplicaMark, since: Timestamp) -> bool {
        match (self.started_at, mark.started_at) {
            (Some(now), Some(then)) => now > then,
            // It did not run when it was marked: only the time of the intent is left to compare.
            (Some(now), None) => now >= since,
            (None, _) => false,
        }
    }

    /// Asks the process to stop: it takes `takes` seconds, at most `patience`, after which it is
    /// killed. A replica that is stopping already goes on as it was.
    pub fn stop(
        &mut self,
        takes: f64,
        patience: f64,
        then: Then,
        at: Timestamp,
        journal: &mut Journal,
    ) {
        match self.phase {
            Phase::Running => {
                journal.note(self, at, "kill", Some("signal 15".to_owned()));
                self.phase = Phase::Stopping {
                    left: takes.min(patience),
                    then,
                    killed: takes > patience,
                };
            }
            Phase::Down { .. } if then == Then::Remove => self.remove(at, journal),
            Phase::Down { .. } => {
                self.restarts = 0;
                self.quick = 0;
                self.phase = Phase::Down {
                    back_in: Some((0.4, By::Operator)),
                };
            }
            Phase::Stopping { .. } | Phase::Gone => {}
        }
    }

    /// Lets time pass. Returns who started the process, if it started now. With `hang` no restart
    /// that an operator asked for goes on.
    pub fn pass(
        &mut self,
        dt: f64,
        hang: bool,
        at: Timestamp,
        journal: &mut Journal,
    ) -> Option<By> {
        match &mut self.phase {
            Phase::Running => self.uptime += dt,
            Phase::Stopping {
                then: Then::Restart,
                ..
            } if hang => {}
            Phase::Stopping { left, .. } if *left > dt => *left -= dt,
            Phase::Stopping { then, killed, .. } => {
                let (then, killed) = (*then, *killed);
                if killed {
                    journal.note(self, at, "kill", Some("signal 9".to_owned()));
                }
                self.restarts = 0;
                self.quick = 0;
                self.end(if killed { 137 } else { 0 }, false, at, journal);
                journal.note(self, at, "stop", None);
                match then {
                    Then::Restart => {
                        self.phase = Phase::Down {
                            back_in: Some((0.4, By::Operator)),
                        };
                    }
                    Then::Remove => self.remove(at, journal),
                }
            }
            Phase::Down {
                back_in: Some((_, By::Operator)),
            } if hang && self.run > 0 => {}
            Phase::Down {
                back_in: Some((left, _)),
            } if *left > dt => *left -= dt,
            Phase::Down {
                back_in: Some((_, by)),
            } => {
                let by = *by;
                self.begin(at, journal);
                if by == By::Operator && self.run > 1 {
                    journal.note(self, at, "restart", None);
                }
                return Some(by);
            }
            Phase::Down { back_in: None } | Phase::Gone => {}
        }
        None
    }

    /// The process ends by itself or by the kernel; the restart policy brings it back, later each
    /// time it dies quickly, unless `stay_down`.
    pub fn die(
        &mut self,
        code: i64,
        oom: bool,
        stay_down: bool,
        at: Timestamp,
        journal: &mut Journal,
    ) {
        if !self.has_process() {
            return;
        }
        // An operator's order outlives the death: the replica still goes where it was sent.
        let ordered = match self.phase {
            Phase::Stopping { then, .. } => Some(then),
            _ => None,
        };
        self.quick = if self.uptime < QUICK_DEATH {
            (self.quick + 1).min(10)
        } else {
            0
        };
        if oom {
            journal.note(self, at, "oom", None);
        }
        self.end(code, oom, at, journal);
        match ordered {
            Some(Then::Remove) => self.remove(at, journal),
            Some(Then::Restart) => {
                self.phase = Phase::Down {
                    back_in: Some((0.4, By::Operator)),
                };
            }
            None if stay_down => self.phase = Phase::Down { back_in: None },
            None => {
                self.restarts += 1;
                let wait = (0.5 * 2f64.powi(self.quick as i32)).min(15.0);
                self.phase = Phase::Down {
                    back_in: Some((wait, By::Policy)),
                };
            }
        }
    }

    fn end(&mut self, code: i64, oom: bool, at: Timestamp, journal: &mut Journal) {
        self.exit_code = Some(code);
        self.oom_killed = oom;
        self.finished_at = Some(at);
        self.health = Health::Starting;
        self.clear();
        self.sample = None;
        journal.note(self, at, "die", Some(format!("exit code {code}")));
    }

    fn begin(&mut self, at: Timestamp, journal: &mut Journal) {
        // Times prove restarts: a new start is later than the one before, however coarse the clock.
        let later = self
            .started_at
            .and_then(|old| old.checked_add(SignedDuration::from_micros(1)).ok());
        let at = later.map_or(at, |later| later.max(at));
        self.phase = Phase::Running;
        self.started_at = Some(at);
        self.run += 1;
        self.health = Health::Starting;
        self.clear();
        journal.note(self, at, "start", None);
    }

    fn remove(&mut self, at: Timestamp, journal: &mut Journal) {
        self.phase = Phase::Gone;
        journal.note(self, at, "destroy", None);
    }

    /// What a new process does not inherit.
    fn clear(&mut self) {
        self.uptime = 0.0;
        self.failing = 0.0;
        self.leaked = 0.0;
        self.connections = 0.0;
        self.poisoned = false;
        self.now = idle(&self.name, self.role);
    }

    /// The health check's turn.
    pub fn check(&mut self, passes: bool, dt: f64, at: Timestamp, journal: &mut Journal) {
        if self.phase != Phase::Running || self.uptime < self.role.start_period() {
            return;
        }
        let before = self.health;
        if passes {
            self.failing = 0.0;
            self.health = Health::Healthy;
        } else {
            self.failing += dt;
            if self.failing >= UNHEALTHY_AFTER {
                self.health = Health::Unhealthy;
            }
        }
        if before != self.health {
            let what = if passes { "healthy" } else { "unhealthy" };
            journal.note(self, at, &format!("health_status: {what}"), None);
        }
    }

    /// Writes a log line; the oldest goes when the log is full.
    pub fn write(&mut self, at: Timestamp, stderr: bool, text: String) {
        while self.log.len() >= MAX_LINES {
            self.log.pop_front();
        }
        let line = LogLine {
            at: Some(at),
            replica: self.name.clone(),
            stderr,
            text,
        };
        self.log.push_back((self.run, line));
    }
}

fn idle(name: &str, role: Role) -> ReplicaStats {
    ReplicaStats {
        replica: name.to_owned(),
        cpu_percent: 0.0,
        memory_bytes: role.resting_memory(),
        memory_limit_bytes: Some(role.memory_limit()),
        network_rx_bytes: 0,
        network_tx_bytes: 0,
        block_read_bytes: 0,
        block_write_bytes: 0,
        pids: 1,
    }
}
