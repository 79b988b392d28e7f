//! Services and what a platform tells of them.

mod catalogue;
mod change;
mod dependant;
mod observed;
mod status;

pub use catalogue::{
    Charted, Found, InvalidServiceName, MetricsPage, PlatformKey, Service, ServiceName, Target,
    WorkloadKind,
};
pub use change::{
    Attachment, Bounds, End, Evidence, Intent, Patience, Progress, ReplicaOutcome, Version,
};
pub use dependant::{Consequence, Dependant, DependencyKind, brought, foretold};
pub use observed::{Event, Events, LogLine, LogQuery, Logs, ReplicaStats, ServiceStats};
pub use status::{Health, Replica, ReplicaMark, ReplicaState, ServiceStatus, images, well_text};
