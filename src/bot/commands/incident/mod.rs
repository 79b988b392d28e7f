//! Incidents.

pub mod assign;
pub mod declare;
pub mod link;
pub mod list;
pub mod of_run;
pub mod severity;
pub mod show;
