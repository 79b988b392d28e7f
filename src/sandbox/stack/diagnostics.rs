//! What the world remembers only for those who ask it questions: sessions, clients and figures.

use super::metrics::History;
use super::model::World;
use super::sessions::Backends;

/// Kept beside the model, which works without it.
#[derive(Debug)]
pub(super) struct Diagnostics {
    pub(super) backends: Backends,
    pub(super) history: History,
}

impl Diagnostics {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            backends: Backends::new(seed),
            history: History::default(),
        }
    }
}

impl World {
    /// Follows the load of a step of `dt` simulated seconds.
    pub(super) fn observe(&mut self, dt: f64) {
        self.seat();
        self.remember(dt);
    }
}
