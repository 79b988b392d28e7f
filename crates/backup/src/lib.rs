//! Backups: how they are taken, read back whole, tried out and restored.
//!
//! Nobody's backup is worth more than its last restore. So nothing here is called good because a
//! tool said so by its exit code: what was stored is read back whole.

pub mod destination;
pub mod source;

pub use source::{Contents, Fault, Source, Taken};
