//! `heartbeat …`.

pub(super) mod list;
pub(super) mod pause;
pub(super) mod resume;
