//! Probes: questions put to the services themselves.

pub mod alertmanager;
mod fetch;
mod http;
pub mod log_store;
pub mod page;
pub mod postgres;
pub mod prometheus;
pub mod redis;
mod service;
pub mod sns;
pub mod web;

pub use http::{Http, connector};
pub use treasury_ports::probe::*;
