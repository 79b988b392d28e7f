//! The sentences about alerts.

mod changed;
mod escalation;
mod follow_up;
mod held;
mod message;
mod news;
mod parts;
mod triage;

pub(super) use escalation::{about, ask, escalation, how, waits};
pub(super) use follow_up::{After, follow_up, quiet};
pub(in crate::bot) use held::held_text;
pub(super) use held::window;
pub(super) use message::alerts_message;
pub(super) use news::{loud_again, news, still_yours, unheard};
pub(super) use parts::{alerts, target};
pub(super) use triage::{Answered, Findings, Image, LastWords, Said};
