//! The command line. From the top: `commands` (what there is, and exit codes) · a file a command ·
//! `config_file`, `messages` · `terminal`.

mod commands;
mod config_check;
mod config_file;
mod demo;
mod doctor;
mod evidence;
mod exec;
mod manifest;
mod manual;
mod messages;
mod probe;
mod rbac;
mod runbook;
mod setup;
mod stage;
mod terminal;
mod tour;
mod transcript;
mod verify;
mod visit;

pub use commands::{command_line, main};
