//! The sandbox: a local Slack that speaks the real protocol, and a simulated treasury stack.

pub mod page;
pub mod slack;
pub mod stack;
