//! treasury-bot: incident response from Slack for a Treasury Management System.
//!
//! # Layout
//! Dependencies point down this list only; `tests/it/layers.rs` reads the `use` lines and fails
//! on an arrow that runs upwards.
//!
//! - [`cli`]: the command line; [`app`]: the composition root
//! - [`slack`], [`web`]: the doors; [`sandbox`]: a local Slack and a simulated treasury stack
//! - [`config`]: the configuration file
//! - [`bot`]: use cases, the only place that decides
//! - [`platform`], [`probe`], [`store`], [`notify`]: the world outside
//! - [`command`], [`report`]: pure: words to commands, timelines to bytes
//! - [`domain`]: plain types and rules

pub mod app;
pub mod bot;
pub mod cli;
pub mod command;
pub mod config;
pub mod notify;
pub mod report;
pub mod slack;
pub mod web;

pub use treasury_backup as backup;
pub use treasury_domain as domain;
pub use treasury_probes as probe;
pub use treasury_runbook as runbook;
pub use treasury_sandbox as sandbox;
pub use treasury_store as store;
pub use treasury_telemetry as telemetry;

/// The platforms that services run on: the trait and its drivers.
pub mod platform {
    pub use treasury_docker as docker;
    pub use treasury_kubernetes as kubernetes;
    pub use treasury_ports::platform::*;
}
