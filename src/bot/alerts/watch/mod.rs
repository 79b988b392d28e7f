//! The handbook's alerts for those without Prometheus, from the bot's own probes. They come in by
//! the same door as any other alert.

mod ends;
mod job;
mod judge;
mod pages;
mod readings;

pub(crate) use job::begin_watching;
pub(super) use job::watch;
pub(crate) use job::{unread_page, unread_pages};
