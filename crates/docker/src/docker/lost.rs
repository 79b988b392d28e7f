//! Containers that run in a network that is gone.

use bollard::models::ContainerInspectResponse;

use crate::engine::container::{network_mode, replica, to_replica};
use crate::engine::{Engine, Result};
use treasury_domain::service::{Health, Replica, ReplicaState};

/// A container as a replica. One whose network belonged to a run of another container that is over
/// runs and can't be reached: it is not well, whatever the engine says.
pub async fn seen(engine: &Engine, facts: &ContainerInspectResponse) -> Result<Replica> {
    let mut own = to_replica(facts);
    let named = network_mode(facts).strip_prefix("container:");
    let (Some(named), ReplicaState::Running) = (named, own.state) else {
        return Ok(own);
    };
    if let Some(why) = lost(&own, replica(engine, named).await?.as_ref()) {
        own.health = Health::Unhealthy;
        own.note = Some(format!("it has no network: {why}"));
    }
    Ok(own)
}

/// Why a container that uses the network of another one has none any more.
fn lost(replica: &Replica, other: Option<&Replica>) -> Option<String> {
    use ReplicaState as S;
    let Some(other) = other else {
        let name = &replica.name;
        return Some(format!(
            "the container whose network it used is gone; make it anew (`docker compose up -d`, or \
             `docker rm -f {name}` and `docker run`)"
        ));
    };
    let name = &other.name;
    match other.state {
        S::Exited | S::Dead | S::Created => Some(format!(
            "{name}, whose network it uses, does not run; start {name}, then restart this one"
        )),
        _ if other.started_at > replica.started_at => Some(format!(
            "{name}, whose network it used, was started after it; restart this one"
        )),
        _ => None,
    }
}
