//! Alerts: taken in once each, reported in one place each, followed up until they are over.
//!
//! A body of alerts is one transaction: what is known of each alert, the incident it belongs to,
//! the timeline, and the timers of all that follows. Nobody is told within it: messages are written
//! by timers, at most one each few seconds and conversation, so that a storm is a few edits.

mod changes;
mod command;
mod conversation;
mod escalation;
mod figures;
mod find;
mod flapping;
mod follow_up;
mod intake;
mod kinds;
mod look;
mod quiet;
mod silence;
mod start;
mod triage;
mod watch;
mod words;

use super::timers::Job;

pub(super) use command::{acknowledge, alerts_list};
pub use intake::{Taken, take_alerts};
pub(super) use silence::{silence, unsilence};
pub(super) use watch::begin_watching;

/// What is done when the timers of alerts go off.
pub(super) const JOBS: &[Job] = &[
    kinds::MESSAGE.job(|context, timer| Box::pin(follow_up::write_message(context, timer))),
    kinds::SILENCE_END.job(|context, timer| Box::pin(follow_up::write_message(context, timer))),
    kinds::TRIAGE.job(|context, timer| Box::pin(triage::triage(context, timer))),
    kinds::FOLLOW_UP.job(|context, timer| Box::pin(follow_up::follow_up(context, timer))),
    kinds::ESCALATION.job(|context, timer| Box::pin(escalation::escalate(context, timer))),
    kinds::QUIET.job(|context, timer| Box::pin(quiet::end(context, timer))),
    kinds::CALM.job(|context, timer| Box::pin(flapping::calm_down(context, timer))),
    kinds::SILENCE.job(|context, timer| Box::pin(silence::keep(context, timer))),
    kinds::WATCH.job(|context, timer| Box::pin(watch::watch(context, timer))),
];
