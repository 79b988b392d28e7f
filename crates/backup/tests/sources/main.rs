//! Backups of real servers, in real stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod destination;
mod losses;
mod postgres;
mod s3;

/// PostgreSQL as the product's own tests start it.
#[allow(dead_code, reason = "they need more of it")]
#[path = "../../../../tests/it/support/postgres.rs"]
mod clusters;

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
