//! What joins containers to the world: their places in networks.

use bollard::models::{ContainerInspectResponse, EndpointIpamConfig, EndpointSettings};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::PLATFORM;
use super::engine::Engine;
use super::successor::aliases;
use super::{find, recipe};
use treasury_domain::service::{Attachment, Service};
use treasury_ports::platform::PlatformError;

/// A container's place in a network, with all that is needed to join it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The network's name.
    pub(super) network: String,
    /// Its id; absent for a container that has never run.
    pub(super) network_id: Option<String>,
    /// As it was asked for: aliases, fixed addresses, links, options, priority.
    pub(super) endpoint: EndpointSettings,
    /// The addresses that it had, fixed or not.
    pub(super) ipv4: Option<String>,
    /// See `ipv4`.
    pub(super) ipv6: Option<String>,
    /// See `ipv4`.
    pub(super) mac: Option<String>,
}

/// The places of all containers of a service, in the order of their names.
pub(super) async fn attachments(
    engine: &Engine,
    service: &Service,
) -> Result<Vec<Attachment>, PlatformError> {
    let found = find::containers(engine, service).await?;
    let facts = try_join_all(found.iter().map(|one| find::inspect(engine, &one.id))).await?;
    let mut attachments = Vec::new();
    for facts in facts.into_iter().flatten() {
        let name = recipe::bare_name(&facts).to_owned();
        if let Some(why) = refusal(&facts) {
            return Err(PlatformError::Unsupported(why));
        }
        let id = facts.id.clone().unwrap_or_default();
        for place in places(&facts) {
            let to = format!("network {}", place.network);
            let detail = serde_json::to_value(place).map_err(|error| PlatformError::Failed {
                platform: PLATFORM,
                message: format!("a network of {name} that can't be recorded: {error}"),
                source: Some(Box::new(error)),
            })?;
            attachments.push(Attachment {
                id: id.clone(),
                replica: name.clone(),
                to,
                detail,
            });
        }
    }
    Ok(attachments)
}

/// Why a container can't be cut off, if it can't.
fn refusal(facts: &ContainerInspectResponse) -> Option<String> {
    let name = recipe::bare_name(facts);
    let mode = facts.host_config.as_ref()?.network_mode.as_deref()?;
    let why = match mode {
        "host" => "shares the host's network, which can't be cut for it alone",
        "none" => "has no network that could be cut",
        _ if mode.starts_with("container:") => {
            "shares another container's network: isolate that one"
        }
        _ => return None,
    };
    Some(format!(
        "{name} {why}. `docker pause {name}` freezes it, with its memory for an examination"
    ))
}

/// The places of a container, the network that it was made in first.
fn places(facts: &ContainerInspectResponse) -> Vec<Place> {
    let id = facts.id.as_deref().unwrap_or_default();
    let mode = facts
        .host_config
        .as_ref()
        .and_then(|host| host.network_mode.as_deref())
        .unwrap_or_default();
    let networks = facts.network_settings.as_ref();
    let networks = networks.and_then(|all| all.networks.clone());
    let mut places: Vec<Place> = networks
        .unwrap_or_default()
        .into_iter()
        .map(|(network, endpoint)| place(network, endpoint, id))
        .collect();
    places.sort_by(|a, b| {
        let first =
            |place: &Place| place.network == mode || place.network_id.as_deref() == Some(mode);
        let first = first(b).cmp(&first(a));
        first.then_with(|| a.network.cmp(&b.network))
    });
    places
}

fn place(network: String, old: EndpointSettings, id: &str) -> Place {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    Place {
        network,
        network_id: filled(old.network_id),
        endpoint: EndpointSettings {
            aliases: aliases(old.aliases, id),
            ipam_config: old
                .ipam_config
                .filter(|fixed| *fixed != EndpointIpamConfig::default()),
            links: old.links,
            driver_opts: old.driver_opts,
            gw_priority: old.gw_priority,
            ..EndpointSettings::default()
        },
        ipv4: filled(old.ip_address),
        ipv6: filled(old.global_ipv6_address),
        mac: filled(old.mac_address),
    }
}

/// The name or id by which a container's membership of this network shows.
pub(super) fn is_joined(facts: &ContainerInspectResponse, place: &Place) -> bool {
    let networks = facts.network_settings.as_ref();
    let networks = networks.and_then(|all| all.networks.as_ref());
    networks.is_some_and(|networks| {
        networks.iter().any(|(name, endpoint)| {
            let id = endpoint.network_id.as_deref().filter(|id| !id.is_empty());
            match (id, place.network_id.as_deref()) {
                (Some(id), Some(wanted)) => id == wanted,
                // A container that has never run does not show ids.
                _ => *name == place.network,
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn facts() -> ContainerInspectResponse {
        serde_json::from_value(serde_json::json!({
            "Id": ID, "Name": "/web-1", "HostConfig": {"NetworkMode": "front"},
            "NetworkSettings": {"Networks": {
                "back": {"NetworkID": "b1", "Aliases": ["web", &ID[..12]], "IPAddress": "10.0.0.9",
                         "MacAddress": "02:42", "GlobalIPv6Address": "", "IPAMConfig": {}},
                "front": {"NetworkID": "", "IPAMConfig": {"IPv4Address": "10.1.0.9"}}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_place_is_recorded_as_it_was_asked_for_and_as_it_was() {
        let all = places(&facts());
        assert_eq!(
            all[0].network, "front",
            "the one it was made in comes first"
        );
        assert!(all[0].endpoint.ipam_config.is_some());
        assert_eq!((&all[0].network_id, &all[0].ipv4), (&None, &None));
        let back = &all[1];
        assert_eq!(back.endpoint.aliases.as_deref().unwrap(), ["web"]);
        assert_eq!(back.endpoint.ipam_config, None);
        assert_eq!(back.endpoint.mac_address, None);
        let had = [&back.ipv4, &back.mac].map(|text| text.as_deref().unwrap());
        assert_eq!((had, &back.ipv6), (["10.0.0.9", "02:42"], &None));
        let text = serde_json::to_value(back).unwrap();
        assert_eq!(serde_json::from_value::<Place>(text).unwrap(), *back);
    }

    #[test]
    fn a_network_of_the_same_name_is_not_the_same_network() {
        let facts = facts();
        let mut all = places(&facts);
        assert!(all.iter().all(|place| is_joined(&facts, place)));
        all[1].network_id = Some("b2".into());
        assert!(!is_joined(&facts, &all[1]));
    }

    #[test]
    fn what_has_no_network_of_its_own_is_refused_with_a_mend() {
        for (mode, word) in [
            ("host", "host's"),
            ("none", "no network"),
            ("container:x", "another"),
        ] {
            let mut facts = facts();
            facts.host_config.as_mut().unwrap().network_mode = Some(mode.into());
            let why = refusal(&facts).unwrap();
            assert!(
                why.contains(word) && why.contains("docker pause web-1"),
                "{why}"
            );
        }
        assert_eq!(refusal(&facts()), None);
    }
}
