//! Integration tests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod docker;
mod support;
