//! Whole flows: a person types into the sandbox Slack, the bot answers, the platform has changed.
//!
//! One binary, so that it links once. Tests that need a component outside Rust are ignored by a
//! plain `cargo test`; `tests/run` installs the components and runs them all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod alertmanager;
mod alerts;
mod approvals;
mod asked_anew;
mod beside;
mod blocks;
mod by_hand;
mod cards;
mod causes;
mod changes;
mod checked;
mod cli;
mod compose;
mod contract;
mod counted;
mod crash;
mod databases;
mod demo;
mod deploy;
mod diagnostics;
mod docker;
mod docs;
mod doctor;
mod first_look;
mod flapping;
mod full;
mod handbook;
mod heartbeats;
mod hostile;
mod image;
mod incidents;
mod judge;
mod killed;
mod layers;
mod left_out;
mod library;
mod log_store;
mod mail;
mod mail_crashes;
mod menu;
mod nasty;
mod oncall;
mod page;
mod pages;
mod probe;
mod reach;
#[cfg(feature = "real-cluster")]
mod real_cluster;
mod refused;
mod retention;
mod rollout;
mod routed;
mod routine;
mod runbooks;
mod said;
mod sdk;
mod senders;
mod sessions;
mod setup;
mod silences;
mod sources;
mod store;
mod stories;
mod support;
mod terminal;
mod truth;
mod two_bots;
mod unheard_of;
mod watched;
mod watchers;
mod workloads;

use treasury_fake_kubernetes as kubernetes;
