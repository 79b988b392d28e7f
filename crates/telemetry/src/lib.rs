//! What is to be seen of the bot itself: metrics for Prometheus, a log for people and machines, traces
//! by OpenTelemetry's protocol (feature `otlp`). docs/observability.md says it for users.

pub mod log;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;

mod declared;
mod flat;
