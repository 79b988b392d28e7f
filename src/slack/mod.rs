//! The Slack door.

pub mod client;
pub mod directory;
pub mod dispatch;
pub mod http;
pub mod inbound;
pub mod render;
pub mod socket;
