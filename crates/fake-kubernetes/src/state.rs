//! What server, controllers and tests share.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

use crate::fault::{Access, Faults, Rights};
use crate::kubelet::Kubelet;
use crate::store::Store;

/// The token that the server takes.
pub const TOKEN: &str = "emulated-token";

/// Everything behind the server's one lock.
#[derive(Debug)]
pub struct State {
    pub store: Store,
    pub faults: Faults,
    pub rights: Rights,
    pub access: Vec<Access>,
    pub kubelet: Kubelet,
    /// Between a write and what the controllers make of it.
    pub lag: Duration,
    /// Between bookmarks of a watch that asked for them.
    pub bookmarks: Duration,
    /// metrics.k8s.io is served.
    pub metrics: bool,
}

/// What server, controllers and tests share.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    /// The newest version, for watches and controllers.
    pub changed: watch::Sender<u64>,
    /// A test changed something that has no version.
    pub wake: tokio::sync::Notify,
    /// Counts up when all connections are to be cut.
    pub cut: watch::Sender<u64>,
    /// The server listens.
    pub open: watch::Sender<bool>,
    /// The server's thread is to end.
    pub ended: watch::Sender<bool>,
}

impl Shared {
    pub fn new(state: State) -> Self {
        Self {
            changed: watch::Sender::new(state.store.version()),
            state: Mutex::new(state),
            wake: tokio::sync::Notify::new(),
            cut: watch::Sender::new(0),
            open: watch::Sender::new(true),
            ended: watch::Sender::new(false),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere must be told by its own words.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Does something with the state and tells watches and controllers.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let done = act(&mut state);
        let version = state.store.version();
        drop(state);
        self.changed
            .send_if_modified(|seen| std::mem::replace(seen, version) != version);
        done
    }
}
