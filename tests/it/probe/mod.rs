//! The probes against real servers: `cargo test --test it probe -- --ignored`.

mod figures;
mod postgres;
mod prometheus;
mod redis;
mod web;
