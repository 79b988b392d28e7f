//! What wakes the runs that this process drives.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The runs driven by this process, with what wakes them.
#[derive(Default)]
pub(super) struct Wakers(Mutex<HashMap<i64, Arc<Notify>>>);

impl Wakers {
    /// Begins to drive a run. `None`: this process drives it already.
    pub(super) fn begin(&self, run: i64) -> Option<Arc<Notify>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.entry(run) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => Some(free.insert(Arc::default()).clone()),
        }
    }

    /// The run is driven no longer.
    pub(super) fn end(&self, run: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&run);
    }

    /// This process drives none.
    pub(super) fn is_empty(&self) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.is_empty()
    }

    /// Wakes a run, if this process drives it.
    pub(super) fn wake(&self, run: i64) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = all.get(&run) {
            waker.notify_one();
        }
    }
}
