//! Probes: questions put to the services themselves.

pub mod cache;
pub mod database;
mod error;

pub use cache::Cache;
pub use database::Database;
pub use error::{ProbeError, ProbeErrorKind};
