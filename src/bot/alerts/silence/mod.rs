//! `silence`: the bot's own, and, where one is configured, Alertmanager's.
//!
//! The wish is recorded, and is the bot's own silence, in the transaction that answers it. A timer
//! then brings it about in Alertmanager, reads its state there, and ends it; whatever dies, the next
//! process goes on, and a silence whose making had no answer is found by the mark in its comment.

mod alertmanager;
mod command;
mod end;
mod keep;
mod words;

pub(crate) use command::{silence, unsilence};
pub(super) use end::end;
pub(super) use keep::keep;
