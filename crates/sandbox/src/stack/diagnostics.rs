//! What the world remembers only for those who ask it questions: sessions, clients and figures.

use super::clients::Links;
use super::metrics::History;
use super::model::World;
use super::sessions::Backends;
use super::site::Shares;

/// Kept beside the model, which works without it.
#[derive(Debug)]
pub(super) struct Diagnostics {
    pub(super) backends: Backends,
    pub(super) links: Links,
    pub(super) history: History,
    pub(super) shares: Shares,
}

impl Diagnostics {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            backends: Backends::new(seed),
            links: Links::default(),
            history: History::default(),
            shares: Shares::default(),
        }
    }
}

impl World {
    /// Follows the load of a step of `dt` simulated seconds.
    pub(super) fn observe(&mut self, dt: f64) {
        self.seat();
        self.link();
        self.remember(dt);
    }
}
