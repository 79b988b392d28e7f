//! Backups: how they are taken, read back whole, tried out and restored.
//!
//! Nobody's backup is worth more than its last restore. So nothing here is called good because a
//! tool said so by its exit code: what was stored is read back whole.

pub mod destination;
pub mod postgres;
pub mod repository;
pub mod seal;
pub mod source;

pub use destination::Destination;
pub use repository::{Manifest, Part, Progress, Repository};
pub use seal::{Identities, Recipient};
pub use source::{Contents, Fault, Source, Taken};
