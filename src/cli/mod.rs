//! The command line. From the top: `commands` (what there is, and exit codes) · a file a command ·
//! `config_file`, `messages` · `terminal`.

mod commands;
mod config_file;
mod demo;
mod doctor;
mod evidence;
mod exec;
mod messages;
mod probe;
mod rbac;
mod runbook;
mod stage;
mod terminal;
mod tour;
mod transcript;
mod verify;
mod visit;

pub use commands::main;
