//! From a service to its containers, and from a container to a replica.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as State, ContainerSummary,
    HealthStatusEnum,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::PLATFORM;
use super::engine::{ASK, Engine};
use treasury_domain::service::{Health, Replica, ReplicaState, Service, ServiceStatus, Target};
use treasury_ports::platform::PlatformError;
pub(super) use treasury_ports::text::by_name;

/// Compose's label for the name of the project.
pub(super) const PROJECT: &str = "com.docker.compose.project";
/// Compose's label for the name of the service.
pub(super) const SERVICE: &str = "com.docker.compose.service";
/// Compose's label for the number of the replica.
pub(super) const NUMBER: &str = "com.docker.compose.container-number";
/// Compose's label for the containers of `docker compose run`.
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Swarm's label for the name of the service.
const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
/// What the name of a container has at its end while another one takes its place.
const REPLACED: &str = "-treasury-bot-old";
/// The most names that an error lists.
const NAMES: usize = 12;

/// A container of a service, as the engine's list shows it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) name: String,
    /// Its process runs (it may be frozen).
    pub(super) running: bool,
}

/// The name under which a container waits until the one that takes its place is well.
pub(super) fn replaced(name: &str) -> String {
    format!("{name}{REPLACED}")
}

/// The name that a container had before it was to be replaced; `None` if it is not.
pub(super) fn before_replaced(name: &str) -> Option<&str> {
    name.strip_suffix(REPLACED)
}

/// The containers of a service in the order of their names; none at all is `NotFound`.
///
/// A container that another one has replaced is no replica; one that is to be replaced and whose
/// successor does not exist yet is all there is of its replica.
pub(super) async fn containers(
    engine: &Engine,
    service: &Service,
) -> Result<Vec<Found>, PlatformError> {
    let all = with_replaced(engine, service).await?;
    let succeeded = |one: &Found| {
        before_replaced(&one.name).is_some_and(|name| all.iter().any(|other| other.name == name))
    };
    Ok(all.iter().filter(|one| !succeeded(one)).cloned().collect())
}

/// Like [`containers`], with those that others have replaced.
pub(super) async fn with_replaced(
    engine: &Engine,
    service: &Service,
) -> Result<Vec<Found>, PlatformError> {
    let filter = match &service.target {
        Target::Compose {
            project, service, ..
        } => (
            "label",
            vec![
                format!("{PROJECT}={project}"),
                format!("{SERVICE}={service}"),
            ],
        ),
        Target::Container { name, .. } => ("name", vec![name.clone()]),
        // Those on this node.
        Target::Swarm { service, .. } => ("label", vec![format!("{SWARM_SERVICE}={service}")]),
        Target::Simulated { name } | Target::Kubernetes { name, .. } => {
            return Err(PlatformError::Unsupported(format!(
                "{name} does not run on Docker"
            )));
        }
    };
    let mut found: Vec<Found> = list(engine, Some(filter))
        .await?
        .into_iter()
        .filter(|summary| label(summary, ONE_OFF) != Some("True"))
        .filter_map(found)
        // The engine finds every name that contains the text.
        .filter(|one| {
            let own = before_replaced(&one.name).unwrap_or(&one.name);
            !matches!(&service.target, Target::Container { name, .. } if *name != one.name && name != own)
        })
        .collect();
    if matches!(service.target, Target::Swarm { .. }) {
        for one in &mut found {
            // The last part is the task's id, of no use to people.
            if let Some((place, _)) = one.name.rsplit_once('.') {
                one.name = place.to_owned();
            }
        }
    } else if found.is_empty() {
        return Err(missing(engine, &service.target).await?);
    }
    found.sort_by(|a, b| by_name(&a.name, &b.name));
    Ok(found)
}

/// The status of a service: its containers inspected all at once.
pub(super) async fn status(
    engine: &Engine,
    service: &Service,
) -> Result<ServiceStatus, PlatformError> {
    let found = containers(engine, service).await?;
    let replicas = try_join_all(found.iter().map(|one| replica(engine, &one.id))).await?;
    let replicas: Vec<Replica> = replicas.into_iter().flatten().collect();
    if replicas.is_empty() {
        return Err(missing(engine, &service.target).await?);
    }
    Ok(ServiceStatus {
        replicas,
        facts: Vec::new(),
    })
}

/// One container now; `None` if it is gone.
pub(super) async fn replica(engine: &Engine, id: &str) -> Result<Option<Replica>, PlatformError> {
    Ok(inspect(engine, id).await?.map(|facts| to_replica(&facts)))
}

/// All that the engine knows of a container; `None` if it is gone.
pub(super) async fn inspect(
    engine: &Engine,
    id: &str,
) -> Result<Option<ContainerInspectResponse>, PlatformError> {
    let call = engine
        .client()?
        .inspect_container(id, None::<InspectContainerOptions>);
    engine.call_if_there("inspect", ASK, call).await
}

/// The replica in the engine's words.
pub(super) fn to_replica(facts: &ContainerInspectResponse) -> Replica {
    let nothing = ContainerState::default();
    let state = facts.state.as_ref().unwrap_or(&nothing);
    let doing = match state.status {
        Some(State::RUNNING | State::STOPPING) => ReplicaState::Running,
        Some(State::CREATED) => ReplicaState::Created,
        Some(State::RESTARTING) => ReplicaState::Restarting,
        Some(State::PAUSED) => ReplicaState::Paused,
        Some(State::EXITED) => ReplicaState::Exited,
        Some(State::REMOVING | State::DEAD | State::EMPTY) | None => ReplicaState::Dead,
    };
    let health = match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::Unchecked,
    };
    // While a process runs, or before its first run, the engine shows zeros of no meaning.
    let ended = !matches!(
        doing,
        ReplicaState::Running | ReplicaState::Paused | ReplicaState::Created
    );
    let config = facts.config.as_ref();
    Replica {
        id: facts.id.clone().unwrap_or_default(),
        name: bare(facts.name.as_deref().unwrap_or_default()).to_owned(),
        state: doing,
        health,
        started_at: time(state.started_at.as_deref()),
        finished_at: time(state.finished_at.as_deref()).filter(|_| ended),
        restarts: facts
            .restart_count
            .and_then(|count| count.try_into().ok())
            .unwrap_or(0),
        exit_code: state.exit_code.filter(|_| ended),
        oom_killed: state.oom_killed.unwrap_or(false),
        image: config
            .and_then(|config| config.image.clone())
            .or_else(|| facts.image.clone())
            .unwrap_or_default(),
        node: None,
        note: None,
    }
}

/// A time between the run before the last start and that run; `None` if there was no run before,
/// as far as can be known.
///
/// The engine notes a start when the process already runs and may have written. So while it runs,
/// the end of the run before is taken, which the engine still knows.
pub(super) fn run_began(facts: &ContainerInspectResponse) -> Option<Timestamp> {
    const LATE: Duration = Duration::from_millis(50);
    let state = facts.state.as_ref()?;
    let started = time(state.started_at.as_deref())?;
    if state.running == Some(true) && state.restarting != Some(true) {
        let ended = time(state.finished_at.as_deref())?;
        // Last words are taken up a moment after the end.
        Some((ended + LATE).min(started))
    } else {
        Some(started - 2 * LATE)
    }
}

/// A time of the engine; the year 1 is its word for never.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?
        .parse()
        .ok()
        .filter(|time: &Timestamp| time.as_second() > 0)
}

/// A name without the slash that the engine puts before it.
fn bare(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

pub(super) fn label<'a>(summary: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    summary.labels.as_ref()?.get(name).map(String::as_str)
}

fn found(summary: ContainerSummary) -> Option<Found> {
    let names = summary.names.unwrap_or_default();
    // Links give a container further names such as `/other/alias`.
    let name = names.iter().map(|n| bare(n)).find(|n| !n.contains('/'))?;
    let running = summary
        .state
        .is_some_and(|state| matches!(state.to_string().as_str(), "running" | "paused"));
    Some(Found {
        id: summary.id?,
        name: name.to_owned(),
        running,
    })
}

pub(super) async fn list(
    engine: &Engine,
    filter: Option<(&str, Vec<String>)>,
) -> Result<Vec<ContainerSummary>, PlatformError> {
    let filters: HashMap<&str, Vec<String>> = filter.into_iter().collect();
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let call = engine.client()?.list_containers(Some(options));
    engine.call("the list of containers", ASK, call).await
}

/// The error that tells what there is instead of the container looked for.
async fn missing(engine: &Engine, target: &Target) -> Result<PlatformError, PlatformError> {
    let (what, hint) = match target {
        Target::Compose {
            project, service, ..
        } => {
            let all = list(
                engine,
                Some(("label", vec![format!("{PROJECT}={project}")])),
            )
            .await?;
            let services = all.iter().filter_map(|one| label(one, SERVICE));
            let hint = match names(services) {
                Some(names) => format!(
                    "the project {project} has: {names}. Name one of them in the catalogue, or \
                     start {service} with `docker compose up -d {service}`"
                ),
                None => format!(
                    "there is no container of the project {project}: start it with `docker \
                     compose up -d`, or mend its name in the catalogue"
                ),
            };
            let labels = format!("{PROJECT}={project} and {SERVICE}={service}");
            (format!("a container with the labels {labels}"), hint)
        }
        Target::Container { name, .. }
        | Target::Swarm { service: name, .. }
        | Target::Simulated { name }
        | Target::Kubernetes { name, .. } => {
            let all: Vec<Found> = list(engine, None)
                .await?
                .into_iter()
                .filter_map(found)
                .collect();
            let there = names(all.iter().map(|one| one.name.as_str()));
            let there = there.unwrap_or_else(|| "no containers at all".to_owned());
            let hint = format!("there are: {there}. Mend the container's name in the catalogue");
            (format!("the container {name}"), hint)
        }
    };
    Ok(PlatformError::NotFound {
        platform: PLATFORM,
        what,
        hint,
    })
}

/// Some distinct names as text.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let text = names.join(", ");
    match more {
        0 => Some(text).filter(|text| !text.is_empty()),
        more => Some(format!("{text} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_before_the_engine_notes_it() {
        let began = |running: bool, finished: &str| {
            let facts = serde_json::json!({"State": {
                "Running": running, "StartedAt": "2026-11-23T10:00:05Z", "FinishedAt": finished}});
            let facts = serde_json::from_value(facts).unwrap();
            run_began(&facts).map(|at| at.to_string())
        };
        let never = "0001-01-01T00:00:00Z";
        assert_eq!(began(true, never), None);
        let between = Some("2026-11-23T10:00:01.05Z".to_owned());
        assert_eq!(began(true, "2026-11-23T10:00:01Z"), between);
        let before = Some("2026-11-23T10:00:04.9Z".to_owned());
        assert_eq!(began(false, "2026-11-23T10:00:09Z"), before);
    }
}
