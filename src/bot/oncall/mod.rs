//! Who is on call: asked by escalations, changed from the chat, announced when it changes.

mod command;
mod handover;
mod people;
mod words;

use super::timers::Job;

pub(super) use command::{Span, oncall_clear, oncall_show, put_on_call};
pub(super) use handover::begin_handovers;
pub(super) use people::{next_to_ask, on_call_now, rotation_of};

/// What is done when the timers of rotations go off.
pub(super) const JOBS: &[Job] =
    &[handover::HANDOVER.job(|context, timer| Box::pin(handover::hand_over(context, timer)))];
