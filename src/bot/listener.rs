//! What this process knows of heartbeats and of time.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::domain::heartbeat;

/// What this process has heard, by its own clock.
pub(super) struct Listener {
    began: Instant,
    ears: Mutex<heartbeat::Ears>,
    soon: Notify,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            ears: Mutex::new(heartbeat::Ears::default()),
            soon: Notify::new(),
        }
    }
}

impl Listener {
    /// One listens at a time.
    pub(super) async fn ears(&self) -> Ears<'_> {
        Ears {
            ears: self.ears.lock().await,
            began: self.began,
        }
    }

    /// What was heard is looked at soon.
    pub(super) fn look_soon(&self) {
        self.soon.notify_one();
    }

    /// Waits until there is something to look at.
    pub(super) async fn soon(&self) {
        self.soon.notified().await;
    }
}

/// Whoever listens now.
pub(super) struct Ears<'l> {
    ears: MutexGuard<'l, heartbeat::Ears>,
    began: Instant,
}

impl Ears<'_> {
    /// Looks at both clocks; the process's own.
    pub(super) fn tick(&mut self, now: Timestamp) -> Duration {
        let own = self.began.elapsed();
        self.ears.tick(now, own);
        own
    }
}

impl Deref for Ears<'_> {
    type Target = heartbeat::Ears;

    fn deref(&self) -> &Self::Target {
        &self.ears
    }
}

impl DerefMut for Ears<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.ears
    }
}
