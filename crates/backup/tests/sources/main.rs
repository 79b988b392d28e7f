//! Backups of real servers, in real stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod destination;
mod s3;
