//! Whether another process can have taken this one for dead.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::DEAD_AFTER;

/// How often a process says that it is alive.
pub(super) const EVERY: Duration = Duration::from_secs(3);

/// When this process last said in the store that it is alive.
pub(super) struct Heartbeat(Mutex<Instant>);

impl Default for Heartbeat {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Heartbeat {
    /// It has just been recorded.
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// No other process can have taken this one for dead.
    pub(super) fn is_surely_alive(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() + EVERY < DEAD_AFTER
    }
}
