//! Alerts: taken in once each, reported in one place each, followed up until they are over.
//!
//! A body of alerts is one transaction: what is known of each alert, the incident it belongs to,
//! the timeline, and the timers of all that follows. Nobody is told within it: messages are written
//! by timers, at most one each few seconds and conversation, so that a storm is a few edits.

mod acknowledge;
mod cause;
mod changes;
mod command;
mod compare;
mod conversation;
mod declared;
mod episode;
mod escalation;
mod figures;
mod find;
mod flapping;
mod follow_up;
mod held;
mod intake;
mod kinds;
mod look;
mod news;
mod order;
mod over;
mod quiet;
mod reask;
mod senders;
mod silence;
mod start;
mod triage;
mod unheard;
mod watch;
mod words;

use super::timers::Job;

pub(super) use acknowledge::acknowledge;
pub(super) use command::alerts_list;
pub(super) use compare::begin_comparing;
pub(super) use find::conversation_meant;
pub(super) use held::{hold_until, window_told};
pub use intake::take_alerts;
pub use senders::{receive, refused, signed_by_sns, unsubscribed};
pub(super) use silence::{silence, unsilence};
pub(crate) use watch::unread_pages;
pub(super) use watch::{begin_watching, unread_page};
pub(super) use words::held_text;

/// What is done when the timers of alerts go off.
pub(super) const JOBS: &[Job] = &[
    kinds::MESSAGE.job(|context, timer| Box::pin(follow_up::write_message(context, timer))),
    kinds::SILENCE_END.job(|context, timer| Box::pin(silence::end(context, timer))),
    kinds::TRIAGE.job(|context, timer| Box::pin(triage::triage(context, timer))),
    kinds::FOLLOW_UP.job(|context, timer| Box::pin(follow_up::follow_up(context, timer))),
    kinds::ESCALATION.job(|context, timer| Box::pin(escalation::escalate(context, timer))),
    kinds::DECLARED.job(|context, timer| Box::pin(declared::ask(context, timer))),
    kinds::REASK.job(|context, timer| Box::pin(reask::ask_again(context, timer))),
    kinds::RELAPSE.job(|context, timer| Box::pin(episode::relapse(context, timer))),
    kinds::SETTLE.job(|context, timer| Box::pin(episode::settle(context, timer))),
    kinds::UNHEARD.job(|context, timer| Box::pin(unheard::look(context, timer))),
    kinds::COMPARE.job(|context, timer| Box::pin(compare::compare(context, timer))),
    kinds::QUIET.job(|context, timer| Box::pin(quiet::end(context, timer))),
    kinds::CALM.job(|context, timer| Box::pin(flapping::calm_down(context, timer))),
    kinds::HELD.job(|context, timer| Box::pin(held::tell(context, timer))),
    kinds::SILENCE.job(|context, timer| Box::pin(silence::keep(context, timer))),
    kinds::WATCH.job(|context, timer| Box::pin(watch::watch(context, timer))),
];
