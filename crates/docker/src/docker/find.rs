//! From a service to its containers.

use bollard::models::ContainerInspectResponse;
use futures_util::future::try_join_all;

use super::lost;
use crate::engine::container::{inspect_all, list, listed_label, some_names};
use crate::engine::{ContainerRef, Engine, Result, not_found, unsupported};
use treasury_domain::service::{Service, ServiceStatus, Target};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;

/// Compose's label for the name of the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Compose's label for the name of the service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Compose's label for the number of the replica.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Compose's label for the services that this one waits for: `db:service_healthy:false,…`.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Compose's label for the containers of `docker compose run`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// What the name of a container has at its end while another one takes its place.
const REPLACED: &str = "-treasury-bot-old";

/// The name under which a container waits until the one that takes its place is well.
pub fn replaced(name: &str) -> String {
    format!("{name}{REPLACED}")
}

/// The name that a container had before it was to be replaced; `None` if it is not.
pub fn before_replaced(name: &str) -> Option<&str> {
    name.strip_suffix(REPLACED)
}

/// The containers of a service in the order of their names; none at all is `NotFound`.
///
/// A container that another one has replaced is no replica; one that is to be replaced and whose
/// successor does not exist yet is all there is of its replica.
pub async fn containers(engine: &Engine, service: &Service) -> Result<Vec<ContainerRef>> {
    let all = with_replaced(engine, service).await?;
    let succeeded = |one: &ContainerRef| {
        before_replaced(&one.name).is_some_and(|name| all.iter().any(|other| other.name == name))
    };
    Ok(all.iter().filter(|one| !succeeded(one)).cloned().collect())
}

/// The containers of a service as the engine describes them, in the order of their names.
pub async fn described(
    engine: &Engine,
    service: &Service,
) -> Result<Vec<ContainerInspectResponse>> {
    inspect_all(engine, &containers(engine, service).await?).await
}

/// Like [`containers`], with those that others have replaced.
pub async fn with_replaced(engine: &Engine, service: &Service) -> Result<Vec<ContainerRef>> {
    let (listed, named) = match &service.target {
        Target::Compose {
            project, service, ..
        } => {
            let (project, service) = (
                format!("{PROJECT}={project}"),
                format!("{SERVICE}={service}"),
            );
            (
                list(engine, &[("label", &project), ("label", &service)]).await?,
                None,
            )
        }
        Target::Container { name, .. } => (list(engine, &[("name", name)]).await?, Some(name)),
        _ => {
            return Err(unsupported(format!(
                "{} does not run on Docker",
                service.name
            )));
        }
    };
    // The engine finds every name that contains the text.
    let has_name = |one: &ContainerRef| {
        let own = before_replaced(&one.name).unwrap_or(&one.name);
        named.is_none_or(|name| *name == one.name || name == own)
    };
    let listed = listed.into_iter();
    let listed = listed.filter(|summary| listed_label(summary, ONE_OFF) != Some("True"));
    let mut found: Vec<_> = listed
        .filter_map(ContainerRef::listed)
        .filter(has_name)
        .collect();
    if found.is_empty() {
        return Err(missing(engine, service).await?);
    }
    found.sort_by(|a, b| by_name(&a.name, &b.name));
    Ok(found)
}

/// The status of a service: its containers inspected all at once.
pub async fn status(engine: &Engine, service: &Service) -> Result<ServiceStatus> {
    let facts = described(engine, service).await?;
    if facts.is_empty() {
        return Err(missing(engine, service).await?);
    }
    let looked_at = facts.iter().map(|facts| lost::seen(engine, facts));
    let replicas = try_join_all(looked_at).await?;
    Ok(ServiceStatus {
        replicas,
        ..ServiceStatus::default()
    })
}

/// The error that tells what there is instead of the container looked for.
async fn missing(engine: &Engine, service: &Service) -> Result<PlatformError> {
    let Target::Compose {
        project, service, ..
    } = &service.target
    else {
        let all = list(engine, &[]).await?.into_iter();
        let all: Vec<ContainerRef> = all.filter_map(ContainerRef::listed).collect();
        let there = some_names(all.iter().map(|one| one.name.as_str()));
        let there = there.unwrap_or_else(|| "no containers at all".to_owned());
        let hint = format!("there are: {there}. Correct the container's name in the configuration");
        let name = match &service.target {
            Target::Container { name, .. } => name,
            _ => service.name.as_str(),
        };
        return Ok(not_found(format!("the container {name}"), hint));
    };
    let all = list(engine, &[("label", &format!("{PROJECT}={project}"))]).await?;
    let hint = match some_names(all.iter().filter_map(|one| listed_label(one, SERVICE))) {
        Some(names) => format!(
            "the project {project} has: {names}. Name one of them in the configuration, or start \
             {service} with `docker compose up -d {service}`"
        ),
        None => format!(
            "there is no container of the project {project}: start it with `docker compose up -d`, \
             or correct its name in the configuration"
        ),
    };
    let what = format!("a container with the labels {PROJECT}={project} and {SERVICE}={service}");
    Ok(not_found(what, hint))
}
