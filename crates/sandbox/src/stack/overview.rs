//! The stack at a glance, for the control panel.

use jiff::Timestamp;
use serde::Serialize;

use super::container::Container;
use super::fault::{ActiveFault, Fault};
use super::load::MAX_CONNECTIONS;
use super::model::World;
use super::role::Role;
use super::usage::fullness;
use treasury_domain::service::{Health, ReplicaState};

/// The stack at a glance. Fractions are rounded to one decimal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// The time of the world.
    pub at: Timestamp,
    /// The platform answers.
    pub reachable: bool,
    /// The faults that are in.
    pub faults: Vec<ActiveFault>,
    /// From the client inwards.
    pub services: Vec<ServiceOverview>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceOverview {
    /// Its name.
    pub name: Role,
    /// Its replicas in the order of their numbers.
    pub replicas: Vec<ReplicaOverview>,
    /// 95 % of the requests are answered within this many ms; 0 when nothing answers.
    pub p95_ms: f64,
    /// Share of the requests answered with 5xx, percent.
    pub error_percent: f64,
    /// Requests, queries or commands that arrive each second.
    pub requests_per_second: f64,
    /// Database connections; postgres only.
    pub connections: Option<Connections>,
    /// Share of the reads that the cache answers, percent; redis only.
    pub hit_percent: Option<f64>,
}

/// Database connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Open now.
    pub used: u32,
    /// `max_connections`.
    pub max: u32,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicaOverview {
    /// Such as `treasury-frontend-1`.
    pub name: String,
    /// What it is doing.
    pub state: ReplicaState,
    /// What its health check says.
    pub health: Health,
    /// Memory in use, percent of the limit.
    pub memory_percent: f64,
    /// CPU in percent of one core.
    pub cpu_percent: f64,
    /// How often the platform restarted it by itself.
    pub restarts: u64,
    /// Its last process was ended by the kernel for lack of memory.
    pub oom_killed: bool,
}

impl World {
    /// The stack at a glance.
    pub fn overview(&self) -> Overview {
        Overview {
            at: self.now(),
            reachable: !self.has(Fault::EngineGone),
            faults: self.faults(),
            services: Role::ALL.map(|role| self.glance(role)).to_vec(),
        }
    }

    fn glance(&self, role: Role) -> ServiceOverview {
        let load = self.load();
        let figures = match role {
            Role::Frontend => load.frontend,
            Role::Api => load.api,
            Role::Postgres => load.postgres,
            Role::Redis => load.redis,
        };
        ServiceOverview {
            name: role,
            replicas: self.of(role).map(replica).collect(),
            p95_ms: round(figures.p95),
            error_percent: round(figures.errors * 100.0),
            requests_per_second: round(figures.rate),
            connections: (role == Role::Postgres).then_some(Connections {
                used: load.connections,
                max: MAX_CONNECTIONS,
            }),
            hit_percent: (role == Role::Redis).then(|| round(self.warmth() * 100.0)),
        }
    }
}

fn replica(c: &Container) -> ReplicaOverview {
    let view = c.view();
    let alive = f64::from(u8::from(c.has_process()));
    ReplicaOverview {
        name: view.name,
        state: view.state,
        health: view.health,
        memory_percent: round(fullness(c) * 100.0 * alive),
        cpu_percent: round(c.now.cpu_percent * alive),
        restarts: view.restarts,
        oom_killed: view.oom_killed,
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
