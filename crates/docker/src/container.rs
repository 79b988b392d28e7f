//! The steps that changes are made of: a container is made, started, stopped, renamed, removed.

use std::time::Duration;

use bollard::models::{EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};

use super::engine::{ACT, Engine};
use super::recipe::Recipe;
use super::wait;
use treasury_ports::platform::PlatformError;

/// Makes a container in all its networks and returns its id; one that can't be joined to them is
/// removed again.
pub(super) async fn make(engine: &Engine, recipe: Recipe) -> Result<String, PlatformError> {
    let name = recipe.name;
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let call = engine
        .client()?
        .create_container(Some(options), recipe.body);
    let made = engine.call(&format!("making {name}"), ACT, call).await?;
    for (network, endpoint) in recipe.networks {
        if let Err(error) = connect(engine, &made.id, &network, endpoint).await {
            return Err(give_up(engine, &made.id, &name, error).await);
        }
    }
    Ok(made.id)
}

/// Starts a container; one that runs already is left alone.
pub(super) async fn start(engine: &Engine, id: &str, name: &str) -> Result<(), PlatformError> {
    let call = engine
        .client()?
        .start_container(id, None::<StartContainerOptions>);
    engine
        .call(&format!("the start of {name}"), ACT, call)
        .await
}

/// Asks a container to end and kills it after `patience`; one that is gone or has ended is
/// left alone.
pub(super) async fn stop(
    engine: &Engine,
    id: &str,
    name: &str,
    patience: Duration,
) -> Result<(), PlatformError> {
    // The engine takes whole seconds, and needs some itself after it has killed a process.
    let limit = patience + ACT;
    let seconds = patience.as_secs().min(i32::MAX as u64) as i32;
    let options = StopContainerOptionsBuilder::default().t(seconds).build();
    let client = engine.patient_client(limit)?;
    let call = client.stop_container(id, Some(options));
    let what = format!("the stop of {name}");
    engine.call_if_there(&what, limit, call).await.map(drop)
}

/// Gives a container another name.
pub(super) async fn rename(
    engine: &Engine,
    id: &str,
    from: &str,
    to: &str,
) -> Result<(), PlatformError> {
    let options = RenameContainerOptionsBuilder::default().name(to).build();
    let call = engine.client()?.rename_container(id, options);
    let what = format!("the renaming of {from} to {to}");
    engine.call(&what, ACT, call).await
}

/// Joins a container to a network.
pub(super) async fn connect(
    engine: &Engine,
    id: &str,
    network: &str,
    endpoint: EndpointSettings,
) -> Result<(), PlatformError> {
    let request = NetworkConnectRequest {
        container: id.to_owned(),
        endpoint_config: Some(endpoint),
    };
    let call = engine.client()?.connect_network(network, request);
    let what = format!("the connection to {network}");
    engine.call(&what, ACT, call).await
}

/// Removes a container; `wholly` also by force and with its nameless volumes.
pub(super) async fn remove(
    engine: &Engine,
    id: &str,
    name: &str,
    wholly: bool,
) -> Result<(), PlatformError> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(wholly)
        .v(wholly)
        .build();
    let call = engine.client()?.remove_container(id, Some(options));
    let what = format!("the removal of {name}");
    engine.call_if_there(&what, ACT, call).await.map(drop)
}

/// Removes a new container that failed; the error tells of it.
pub(super) async fn give_up(
    engine: &Engine,
    id: &str,
    name: &str,
    error: PlatformError,
) -> PlatformError {
    match remove(engine, id, name, true).await {
        Ok(()) => wait::unwell(format!("{error}\n{name} was removed again")),
        Err(other) => wait::unwell(format!(
            "{error}\n{name} could not be removed again: {other}. Remove it with \
             `docker rm -f {name}`"
        )),
    }
}
