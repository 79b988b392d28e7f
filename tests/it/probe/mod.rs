//! The probes against real servers: `cargo test --test it probe -- --ignored`.

mod postgres;
mod redis;
mod web;
