//! Runs of runbooks: the engine's core ([`crate::runbook::engine`]) driven by the store's commits
//! and the platforms' answers.
//!
//! A run belongs to one process at a time. It commits each batch before it does what follows from
//! it; when it dies, another takes the run over and goes on by the same road. A change is an
//! action like any other: the service's lock and the intent are taken in the transaction that
//! begins the step, the actions' engine finds out what became of it after a crash, and its outcome
//! reaches the run as an event, written in the transaction that records the outcome. What people
//! answer reaches it the same way.

mod about;
mod begin;
mod begun;
mod caller;
pub(in crate::bot) mod command;
mod commit;
mod drive;
mod load;
mod messages;
mod overview;
mod params;
mod record;
mod start;

pub(in crate::bot) use about::About;
pub use drive::runs_over;
pub(in crate::bot) use drive::{follow, keep_telling, recover_runs};
pub(in crate::bot) use start::run_by_itself;
