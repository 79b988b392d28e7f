//! The Slack door.

pub mod inbound;
pub mod render;
