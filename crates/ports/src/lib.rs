//! What the product asks of the world outside: the traits that drivers of platforms and probes
//! implement, and the simulated stack as well.

pub mod log_search;
pub mod platform;
pub mod probe;
pub mod text;
