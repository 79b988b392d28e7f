//! The playbook language: parse, check, render; and the engine's core as pure functions.

pub mod expr;
pub mod source;
pub mod types;
pub mod yaml;
