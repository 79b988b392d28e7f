//! What a new container is made of: the configuration and the networks of another one.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig, EndpointSettings,
    HostConfig, NetworkingConfig,
};

use super::find::NUMBER;
use crate::engine::{Result, container, unusable};

/// Compose's label for the container that another one replaces.
const REPLACES: &str = "com.docker.compose.replace";

/// Networks that know no aliases.
pub const DEFAULT_NETWORKS: [&str; 2] = ["default", "bridge"];

/// What a new container is made of.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    pub name: String,
    pub body: ContainerCreateBody,
    /// Networks to be connected after it is made and before it is started: older engines take
    /// one only at once, see the crate's head.
    pub networks: Vec<(String, EndpointSettings)>,
}

/// The parts of a name after Compose's pattern: all before the number, and the number.
pub fn numbered<'a>(project: &str, service: &str, name: &'a str) -> Option<(&'a str, u32)> {
    ["-", "_"].into_iter().find_map(|separator| {
        let stem = format!("{project}{separator}{service}{separator}");
        let number = name.strip_prefix(&stem)?.parse().ok()?;
        Some((&name[..stem.len()], number))
    })
}

/// Why there can be no second container like this one, if there can't.
pub fn no_copy(project: &str, service: &str, facts: &ContainerInspectResponse) -> Option<String> {
    let name = container::name(facts);
    if numbered(project, service, name).is_none() {
        return Some(format!(
            "{service} can't be scaled: its container has the fixed name {name}. Take \
             `container_name` out of the Compose file and run `docker compose up -d {service}`"
        ));
    }
    let bindings = facts.host_config.as_ref()?.port_bindings.as_ref()?;
    let mut fixed: Vec<&str> = bindings
        .values()
        .flatten()
        .flatten()
        .filter_map(|binding| binding.host_port.as_deref())
        .filter(|port| !matches!(*port, "" | "0"))
        .collect();
    fixed.sort_unstable();
    fixed.dedup();
    (!fixed.is_empty()).then(|| {
        format!(
            "{service} can't be scaled: it publishes the fixed host port {}, which one container \
             alone can have. Publish only the container's port (`ports: [\"80\"]`) or put a proxy \
             before it, and run `docker compose up -d {service}`",
            fixed.join(", ")
        )
    })
}

/// A container called `name`, made of `image`, that is otherwise like another one: without what
/// belongs to the other's id. `adapt` changes its place in each network further.
pub fn like(
    facts: ContainerInspectResponse,
    name: String,
    image: String,
    adapt: impl Fn(&mut EndpointSettings),
) -> Result<ContainerSpec> {
    let id = facts.id.unwrap_or_default();
    let body = serde_json::to_value(facts.config).and_then(serde_json::from_value);
    let what = format!("a configuration of {name} that can't be copied");
    let mut body: ContainerCreateBody = body.map_err(unusable(what))?;
    body.image = Some(image);
    body.hostname = body.hostname.filter(|host| !is_short_id(host, &id));
    body.labels.get_or_insert_default().remove(REPLACES);
    let host = facts.host_config.unwrap_or_default();
    let networks = facts
        .network_settings
        .and_then(|all| all.networks)
        .unwrap_or_default();
    let networks = networks.into_iter().map(|(network, old)| {
        let network_id = old.network_id.clone();
        let mut endpoint = as_requested(old, &id);
        adapt(&mut endpoint);
        (network, network_id, endpoint)
    });
    let (first, networks) = split(networks.collect(), host.network_mode.as_deref());
    body.networking_config = first;
    body.host_config = Some(host);
    Ok(ContainerSpec {
        name,
        body,
        networks,
    })
}

/// The spec for replica `number` called `name`, after an existing one.
///
/// `image` is what the existing one runs: its reference, or its id where the reference has moved
/// on to another image.
pub fn replica(
    mut facts: ContainerInspectResponse,
    name: String,
    number: u32,
    image: String,
) -> Result<ContainerSpec> {
    let old_name = container::name(&facts).to_owned();
    if let Some(host) = &mut facts.host_config {
        drop_anonymous_volumes(host);
    }
    let mut spec = like(facts, name, image, |endpoint| {
        // Fixed addresses and the name are the other's own.
        endpoint.ipam_config = None;
        if let Some(aliases) = &mut endpoint.aliases {
            aliases.retain(|alias| *alias != old_name);
        }
    })?;
    let labels = spec.body.labels.get_or_insert_default();
    labels.insert(NUMBER.to_owned(), number.to_string());
    Ok(spec)
}

/// A place in a network as it was requested: without what the engine made of the container's id,
/// and without the addresses that were not requested.
pub fn as_requested(old: EndpointSettings, id: &str) -> EndpointSettings {
    let mut aliases = old.aliases;
    if let Some(aliases) = &mut aliases {
        aliases.retain(|alias| !is_short_id(alias, id));
    }
    EndpointSettings {
        aliases,
        // The engine refuses an empty one on some networks.
        ipam_config: old
            .ipam_config
            .filter(|fixed| *fixed != EndpointIpamConfig::default()),
        links: old.links,
        driver_opts: old.driver_opts,
        gw_priority: old.gw_priority,
        ..EndpointSettings::default()
    }
}

/// The network that a container is made in, and those it is joined to afterwards.
fn split(
    mut networks: Vec<(String, Option<String>, EndpointSettings)>,
    mode: Option<&str>,
) -> (Option<NetworkingConfig>, Vec<(String, EndpointSettings)>) {
    networks.retain(|(network, ..)| !DEFAULT_NETWORKS.contains(&network.as_str()));
    networks.sort_by(|a, b| a.0.cmp(&b.0));
    let mode = mode.unwrap_or_default();
    // The mode is a name, or an id where somebody wrote that.
    let at = networks.iter().position(|(network, id, _)| {
        network == mode || (!mode.is_empty() && id.as_deref() == Some(mode))
    });
    let first = at.map(|at| networks.remove(at));
    if first.is_none() && !DEFAULT_NETWORKS.contains(&mode) {
        // Host, none, or another container's network: nothing to be connected.
        networks.clear();
    }
    let first = first.map(|(network, _, endpoint)| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network, endpoint)])),
    });
    let rest = networks
        .into_iter()
        .map(|(network, _, endpoint)| (network, endpoint));
    (first, rest.collect())
}

/// Compose binds the nameless volumes of a container that it makes anew by their ids; a further
/// replica gets its own.
fn drop_anonymous_volumes(host: &mut HostConfig) {
    if let Some(binds) = &mut host.binds {
        binds.retain(|bind| {
            let source = bind.split(':').next().unwrap_or_default();
            !(source.len() == 64 && source.bytes().all(|b| b.is_ascii_hexdigit()))
        });
    }
}

/// The text is the short form of a container's id, as the engine uses it for names.
fn is_short_id(text: &str, id: &str) -> bool {
    text.len() >= 12 && id.starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn facts() -> serde_json::Value {
        serde_json::json!({
            "Id": ID, "Name": "/shop-web-1",
            "Config": {"Hostname": &ID[..12], "Image": "web:1", "Env": ["A=b"],
                       "Labels": {"x": "y", NUMBER: "1", REPLACES: "old"}},
            "HostConfig": {"NetworkMode": "shop_back",
                           "Binds": ["data:/data", format!("{ID}:/cache")]},
            "NetworkSettings": {"Networks": {
                "shop_back": {"Aliases": ["web", "shop-web-1", &ID[..12]], "MacAddress": "02:42",
                              "IPAddress": "10.0.0.9", "IPAMConfig": {"IPv4Address": "10.0.0.9"}},
                "shop_front": {"Aliases": ["www"]}}},
        })
    }

    #[test]
    fn a_copy_keeps_the_configuration_and_drops_the_identity() {
        let facts = serde_json::from_value(facts()).unwrap();
        let made = replica(facts, "shop-web-3".into(), 3, "web:1".into()).unwrap();
        assert_eq!(made.body.hostname, None);
        assert_eq!(made.body.env, Some(vec!["A=b".to_owned()]));
        let labels = made.body.labels.unwrap();
        assert_eq!((labels["x"].as_str(), labels[NUMBER].as_str()), ("y", "3"));
        assert!(!labels.contains_key(REPLACES));
        let host = made.body.host_config.unwrap();
        assert_eq!(host.binds, Some(vec!["data:/data".to_owned()]));
        let first = made
            .body
            .networking_config
            .unwrap()
            .endpoints_config
            .unwrap();
        let expected = EndpointSettings {
            aliases: Some(vec!["web".into()]),
            ..EndpointSettings::default()
        };
        assert_eq!(first, HashMap::from([("shop_back".into(), expected)]));
        assert_eq!(made.networks[0].0, "shop_front");
        assert_eq!(made.networks[0].1.aliases, Some(vec!["www".to_owned()]));
    }

    #[test]
    fn a_fixed_name_and_fixed_ports_are_refused() {
        let mut facts = facts();
        let refused = |facts: &serde_json::Value| {
            let facts = serde_json::from_value(facts.clone()).unwrap();
            no_copy("shop", "web", &facts)
        };
        assert_eq!(refused(&facts), None);
        facts["HostConfig"]["PortBindings"] = serde_json::json!({"80/tcp": [{"HostPort": ""}]});
        assert_eq!(refused(&facts), None);
        facts["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"] = "8080".into();
        assert!(refused(&facts).unwrap().contains("host port 8080"));
        facts["Name"] = "/web".into();
        assert!(refused(&facts).unwrap().contains("container_name"));
    }

    #[test]
    fn both_separators_of_compose_are_known() {
        assert_eq!(numbered("a-b", "c", "a-b-c-12"), Some(("a-b-c-", 12)));
        assert_eq!(numbered("a", "c", "a_c_1"), Some(("a_c_", 1)));
        assert_eq!(numbered("a", "c", "a-c-x"), None);
    }
}
