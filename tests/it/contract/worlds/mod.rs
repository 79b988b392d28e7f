//! The platforms, with what an outsider can do to them.

mod docker;
mod gate;
mod kubernetes;
#[cfg(feature = "real-cluster")]
mod real;
mod simulated;

pub use docker::Engine;
pub use kubernetes::{Emulated, driver, named};
#[cfg(feature = "real-cluster")]
pub use real::Real;
pub use simulated::Simulated;
