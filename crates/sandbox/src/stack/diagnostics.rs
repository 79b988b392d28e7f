//! What the world remembers only for those who ask it questions: sessions, clients and figures.

use super::history::History;
use super::sessions::{Backends, Links};

/// Kept beside the model, which works without it.
#[derive(Debug)]
pub(super) struct Diagnostics {
    pub(super) backends: Backends,
    pub(super) links: Links,
    pub(super) history: History,
    /// Which requests of the site fail.
    pub(super) failures: Share,
    /// Which requests of the site find their asset in the cache.
    pub(super) hits: Share,
}

impl Diagnostics {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            backends: Backends::new(seed),
            links: Links::default(),
            history: History::default(),
            failures: Share::default(),
            hits: Share::default(),
        }
    }
}

/// A share of the requests, spread evenly rather than by chance: a third means every third.
#[derive(Debug, Default)]
pub(super) struct Share(f64);

impl Share {
    /// One more request: is it among this `share`, 0 to 1?
    pub(super) fn takes(&mut self, share: f64) -> bool {
        self.0 += share;
        let takes = self.0 >= 1.0;
        if takes {
            self.0 -= 1.0;
        }
        takes
    }
}
