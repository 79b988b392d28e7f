//! Who is on call. `me` stands for the asker.

pub mod clear;
pub mod r#override;
pub mod set;
pub mod show;
