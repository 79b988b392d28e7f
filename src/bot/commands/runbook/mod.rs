//! Runbooks and their runs.

pub mod answer;
pub mod list;
pub mod rehearse;
pub mod retry;
pub mod run;
pub mod runs;
pub mod show;
pub mod skip;
pub mod stop;
