//! Services of a Swarm, asked of an engine that is one of its managers.
//!
//! Swarm keeps a service as it is described: a change is a new description, and the rollout is
//! Swarm's own, by the service's update settings. What is here writes descriptions and follows.
//!
//! - `snapshot`: descriptions as they are; `nodes`, `tasks`: what runs where
//! - `change`: writing a description; `rollout`: following one to its end; `restart`, `scale`,
//!   `deploy`: the changes
//! - `versions`: what ran and what can run; `logs`, `events`, `stats`

mod change;
mod deploy;
mod driver;
mod events;
mod logs;
mod nodes;
mod restart;
mod rollout;
mod scale;
mod snapshot;
mod spec;
mod stats;
mod tasks;
#[cfg(test)]
mod tests;
mod versions;

use crate::engine::json_api;
pub use driver::Swarm;
