//! The simulated treasury stack: a model of the Treasury Management System and a
//! [`Platform`](treasury_ports::platform::Platform) driver over it, for `treasury-bot demo` and for tests.
//!
//! The model ([`World`]) is pure: a seed, a time and a step give the next state, so a test moves
//! five minutes in a few milliseconds and always sees the same. [`Stack`] is the thin shell: it
//! ticks the world by the wall clock, or stands still until a test advances it.
//!
//! ```text
//! clients → frontend ×2 (nginx) → api ×2 → postgres (100 connections)
//!                                      ↘ redis (cache)
//! ```
//!
//! Faults are put in and taken out by name; see [`Fault`] for what each shows and what mends it.

#[cfg(test)]
mod always;
mod answers;
mod backend;
mod cache;
mod changes;
mod clients;
mod container;
mod database;
mod deploy;
#[cfg(test)]
mod deployments;
mod diagnostics;
mod driver;
#[cfg(test)]
mod errands;
mod fault;
mod history;
mod images;
mod isolate;
mod journal;
mod keyspace;
mod life;
mod lines;
mod load;
mod metrics;
mod model;
mod overview;
mod panel;
mod platform;
mod prometheus;
#[cfg(test)]
mod queries;
mod role;
mod sessions;
mod site;
#[cfg(test)]
mod stories;
mod usage;

pub use cache::SimulatedCache;
pub use database::SimulatedDatabase;
pub use driver::{Stack, StackClock, StackConfig};
pub use fault::{ActiveFault, Fault, FaultRefused};
pub use model::World;
pub use overview::{Connections, Overview, ReplicaOverview, ServiceOverview};
pub use panel::router;
pub use role::Role;
