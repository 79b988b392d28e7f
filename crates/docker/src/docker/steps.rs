//! The steps that changes are made of: a container is made, started, stopped, renamed, removed.

use std::time::Duration;

use bollard::models::{EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, RestartContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};

use serde_json::Value;

use super::spec::ContainerSpec;
use crate::engine::{
    CHANGE_LIMIT, ContainerRef, Engine, Result, json_api, optional, unusable, unwell,
};
use treasury_domain::service::{Patience, Service};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// A change of a service: what it is done with, how long it may take, and who hears of its steps.
pub struct Change<'a> {
    pub engine: &'a Engine,
    pub service: &'a Service,
    pub patience: Patience,
    pub progress: &'a ProgressSink,
}

/// Makes a container in all its networks; one that can't be joined to them is removed again.
pub async fn make(engine: &Engine, spec: ContainerSpec) -> Result<ContainerRef> {
    let name = spec.name;
    let what = format!("making {name}");
    let mut body = serde_json::to_value(spec.body).map_err(unusable(&what))?;
    if let Some(body) = body.as_object_mut() {
        body.extend(spec.config);
    }
    if let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut) {
        host.extend(spec.host);
    }
    let path = format!("/containers/create?name={name}");
    let answer = json_api::post(engine, &what, &path, &body).await?;
    let id = answer["Id"].as_str().unwrap_or_default();
    let made = ContainerRef::new(id, name);
    for (network, endpoint) in spec.networks {
        if let Err(error) = connect(engine, &made.id, &network, endpoint).await {
            return Err(give_up(engine, &made, error).await);
        }
    }
    Ok(made)
}

/// Starts a container; one that runs already is left alone.
pub async fn start(engine: &Engine, one: &ContainerRef) -> Result<()> {
    let client = engine.client()?;
    let call = client.start_container(&one.id, None::<StartContainerOptions>);
    let what = format!("the start of {}", one.name);
    engine.change(&what, call).await
}

/// Asks a container to end, kills it after `patience`, and starts it again.
pub async fn restart(engine: &Engine, one: &ContainerRef, patience: Duration) -> Result<()> {
    let (seconds, limit) = ending_within(patience);
    let options = RestartContainerOptionsBuilder::default().t(seconds).build();
    let client = engine.patient_client(limit)?;
    let call = client.restart_container(&one.id, Some(options));
    let what = format!("the restart of {}", one.name);
    engine.call(&what, limit, call).await
}

/// Asks a container to end and kills it after `patience`; one that is gone or has ended is
/// left alone.
pub async fn stop(engine: &Engine, one: &ContainerRef, patience: Duration) -> Result<()> {
    let (seconds, limit) = ending_within(patience);
    let options = StopContainerOptionsBuilder::default().t(seconds).build();
    let client = engine.patient_client(limit)?;
    let call = client.stop_container(&one.id, Some(options));
    let what = format!("the stop of {}", one.name);
    engine.call(&what, limit, optional(call)).await.map(drop)
}

/// The seconds that a process is given to end, and how long the call may take: the engine takes
/// whole seconds, and needs some itself after it has killed a process.
fn ending_within(patience: Duration) -> (i32, Duration) {
    let seconds = patience.as_secs().min(i32::MAX as u64) as i32;
    (seconds, patience + CHANGE_LIMIT)
}

/// Gives a container another name.
pub async fn rename(engine: &Engine, one: &ContainerRef, to: &str) -> Result<ContainerRef> {
    let options = RenameContainerOptionsBuilder::default().name(to).build();
    let call = engine.client()?.rename_container(&one.id, options);
    let what = format!("the renaming of {} to {to}", one.name);
    engine.change(&what, call).await?;
    Ok(ContainerRef::new(&one.id, to))
}

/// Joins a container to a network.
pub async fn connect(
    engine: &Engine,
    id: &str,
    network: &str,
    endpoint: EndpointSettings,
) -> Result<()> {
    let request = NetworkConnectRequest {
        container: id.to_owned(),
        endpoint_config: Some(endpoint),
    };
    let call = engine.client()?.connect_network(network, request);
    let what = format!("the connection to {network}");
    engine.change(&what, call).await
}

/// Removes a container; `wholly` also by force and with its nameless volumes.
pub async fn remove(engine: &Engine, one: &ContainerRef, wholly: bool) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(wholly);
    let options = options.v(wholly).build();
    let call = engine.client()?.remove_container(&one.id, Some(options));
    let what = format!("the removal of {}", one.name);
    engine.change(&what, optional(call)).await.map(drop)
}

/// Removes a new container that failed; the error tells of it.
pub async fn give_up(engine: &Engine, one: &ContainerRef, error: PlatformError) -> PlatformError {
    let name = &one.name;
    unwell(match remove(engine, one, true).await {
        Ok(()) => format!("{error}\n{name} was removed again"),
        Err(other) => format!(
            "{error}\n{name} could not be removed again: {other}. Remove it with `docker rm -f \
             {name}`"
        ),
    })
}
