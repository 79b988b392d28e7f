//! Pictures of what Prometheus says of a metric that the configuration names.

mod now;
mod prometheus;

pub(super) use prometheus::chart;
