//! The configuration file, `treasury-bot.toml`: read, checked and explained.
//!
//! All that is wrong is found in one go, each finding with its line and what to do about it.
//! Secrets come from the environment or from files of their own, never from this file, and no
//! `Debug`, message or excerpt shows one.
//!
//! Each module reads the sections of one part, into what that part is built from. From the top:
//! `load` (all of it) · the sections (`slack`, `docker`, `kubernetes`, …) · `runbooks`, `fiction` ·
//! `root`, `names`, `files`, `urls` · `section`, `at` (a table and a value, with their places) · `source`, `problem`.

mod alerts;
mod at;
mod backups;
mod docker;
mod email;
mod fiction;
mod files;
mod heartbeats;
mod kind;
mod kubernetes;
mod load;
mod mask;
mod names;
mod people;
mod platforms;
mod policy;
mod probes;
mod problem;
mod reach;
mod root;
mod rotations;
mod routine;
mod runbooks;
mod section;
mod services;
mod slack;
mod source;
mod sources;
mod store;
mod urls;
mod web;

#[cfg(test)]
mod tests;

pub use load::Config;
pub use platforms::Platforms;
pub use probes::Probed;
pub use problem::{ConfigErrors, Level, Location, Problem};
pub use source::{Env, Secrets};
pub use web::Log;
