//! Locks of plain values, which a panic elsewhere can't leave half-written.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value, whatever became of who had it before.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
