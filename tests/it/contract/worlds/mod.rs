//! The platforms, with what an outsider can do to them.

mod docker;
mod gate;
mod kubernetes;
mod simulated;

pub use docker::Engine;
pub use kubernetes::{Emulated, driver, named};
pub use simulated::Simulated;
