//! Services of a Swarm, asked of an engine that is one of its managers.
//!
//! Swarm keeps a service as it is described: a change is a new description, and the rollout is
//! Swarm's own, by the service's update settings. What is here writes descriptions and follows.
//!
//! - `raw`, `service`: descriptions as they are; `tasks`: what runs where
//! - `rollout`: following one to its end; `restart`, `scale`, `deploy`: the changes
//! - `versions`: what ran and what can run; `look`: logs, events, figures

mod deploy;
mod look;
mod raw;
mod restart;
mod rollout;
mod scale;
mod service;
mod tasks;
mod versions;

pub(super) use deploy::deploy;
pub(super) use look::{events, logs, stats};
pub(super) use restart::{outcome, restart};
pub(super) use scale::{scalable, scale};
pub(super) use versions::{deployable, versions};

use super::engine::Engine;
use service::Seen;
use treasury_domain::service::{Service, ServiceStatus};
use treasury_ports::platform::PlatformError;

/// Where a service runs on a Swarm: the line to a manager, and who it is for.
#[derive(Clone, Copy)]
pub(super) struct Swarm<'a> {
    pub(super) engine: &'a Engine,
    /// The catalogue's entry.
    pub(super) service: &'a Service,
    /// Its name in the Swarm.
    pub(super) name: &'a str,
}

/// The tasks of a service now.
pub(super) async fn status(swarm: Swarm<'_>) -> Result<ServiceStatus, PlatformError> {
    Ok(Seen::now(swarm).await?.status())
}

/// Why a service can't be cut off, in any case.
pub(super) fn no_isolation(swarm: Swarm<'_>) -> PlatformError {
    let name = swarm.name;
    PlatformError::Unsupported(format!(
        "Swarm would put a task that is cut off back into its networks: it can't be isolated and \
         keep running. Stop it with `docker service scale {name}=0` (logs first: `logs`), or take \
         it out of a network with `docker service update --network-rm NETWORK {name}`, which makes \
         its tasks anew"
    ))
}
