//! Probes: questions put to the services themselves.

mod http;

pub use http::Http;
