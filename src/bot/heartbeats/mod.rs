//! Heartbeats: jobs elsewhere say that they ran; one that does not, that failed or that made too little
//! is an alert like any other.

mod command;
mod deadman;
mod listen;

pub(super) use command::{heartbeat_list, heartbeat_pause, heartbeat_resume};
pub(super) use deadman::keep_pinging;
pub(super) use listen::keep_listening;
pub use listen::{hear, hear_watchdogs};
