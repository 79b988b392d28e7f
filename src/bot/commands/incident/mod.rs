//! Incidents.

pub mod assign;
pub mod declare;
pub mod link;
pub mod list;
pub mod severity;
pub mod show;
pub mod written;
