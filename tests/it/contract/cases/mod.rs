//! The cases, by what they are about.

pub mod deploy;
pub mod isolate;
pub mod logs;
pub mod look;
pub mod outcome;
pub mod restart;
pub mod scale;
