//! Containers, as the engine lists and describes them.

use std::collections::HashMap;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as State, ContainerSummary,
    EndpointSettings, HealthStatusEnum,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::connection::{Engine, optional};
use super::error::Result;
use treasury_domain::service::{Health, Replica, ReplicaState};

/// The most names that an error lists.
const MAX_NAMES: usize = 12;

/// A container of a service, as the engine's list shows it.
#[derive(Debug, Clone)]
pub struct ContainerRef {
    pub id: String,
    pub name: String,
    /// Its process runs (it may be frozen).
    pub running: bool,
}

impl ContainerRef {
    /// A container that is known by its id and name only, and is taken to run.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            running: true,
        }
    }

    /// A container that was looked at.
    pub fn described(facts: &ContainerInspectResponse) -> Self {
        Self::new(facts.id.clone().unwrap_or_default(), name(facts))
    }

    /// `None` for a container without a name of its own.
    pub fn listed(summary: ContainerSummary) -> Option<Self> {
        let names = summary.names.unwrap_or_default();
        // Links give a container further names such as `/other/alias`.
        let name = names.iter().map(|n| bare(n)).find(|n| !n.contains('/'))?;
        let running = matches!(summary.state?.to_string().as_str(), "running" | "paused");
        Some(Self {
            id: summary.id?,
            name: name.to_owned(),
            running,
        })
    }
}

/// The containers of this engine, those that do not run too, that pass the engine's own filters,
/// such as `label` with `name=value`.
pub async fn list(engine: &Engine, filters: &[(&str, &str)]) -> Result<Vec<ContainerSummary>> {
    let mut all: HashMap<&str, Vec<&str>> = HashMap::new();
    for (kind, value) in filters {
        all.entry(kind).or_default().push(value);
    }
    let options = ListContainersOptionsBuilder::default().all(true);
    let options = options.filters(&all).build();
    let call = engine.client()?.list_containers(Some(options));
    engine.query("the list of containers", call).await
}

/// A label of a listed container.
pub fn listed_label<'a>(summary: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    summary.labels.as_ref()?.get(name).map(String::as_str)
}

/// One container now; `None` if it is gone.
pub async fn replica(engine: &Engine, id: &str) -> Result<Option<Replica>> {
    Ok(inspect(engine, id).await?.map(|facts| to_replica(&facts)))
}

/// All that the engine knows of a container; `None` if it is gone.
pub async fn inspect(engine: &Engine, id: &str) -> Result<Option<ContainerInspectResponse>> {
    let options = None::<InspectContainerOptions>;
    let call = engine.client()?.inspect_container(id, options);
    engine.query("inspect", optional(call)).await
}

/// All that the engine knows of these containers, without those that are gone.
pub async fn inspect_all(
    engine: &Engine,
    containers: &[ContainerRef],
) -> Result<Vec<ContainerInspectResponse>> {
    let all = try_join_all(containers.iter().map(|one| inspect(engine, &one.id))).await?;
    Ok(all.into_iter().flatten().collect())
}

/// The replica in the words of every platform.
pub fn to_replica(facts: &ContainerInspectResponse) -> Replica {
    let nothing = ContainerState::default();
    let engine_state = facts.state.as_ref().unwrap_or(&nothing);
    let state = match engine_state.status {
        Some(State::RUNNING | State::STOPPING) => ReplicaState::Running,
        Some(State::CREATED) => ReplicaState::Created,
        Some(State::RESTARTING) => ReplicaState::Restarting,
        Some(State::PAUSED) => ReplicaState::Paused,
        Some(State::EXITED) => ReplicaState::Exited,
        Some(State::REMOVING | State::DEAD | State::EMPTY) | None => ReplicaState::Dead,
    };
    let health = engine_state.health.as_ref();
    let health = match health.and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::Unchecked,
    };
    // While a process runs, or before its first run, the engine shows zeros of no meaning.
    let ended = !matches!(
        state,
        ReplicaState::Running | ReplicaState::Paused | ReplicaState::Created
    );
    let image = image_name(facts).or(facts.image.as_ref());
    Replica {
        id: facts.id.clone().unwrap_or_default(),
        name: name(facts).to_owned(),
        state,
        health,
        started_at: time(engine_state.started_at.as_deref()),
        finished_at: time(engine_state.finished_at.as_deref()).filter(|_| ended),
        restarts: facts.restart_count.unwrap_or(0).try_into().unwrap_or(0),
        exit_code: engine_state.exit_code.filter(|_| ended),
        oom_killed: engine_state.oom_killed.unwrap_or(false),
        memory_limit_bytes: memory_limit(facts),
        image: image.cloned().unwrap_or_default(),
        node: None,
        note: None,
    }
}

/// The engine's word for no limit is 0.
fn memory_limit(facts: &ContainerInspectResponse) -> Option<u64> {
    let limit = facts.host_config.as_ref()?.memory?;
    limit.try_into().ok().filter(|limit| *limit > 0)
}

/// A container's name.
pub fn name(facts: &ContainerInspectResponse) -> &str {
    bare(facts.name.as_deref().unwrap_or_default())
}

/// A name without the slash that the engine puts before it.
fn bare(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// The image as it was named when the container was made.
pub fn image_name(facts: &ContainerInspectResponse) -> Option<&String> {
    facts.config.as_ref()?.image.as_ref()
}

/// A label of a container.
pub fn label<'a>(facts: &'a ContainerInspectResponse, name: &str) -> Option<&'a String> {
    facts.config.as_ref()?.labels.as_ref()?.get(name)
}

/// The mode of a container's network: a network's name or id, `host`, `none`, `container:ID`.
pub fn network_mode(facts: &ContainerInspectResponse) -> &str {
    let mode = facts
        .host_config
        .as_ref()
        .map(|host| host.network_mode.as_deref());
    mode.flatten().unwrap_or_default()
}

/// The networks that a container is in, by their names.
pub fn networks(
    facts: &ContainerInspectResponse,
) -> impl Iterator<Item = (&String, &EndpointSettings)> {
    let settings = facts.network_settings.iter();
    settings.flat_map(|settings| &settings.networks).flatten()
}

/// A container's place in the network of this name or id.
pub fn place_in<'a>(
    facts: &'a ContainerInspectResponse,
    network: &str,
) -> Option<&'a EndpointSettings> {
    let is_it = |(name, place): &(&String, &EndpointSettings)| {
        **name == network || place.network_id.as_deref() == Some(network)
    };
    networks(facts).find(is_it).map(|(_, place)| place)
}

/// A time of the engine; the year 1 is its word for never.
pub fn time(text: Option<&str>) -> Option<Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
    (time.as_second() > 0).then_some(time)
}

/// Some distinct names as text; `None` if there are none.
pub fn some_names<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let text = names.join(", ");
    match more {
        0 => Some(text).filter(|text| !text.is_empty()),
        more => Some(format!("{text} and {more} more")),
    }
}
