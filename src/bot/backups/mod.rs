//! Backups: taken by the calendar or by a command, read back whole, tried out, kept for a while.
//!
//! Each is a row of the catalogue before anything is written. The timer that has it taken is held by one
//! bot as long as that lives; whoever takes it over closes what the dead one began, and begins anew.

mod command;
mod course;
mod drill;
mod find;
mod held;
mod keep;
mod take;
mod verify;
mod words;

use super::timers::Job;

pub(super) use command::{backup_drill, backup_list, backup_now, backup_show, backup_verify};
pub(super) use course::begin_backups;

/// What is done when the timers of backups go off.
pub(super) const JOBS: &[Job] = &[
    course::DUE.job(|context, timer| Box::pin(course::look(context, timer))),
    course::WORK.job(|context, timer| Box::pin(course::work(context, timer))),
];
