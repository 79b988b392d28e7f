//! Actions: question, intent, work with progress, outcome.
//!
//! One file a kind: its typed words, what they come to, its work, what is found out after a crash,
//! and its sentences. `kind.rs` says what a kind has; `kinds.rs` finds the kind of a recorded action;
//! `propose.rs` leads from words to an intent and `engine.rs` from an intent to its outcome.

pub mod bounds;
pub mod client;
pub mod deploy;
pub(in crate::bot) mod engine;
mod evidence;
mod freeze;
pub mod isolate;
mod job;
mod kind;
mod kinds;
mod outcome;
mod probe;
mod propose;
pub mod restart;
pub mod scale;
pub mod session;
mod state;
mod steps;

pub(in crate::bot) use freeze::refuse_deploy;
pub(in crate::bot) use job::After;
pub(in crate::bot) use kind::Intent;
pub(in crate::bot) use kinds::intent_text;
pub(in crate::bot) use propose::{incidents_of, propose};
pub(in crate::bot) use state::joined_to;
pub(in crate::bot) use steps::action_step;
