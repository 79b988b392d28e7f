//! Tasks by the calendar: each is begun once, done by a runbook or asked of whoever is on call until it
//! is done or skipped, and ends on the audit.

mod command;
mod course;
mod words;

use super::timers::Job;

pub(super) use command::{task_done, task_list, task_run, task_skip};
pub(super) use course::begin_tasks;

/// What is done when the timers of tasks go off.
pub(super) const JOBS: &[Job] = &[
    course::DUE.job(|context, timer| Box::pin(course::look(context, timer))),
    course::NAG.job(|context, timer| Box::pin(course::nag(context, timer))),
    course::RUN.job(|context, timer| Box::pin(course::run_over(context, timer))),
];
