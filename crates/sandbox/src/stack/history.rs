//! The figures of the stack over time. Plain data, bounded.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::load::Figures;

/// Points kept: two simulated hours.
pub(super) const MAX_POINTS: usize = 1_440;

/// The figures at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    /// In the order of `Role::ALL`.
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
    pub(super) since: f64,
    /// Requests answered so far, by service and status code.
    pub(super) requests: BTreeMap<(&'static str, u16), f64>,
}

impl History {
    /// Keeps a point; the oldest goes when there are too many.
    pub(super) fn keep(&mut self, point: Point) {
        while self.points.len() >= MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }
}
