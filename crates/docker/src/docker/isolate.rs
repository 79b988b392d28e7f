//! Cutting containers off from their networks, and joining them again.

use bollard::models::{
    ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, NetworkDisconnectRequest,
};

use super::attachments::Membership;
use super::spec::DEFAULT_NETWORKS;
use super::steps;
use crate::engine::container::{inspect, networks};
use crate::engine::{Engine, Result, all_well, not_found, optional, unusable};
use treasury_domain::service::Attachment;
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Cuts the attachments that still hold.
pub async fn isolate(engine: &Engine, all: &[Attachment], progress: &ProgressSink) -> Result<()> {
    for (done, attachment) in (1..).zip(all) {
        let Attachment {
            id, replica, to, ..
        } = attachment;
        let membership = membership(attachment)?;
        let line = match inspect(engine, id).await? {
            None => format!("{replica}: is gone"),
            Some(facts) if !membership.holds(&facts) => {
                format!("{replica}: is not in {to} any more")
            }
            Some(_) => {
                cut(engine, attachment, &membership).await?;
                format!("{replica}: cut off from {to}")
            }
        };
        progress.report(done, all.len() as u32, line);
    }
    Ok(())
}

async fn cut(engine: &Engine, attachment: &Attachment, membership: &Membership) -> Result<()> {
    let Attachment {
        id, replica, to, ..
    } = attachment;
    let network = membership
        .network_id
        .as_deref()
        .unwrap_or(&membership.network);
    let request = NetworkDisconnectRequest {
        container: id.clone(),
        force: Some(false),
    };
    let call = engine.client()?.disconnect_network(network, request);
    let what = format!("the cut of {replica} from {to}");
    match engine.change(&what, call).await {
        Ok(()) => Ok(()),
        // Somebody else was faster, or the engine did it without an answer in time.
        Err(error) => match inspect(engine, id).await? {
            Some(facts) if membership.holds(&facts) => Err(error),
            _ => Ok(()),
        },
    }
}

/// Joins again what is not joined. One that can't be joined does not keep the others from it.
pub async fn release(engine: &Engine, all: &[Attachment], progress: &ProgressSink) -> Result<()> {
    let mut failed = Vec::new();
    for (done, attachment) in (1..).zip(all) {
        let Attachment {
            id, replica, to, ..
        } = attachment;
        let membership = membership(attachment)?;
        let line = match inspect(engine, id).await? {
            None => format!("{replica}: is gone, so {to} is left out"),
            Some(facts) if membership.holds(&facts) => format!("{replica}: is in {to} already"),
            Some(_) => match join(engine, attachment, &membership).await {
                Ok(new) => format!("{replica}: joined to {to} again{new}"),
                Err(error) => {
                    let line = format!("{replica}: not joined to {to}: {error}");
                    failed.push(error);
                    line
                }
            },
        };
        progress.report(done, all.len() as u32, line);
    }
    all_well(failed)
}

/// Joins a container again and returns what is not as before, to be put behind a sentence.
async fn join(engine: &Engine, attachment: &Attachment, membership: &Membership) -> Result<String> {
    let id = &attachment.id;
    let (network, note) = network(engine, attachment, membership).await?;
    let requested = if DEFAULT_NETWORKS.contains(&membership.network.as_str()) {
        EndpointSettings::default()
    } else {
        with_addresses(membership)
    };
    if let Err(error) = steps::connect(engine, id, &network, requested).await {
        let fixed = membership.endpoint.ipam_config.is_some();
        let had = membership.ipv4.is_some() || membership.ipv6.is_some();
        let refused = matches!(
            error,
            PlatformError::Failed { .. } | PlatformError::Denied { .. }
        );
        // An address that was never asked for is asked for in vain on a network without a subnet
        // of its own, and another container may have got it meanwhile.
        if fixed || !had || !refused {
            return Err(error);
        }
        steps::connect(engine, id, &network, membership.endpoint.clone()).await?;
    }
    let facts = inspect(engine, id).await?;
    let now = facts.and_then(|facts| current_endpoint(&facts, membership, &network));
    let now = now.unwrap_or_default();
    let changed = [
        (&membership.ipv4, now.ip_address),
        (&membership.ipv6, now.global_ipv6_address),
    ];
    let news = changed.into_iter().filter_map(|(had, has)| {
        // One that does not run gets its addresses when it starts.
        let (had, has) = (had.as_ref()?, has.filter(|has| !has.is_empty())?);
        (has != *had).then(|| format!("; its address is new: {has}, was {had}"))
    });
    Ok(format!("{note}{}", news.collect::<String>()))
}

/// The network to join, by its id; or the one that has its name now.
async fn network(
    engine: &Engine,
    attachment: &Attachment,
    membership: &Membership,
) -> Result<(String, &'static str)> {
    let (id, name) = (membership.network_id.as_ref(), &membership.network);
    for key in id.into_iter().chain([name]) {
        let call = engine.client()?.inspect_network(key, None);
        let found = engine.query("the network", optional(call)).await?;
        if let Some(found) = found.and_then(|network| network.id) {
            let anew = key == name && id.is_some_and(|old| *old != found);
            return Ok((
                found,
                if anew {
                    " (the network was made anew)"
                } else {
                    ""
                },
            ));
        }
    }
    Err(not_found(
        &attachment.to,
        format!(
            "it was removed meanwhile: make it with `docker compose up --no-start` (or `docker \
             network create {name}`) and release again"
        ),
    ))
}

/// The place as it was asked for, with the addresses that it had.
fn with_addresses(membership: &Membership) -> EndpointSettings {
    let mut requested = membership.endpoint.clone();
    let had = EndpointIpamConfig {
        ipv4_address: membership.ipv4.clone(),
        ipv6_address: membership.ipv6.clone(),
        ..EndpointIpamConfig::default()
    };
    if requested.ipam_config.is_none() && had != EndpointIpamConfig::default() {
        requested.ipam_config = Some(had);
    }
    // Newer engines must be asked for the same one, see the crate's head.
    requested.mac_address.clone_from(&membership.mac);
    requested
}

/// The place that a container has in a network now.
fn current_endpoint(
    facts: &ContainerInspectResponse,
    membership: &Membership,
    network: &str,
) -> Option<EndpointSettings> {
    let is_it = |(name, one): &(&String, &EndpointSettings)| {
        one.network_id.as_deref() == Some(network) || **name == membership.network
    };
    networks(facts).find(is_it).map(|(_, one)| one.clone())
}

fn membership(attachment: &Attachment) -> Result<Membership> {
    let Attachment { replica, to, .. } = attachment;
    let what = format!("the record of {to} of {replica} can't be read");
    serde_json::from_value(attachment.detail.clone()).map_err(unusable(what))
}
