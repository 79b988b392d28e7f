//! What joins containers to the world: their places in networks.

use bollard::models::{ContainerInspectResponse, EndpointSettings};
use serde::{Deserialize, Serialize};

use super::find;
use super::spec::as_requested;
use crate::engine::container::{self, network_mode, networks};
use crate::engine::{Engine, Result, unsupported, unusable};
use treasury_domain::service::{Attachment, Service};

/// A container's place in a network, with all that is needed to join it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// The network's name.
    pub network: String,
    /// Its id; absent for a container that has never run.
    pub network_id: Option<String>,
    /// As it was requested: aliases, fixed addresses, links, options, priority.
    pub endpoint: EndpointSettings,
    /// The addresses that it had, fixed or not.
    pub ipv4: Option<String>,
    /// See `ipv4`.
    pub ipv6: Option<String>,
    /// See `ipv4`.
    pub mac: Option<String>,
}

/// The places of all containers of a service, in the order of their names.
pub async fn attachments(engine: &Engine, service: &Service) -> Result<Vec<Attachment>> {
    let mut attachments = Vec::new();
    for facts in find::described(engine, service).await? {
        if let Some(why) = refusal(&facts) {
            return Err(unsupported(why));
        }
        let name = container::name(&facts);
        for membership in memberships(&facts) {
            let to = format!("network {}", membership.network);
            let recorded = serde_json::to_value(membership);
            let what = format!("a network of {name} that can't be recorded");
            let detail = recorded.map_err(unusable(what))?;
            attachments.push(Attachment {
                id: facts.id.clone().unwrap_or_default(),
                replica: name.to_owned(),
                to,
                detail,
            });
        }
    }
    Ok(attachments)
}

/// Why a container can't be cut off, if it can't.
fn refusal(facts: &ContainerInspectResponse) -> Option<String> {
    let name = container::name(facts);
    let why = match network_mode(facts) {
        "host" => "shares the host's network, which can't be cut for it alone",
        "none" => "has no network that could be cut",
        mode if mode.starts_with("container:") => {
            "shares another container's network: isolate that one"
        }
        _ => return None,
    };
    Some(format!(
        "{name} {why}. `docker pause {name}` freezes it, with its memory for an examination"
    ))
}

/// The memberships of a container, that in the network that it was made in first.
fn memberships(facts: &ContainerInspectResponse) -> Vec<Membership> {
    let id = facts.id.as_deref().unwrap_or_default();
    let mode = network_mode(facts);
    let mut all: Vec<Membership> = networks(facts)
        .map(|(network, endpoint)| Membership::new(network.clone(), endpoint.clone(), id))
        .collect();
    all.sort_by_cached_key(|one| {
        let first = one.network == mode || one.network_id.as_deref() == Some(mode);
        (!first, one.network.clone())
    });
    all
}

impl Membership {
    fn new(network: String, mut old: EndpointSettings, id: &str) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            network,
            network_id: filled(old.network_id.take()),
            ipv4: filled(old.ip_address.take()),
            ipv6: filled(old.global_ipv6_address.take()),
            mac: filled(old.mac_address.take()),
            endpoint: as_requested(old, id),
        }
    }

    /// The container is in this network.
    pub fn holds(&self, facts: &ContainerInspectResponse) -> bool {
        networks(facts).any(|(name, endpoint)| {
            let id = endpoint.network_id.as_deref().filter(|id| !id.is_empty());
            match (id, self.network_id.as_deref()) {
                (Some(id), Some(wanted)) => id == wanted,
                // A container that has never run does not show ids.
                _ => *name == self.network,
            }
        })
    }
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
        let all = memberships(&facts());
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
        assert_eq!(serde_json::from_value::<Membership>(text).unwrap(), *back);
    }

    #[test]
    fn a_network_of_the_same_name_is_not_the_same_network() {
        let facts = facts();
        let mut all = memberships(&facts);
        assert!(all.iter().all(|place| place.holds(&facts)));
        all[1].network_id = Some("b2".into());
        assert!(!all[1].holds(&facts));
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
