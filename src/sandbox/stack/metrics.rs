//! The figures of the stack over time: a bounded history, and counters that only rise.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::load::Figures;
use super::model::World;
use super::role::Role;

/// Simulated seconds between two points.
const EVERY: f64 = 5.0;
/// Points kept: two simulated hours.
const MAX_POINTS: usize = 1_440;

/// The figures at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    /// In the order of [`Role::ALL`].
    pub(super) services: [Figures; 4],
    /// Connections open at postgres.
    pub(super) connections: u32,
    /// Share of the reads that the cache answers, percent.
    pub(super) hit_percent: f64,
}

/// The figures so far.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Oldest first.
    pub(super) points: VecDeque<Point>,
    /// Simulated seconds since the newest point.
    since: f64,
    /// Requests answered so far, by service and status code.
    pub(super) requests: BTreeMap<(&'static str, u16), f64>,
}

/// The figures of a service.
pub(super) fn figures(world: &World, role: Role) -> Figures {
    let load = world.load();
    match role {
        Role::Frontend => load.frontend,
        Role::Api => load.api,
        Role::Postgres => load.postgres,
        Role::Redis => load.redis,
    }
}

/// The status of a failed answer, as the access log has it.
pub(super) fn failure(world: &World, role: Role) -> u16 {
    match role {
        Role::Frontend if figures(world, role).busy > 1.0 => 503,
        Role::Frontend => 502,
        _ => 500,
    }
}

impl World {
    /// Counts what `dt` simulated seconds brought and, every few seconds, keeps the figures.
    pub(super) fn remember(&mut self, dt: f64) {
        for role in [Role::Frontend, Role::Api] {
            let Figures { rate, errors, .. } = figures(self, role);
            let failed = (role.name(), failure(self, role));
            let requests = &mut self.asked.history.requests;
            *requests.entry((role.name(), 200)).or_default() += rate * dt * (1.0 - errors);
            *requests.entry(failed).or_default() += rate * dt * errors;
        }
        self.asked.history.since += dt;
        if self.asked.history.since < EVERY {
            return;
        }
        let point = Point {
            at: self.now,
            services: Role::ALL.map(|role| figures(self, role)),
            connections: self.load.connections,
            hit_percent: self.warmth() * 100.0,
        };
        let history = &mut self.asked.history;
        history.since -= EVERY;
        while history.points.len() >= MAX_POINTS {
            history.points.pop_front();
        }
        history.points.push_back(point);
    }
}
