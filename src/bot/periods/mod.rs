//! Maintenance windows and freezes: begun by people or by the configuration, ended once, told in the
//! channel. What a window holds is `alerts/held`; what a freeze refuses is `actions/freeze`.

mod command;
mod course;
mod words;

use super::timers::Job;

pub(super) use command::{Wish, period_end, period_list, period_start};
pub(super) use course::begin_planned;

/// What is done when the timers of windows and freezes go off.
pub(super) const JOBS: &[Job] = &[
    course::END.job(|context, timer| Box::pin(course::end_due(context, timer))),
    course::PLANNED.job(|context, timer| Box::pin(course::begin_due(context, timer))),
];
