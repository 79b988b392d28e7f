//! Nodes: what images do, and what runs.

mod life;
mod played;
mod report;

pub use life::Life;
pub use played::{Behaviour, End, Kubelet};
pub use report::status;
