//! The playbook language: parse, check, render; and the engine's core as pure functions.

pub mod check;
pub mod engine;
pub mod expr;
pub mod model;
pub mod read;
pub mod schema;
pub mod show;
pub mod source;
pub mod template;
pub mod types;
pub mod vocabulary;
pub mod yaml;

pub use check::{check, check_in_part};
pub use model::{Runbook, Trigger};
pub use read::{read, read_in_part};
pub use source::{Finding, Severity, Source};
pub use vocabulary::Vocabulary;
