//! One replica: its state, its log and its counters.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::journal::Journal;
use super::role::Role;
use treasury_domain::service::{Health, LogLine, Replica, ReplicaMark, ReplicaState, ReplicaStats};

/// Log lines kept of a replica.
pub const MAX_LINES: usize = 2_000;

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

/// What a container was made as.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its id.
    pub id: String,
    /// Image reference.
    pub image: String,
}

/// A replica of the model.
#[derive(Debug)]
pub struct Container {
    pub role: Role,
    pub number: u32,
    pub id: String,
    pub name: String,
    /// Image reference.
    pub image: String,
    /// While it is brought to another image: what it was when it was last well.
    pub former: Option<Made>,
    /// Cut off from the network.
    pub cut: bool,
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
    pub failing: f64,
    /// Quick deaths in a row.
    pub quick: u32,
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
        made: Made,
        pace: f64,
        start_in: f64,
        at: Timestamp,
        journal: &mut Journal,
    ) -> Self {
        let name = format!("treasury-{}-{number}", role.name());
        let mut container = Self {
            role,
            number,
            id: made.id,
            image: made.image,
            former: None,
            cut: false,
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
            // Replicas do not speak in step.
            due: (pace * 7.0).fract(),
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
            Some(format!("image {}", container.image)),
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
            Phase::Down { .. } if self.run == 0 => ReplicaState::Created,
            Phase::Stopping { .. } | Phase::Down { back_in: Some(_) } => ReplicaState::Restarting,
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
            memory_limit_bytes: Some(self.role.memory_limit()),
            image: self.image.clone(),
            node: None,
            note: None,
        }
    }

    /// A process exists.
    pub fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Stopping { .. })
    }

    /// Running and past its start period.
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Running && self.health != Health::Starting
    }

    /// It takes requests: up and not cut off. A failing check alone takes nobody out of nginx's
    /// upstream list.
    pub fn serves(&self) -> bool {
        self.is_up() && !self.cut
    }

    /// Running, and its health check passes.
    pub fn is_well(&self) -> bool {
        self.phase == Phase::Running && self.health == Health::Healthy
    }

    /// On its way from one state to another.
    pub fn is_changing(&self) -> bool {
        !matches!(self.phase, Phase::Running | Phase::Down { back_in: None })
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

/// The use of resources of a process that has just begun.
pub fn idle(name: &str, role: Role) -> ReplicaStats {
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
