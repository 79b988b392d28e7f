//! The command line. From the top: `commands` (what there is, and exit codes) · a file a command ·
//! `config_file`, `messages` · `terminal`.

mod commands;
mod config_file;
mod demo;
mod evidence;
mod exec;
mod manifest;
mod messages;
mod probe;
mod rbac;
mod runbook;
mod setup;
mod stage;
mod terminal;
mod tour;
mod verify;

pub use commands::main;
