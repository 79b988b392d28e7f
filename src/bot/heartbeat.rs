//! Whether another process can have taken this one for dead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Context;
use crate::store::{DEAD_AFTER, StoreError};

/// How often a process says that it is alive.
pub(super) const EVERY: Duration = Duration::from_secs(3);

/// Readiness asks the store for a write at most this often.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A write that failed so lately means that the store takes none; then it is tried once more.
const FAILED_LATELY: Duration = Duration::from_secs(5);

/// When this process last said in the store that it is alive; before it begins to work, when it was
/// made.
pub(super) struct Heartbeat {
    last: Mutex<Instant>,
    has_begun: AtomicBool,
    /// Held while readiness asks for a write.
    probing: tokio::sync::Mutex<()>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            last: Mutex::new(Instant::now()),
            has_begun: AtomicBool::new(false),
            probing: tokio::sync::Mutex::default(),
        }
    }
}

impl Heartbeat {
    /// It has just been recorded.
    pub(super) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// No other process can have taken this one for dead.
    pub(super) fn is_surely_alive(&self) -> bool {
        self.age() + EVERY < DEAD_AFTER
    }

    fn age(&self) -> Duration {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }
}

/// Says in the store that this process is alive.
pub(super) async fn beat(context: &Context) -> Result<(), StoreError> {
    let store = context.store();
    store.instance_heartbeat(context.instance()).await?;
    context.heartbeat().beat();
    Ok(())
}

/// Whether the store takes writes, by the last that failed and by one of our own: a full disk answers
/// questions still.
pub async fn store_takes_writes(context: &Context) -> Result<(), String> {
    let heartbeat = context.heartbeat();
    let _one = heartbeat.probing.lock().await;
    if let Some(why) = context.store().failed_within(FAILED_LATELY) {
        return Err(why);
    }
    if !heartbeat.has_begun.load(Ordering::Relaxed) {
        return Err("it answers, and the bot does not work on it yet".to_owned());
    }
    if heartbeat.age() < PROBE_EVERY {
        return Ok(());
    }
    beat(context).await.map_err(|error| error.to_string())
}
