//! Probes: questions put to the services themselves.

pub mod alertmanager;
pub mod cache;
pub mod database;
mod error;
mod fetch;
mod http;
pub mod page;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod web;

pub use cache::Cache;
pub use database::Database;
pub use error::{ProbeError, ProbeErrorKind};
pub use http::Http;
