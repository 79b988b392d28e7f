//! What this process knows of heartbeats and of time.

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify};

use crate::domain::heartbeat::Ears;

/// What this process has heard, by its own clock.
pub(super) struct Listener {
    began: Instant,
    /// One listens at a time.
    pub(super) ears: Mutex<Ears>,
    /// There is something to look at.
    pub(super) heard: Notify,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            ears: Mutex::default(),
            heard: Notify::new(),
        }
    }
}

impl Listener {
    /// The process's own clock, which nobody sets.
    pub(super) fn clock(&self) -> Duration {
        self.began.elapsed()
    }
}
