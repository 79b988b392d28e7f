//! The sentences about alerts.

mod changed;
mod escalation;
mod follow_up;
mod message;
mod parts;
mod triage;

pub(super) use escalation::{ask, escalation, how};
pub(super) use follow_up::{After, follow_up, quiet};
pub(super) use message::alerts_message;
pub(super) use parts::{alerts, target};
pub(super) use triage::Findings;
