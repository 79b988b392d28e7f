//! Cutting containers off from their networks, and joining them again.

use bollard::models::NetworkDisconnectRequest;
use bollard::models::{ContainerInspectResponse, EndpointIpamConfig, EndpointSettings};

use super::PLATFORM;
use super::attachments::{Place, is_joined};
use super::container;
use super::engine::{ACT, ASK, Engine};
use super::recipe::PLAIN;
use super::{find, wait};
use treasury_domain::service::{Attachment, Service, ServiceStatus};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Cuts the ties that still hold.
pub(super) async fn isolate(
    engine: &Engine,
    service: &Service,
    attachments: &[Attachment],
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let total = attachments.len() as u32;
    for (done, attachment) in (0..).zip(attachments) {
        let place = place(attachment)?;
        let line = match find::inspect(engine, &attachment.id).await? {
            None => format!("{}: is gone", attachment.replica),
            Some(facts) if !is_joined(&facts, &place) => {
                format!(
                    "{}: is not in {} any more",
                    attachment.replica, attachment.to
                )
            }
            Some(_) => {
                cut(engine, attachment, &place).await?;
                format!("{}: cut off from {}", attachment.replica, attachment.to)
            }
        };
        progress.report(done + 1, total, line);
    }
    find::status(engine, service).await
}

async fn cut(engine: &Engine, attachment: &Attachment, place: &Place) -> Result<(), PlatformError> {
    let network = place.network_id.as_deref().unwrap_or(&place.network);
    let request = NetworkDisconnectRequest {
        container: attachment.id.clone(),
        force: Some(false),
    };
    let call = engine.client()?.disconnect_network(network, request);
    let what = format!("the cut of {} from {}", attachment.replica, attachment.to);
    match engine.call(&what, ACT, call).await {
        Ok(()) => Ok(()),
        // Somebody else was faster, or the engine did it without an answer in time.
        Err(error) => match find::inspect(engine, &attachment.id).await? {
            Some(facts) if is_joined(&facts, place) => Err(error),
            _ => Ok(()),
        },
    }
}

/// Joins again what is not joined. One that can't be joined does not keep the others from it.
pub(super) async fn release(
    engine: &Engine,
    service: &Service,
    attachments: &[Attachment],
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let total = attachments.len() as u32;
    let mut failed = Vec::new();
    for (done, attachment) in (0..).zip(attachments) {
        let name = &attachment.replica;
        let place = place(attachment)?;
        let line = match find::inspect(engine, &attachment.id).await? {
            None => format!("{name}: is gone, so {} is left out", attachment.to),
            Some(facts) if is_joined(&facts, &place) => {
                format!("{name}: is in {} already", attachment.to)
            }
            Some(_) => match join(engine, attachment, &place).await {
                Ok(new) => format!("{name}: joined to {} again{new}", attachment.to),
                Err(error) => {
                    let line = format!("{name}: not joined to {}: {error}", attachment.to);
                    failed.push(error);
                    line
                }
            },
        };
        progress.report(done + 1, total, line);
    }
    wait::all_well(failed)?;
    find::status(engine, service).await
}

/// Joins a container again and returns what is not as before, to be put behind a sentence.
async fn join(
    engine: &Engine,
    attachment: &Attachment,
    place: &Place,
) -> Result<String, PlatformError> {
    let (network, note) = network(engine, attachment, place).await?;
    let plain = PLAIN.contains(&place.network.as_str());
    let asked = if plain {
        EndpointSettings::default()
    } else {
        with_addresses(place)
    };
    let joined = container::connect(engine, &attachment.id, &network, asked).await;
    if let Err(error) = joined {
        let fixed = place.endpoint.ipam_config.is_some();
        let had = place.ipv4.is_some() || place.ipv6.is_some();
        // An address that was never asked for is asked for in vain on a network without a subnet
        // of its own, and another container may have got it meanwhile.
        if fixed
            || !had
            || !matches!(
                error,
                PlatformError::Failed { .. } | PlatformError::Denied { .. }
            )
        {
            return Err(error);
        }
        let asked = place.endpoint.clone();
        container::connect(engine, &attachment.id, &network, asked).await?;
    }
    let facts = find::inspect(engine, &attachment.id).await?;
    let (v4, v6) = facts.map_or((None, None), |facts| addresses(&facts, place, &network));
    let news: Vec<String> = [(&place.ipv4, v4), (&place.ipv6, v6)]
        .into_iter()
        .filter_map(|(had, has)| {
            let had = had.as_ref()?;
            // One that does not run gets its addresses when it starts.
            let has = has.filter(|has| has != had)?;
            Some(format!("; its address is new: {has}, was {had}"))
        })
        .collect();
    Ok(format!("{note}{}", news.concat()))
}

/// The network to join, by its id; or the one that has its name now.
async fn network(
    engine: &Engine,
    attachment: &Attachment,
    place: &Place,
) -> Result<(String, &'static str), PlatformError> {
    for (key, note) in [
        (place.network_id.as_ref(), ""),
        (Some(&place.network), " (the network was made anew)"),
    ] {
        let Some(key) = key else { continue };
        let call = engine.client()?.inspect_network(key, None);
        let found = engine.call_if_there("the network", ASK, call).await?;
        if let Some(id) = found.and_then(|network| network.id) {
            let anew = place.network_id.as_ref().is_some_and(|old| *old != id);
            return Ok((id, if anew { note } else { "" }));
        }
    }
    let network = &place.network;
    Err(PlatformError::NotFound {
        platform: PLATFORM,
        what: attachment.to.clone(),
        hint: format!(
            "it was removed meanwhile: make it with `docker compose up --no-start` (or `docker \
             network create {network}`) and release again"
        ),
    })
}

/// The place as it was asked for, with the addresses that it had.
fn with_addresses(place: &Place) -> EndpointSettings {
    let mut asked = place.endpoint.clone();
    let had = EndpointIpamConfig {
        ipv4_address: place.ipv4.clone(),
        ipv6_address: place.ipv6.clone(),
        ..EndpointIpamConfig::default()
    };
    if asked.ipam_config.is_none() && had != EndpointIpamConfig::default() {
        asked.ipam_config = Some(had);
    }
    // Older engines make the same one of the address, newer ones must be asked for it.
    asked.mac_address.clone_from(&place.mac);
    asked
}

/// The addresses that a container has in a network now.
fn addresses(
    facts: &ContainerInspectResponse,
    place: &Place,
    network: &str,
) -> (Option<String>, Option<String>) {
    let all = facts.network_settings.as_ref();
    let all = all.and_then(|all| all.networks.as_ref());
    let found = all.and_then(|all| {
        all.iter().find(|(name, one)| {
            one.network_id.as_deref() == Some(network) || **name == place.network
        })
    });
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    found.map_or((None, None), |(_, one)| {
        (filled(&one.ip_address), filled(&one.global_ipv6_address))
    })
}

fn place(attachment: &Attachment) -> Result<Place, PlatformError> {
    serde_json::from_value(attachment.detail.clone()).map_err(|error| PlatformError::Failed {
        platform: PLATFORM,
        message: format!(
            "the record of {} of {} can't be read: {error}",
            attachment.to, attachment.replica
        ),
        source: Some(Box::new(error)),
    })
}
