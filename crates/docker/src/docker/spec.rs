//! What a new container is made of: the configuration and the networks of another one.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig,
};

use serde_json::{Map, Value};

use super::find::NUMBER;
use super::inspected::Inspected;
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
    /// Further settings, as they are; see [`Inspected`].
    pub config: Map<String, Value>,
    /// Further settings of the host's side.
    pub host: Map<String, Value>,
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

/// Why there can't be `replicas` containers like this one, if there can't.
pub fn no_copy(
    project: &str,
    service: &str,
    inspected: &Inspected,
    replicas: u32,
) -> Option<String> {
    let name = container::name(&inspected.facts);
    if numbered(project, service, name).is_none() {
        return Some(format!(
            "{service} can't be scaled: its container has the fixed name {name}. Take \
             `container_name` out of the Compose file and run `docker compose up -d {service}`"
        ));
    }
    if let Some(mac) = &inspected.mac {
        return Some(format!(
            "{service} can't be scaled: {name} has the fixed MAC address {mac}, which one container \
             alone can have. Take `mac_address` out of the Compose file and run `docker compose up \
             -d {service}`"
        ));
    }
    let bindings = inspected
        .facts
        .host_config
        .as_ref()?
        .port_bindings
        .as_ref()?;
    let bindings = bindings.values().flatten().flatten();
    let mut wanted: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for binding in bindings {
        let address = binding.host_ip.as_deref().unwrap_or_default();
        let ports = binding.host_port.as_deref().unwrap_or_default();
        if !matches!(ports, "" | "0") {
            *wanted.entry((ports, address)).or_default() += 1;
        }
    }
    // Each takes the next free port of a range, and as many as it publishes by it.
    let short = wanted
        .iter()
        .find(|((ports, _), each)| many(ports) / **each < replicas);
    let ((ports, _), each) = short?;
    let publishes = match many(ports) / each {
        1 => format!("the fixed host port {ports}, which one container alone can have"),
        enough => format!("the host ports {ports}, which are enough for {enough} of them"),
    };
    Some(format!(
        "{service} can't have {replicas} replicas: it publishes {publishes}. Publish only the \
         container's port (`ports: [\"80\"]`), or a range that is wide enough, or put a proxy before \
         it, and run `docker compose up -d {service}`"
    ))
}

/// How many ports `28601-28606` or `28601` are; one where it is none of both.
fn many(ports: &str) -> u32 {
    let range = ports.split_once('-').and_then(|(first, last)| {
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        Some(u32::from(last.checked_sub(first)?) + 1)
    });
    range.unwrap_or(1)
}

/// A container called `name`, made of `image`, that is otherwise like another one: without what
/// belongs to the other's id. `adapt` changes its place in each network further.
pub fn like(
    inspected: Inspected,
    name: String,
    image: String,
    adapt: impl Fn(&mut EndpointSettings),
) -> Result<ContainerSpec> {
    let Inspected {
        facts,
        mut config,
        host: more_host,
        mac,
    } = inspected;
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
    let (mut first, networks) = split(networks.collect(), host.network_mode.as_deref());
    if let Some(mac) = mac {
        // Up to API 1.43 it belongs to the container, from 1.44 on to its place in its network.
        if DEFAULT_NETWORKS.contains(&host.network_mode.as_deref().unwrap_or_default()) {
            let place = HashMap::from([("bridge".to_owned(), EndpointSettings::default())]);
            first.get_or_insert_default().endpoints_config = Some(place);
        }
        let places = first
            .iter_mut()
            .flat_map(|first| &mut first.endpoints_config);
        for place in places.flat_map(HashMap::values_mut) {
            place.mac_address = Some(mac.clone());
        }
        config.insert("MacAddress".to_owned(), mac.into());
    }
    body.networking_config = first;
    body.host_config = Some(host);
    Ok(ContainerSpec {
        name,
        body,
        config,
        host: more_host,
        networks,
    })
}

/// The spec for replica `number` called `name`, after an existing one.
///
/// `image` is what the existing one runs: its reference, or its id where the reference has moved
/// on to another image.
pub fn replica(
    mut inspected: Inspected,
    name: String,
    number: u32,
    image: String,
) -> Result<ContainerSpec> {
    let old_name = container::name(&inspected.facts).to_owned();
    if let Some(host) = &mut inspected.facts.host_config {
        drop_anonymous_volumes(host);
    }
    let mut spec = like(inspected, name, image, |endpoint| {
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

    fn inspected(facts: &serde_json::Value) -> Inspected {
        Inspected {
            facts: serde_json::from_value(facts.clone()).unwrap(),
            ..Inspected::default()
        }
    }

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
        let made = replica(inspected(&facts()), "shop-web-3".into(), 3, "web:1".into()).unwrap();
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
    fn what_one_alone_can_have_is_refused_and_a_range_of_ports_is_shared() {
        let mut facts = facts();
        let refused = |facts: &serde_json::Value, replicas| {
            no_copy("shop", "web", &inspected(facts), replicas).unwrap_or_default()
        };
        let publish = |ports: &[(&str, &str)]| {
            let mut all = serde_json::json!({});
            for (at, (address, ports)) in ports.iter().enumerate() {
                let binding = serde_json::json!([{"HostIp": address, "HostPort": ports}]);
                all[format!("{}/tcp", 80 + at)] = binding;
            }
            all
        };
        assert_eq!(refused(&facts, 9), "");
        for (ports, enough) in [
            (&[("", "")][..], 9),
            (&[("127.0.0.1", "0")], 9),
            (&[("127.0.0.1", "28601-28606")], 6),
            (&[("", "28601-28603"), ("", "28611-28616")], 3),
            // Two by the same range, and the same on two addresses.
            (&[("", "28601-28606"), ("", "28601-28606")], 3),
            (
                &[("127.0.0.1", "28601-28606"), ("127.0.0.2", "28601-28606")],
                6,
            ),
            (&[("", "8080")], 1),
            (&[("", "28630"), ("", "28631")], 1),
        ] {
            facts["HostConfig"]["PortBindings"] = publish(ports);
            assert_eq!(refused(&facts, enough), "", "{ports:?}");
            let why = refused(&facts, enough + 1);
            assert_eq!(why.is_empty(), enough == 9, "{ports:?}: {why}");
        }
        facts["HostConfig"]["PortBindings"] = publish(&[("", "8080")]);
        assert!(refused(&facts, 2).contains("fixed host port 8080"));
        facts["HostConfig"]["PortBindings"] = publish(&[("", "28601-28606")]);
        let why = refused(&facts, 7);
        assert!(
            why.contains("host ports 28601-28606, which are enough for 6"),
            "{why}"
        );

        let mut fixed = inspected(&facts);
        fixed.mac = Some("02:42:ac:1e:aa:01".to_owned());
        let why = no_copy("shop", "web", &fixed, 2).unwrap();
        assert!(why.contains("fixed MAC address 02:42:ac:1e:aa:01"), "{why}");
        facts["Name"] = "/web".into();
        assert!(refused(&facts, 2).contains("container_name"));
    }

    #[test]
    fn both_separators_of_compose_are_known() {
        assert_eq!(numbered("a-b", "c", "a-b-c-12"), Some(("a-b-c-", 12)));
        assert_eq!(numbered("a", "c", "a_c_1"), Some(("a_c_", 1)));
        assert_eq!(numbered("a", "c", "a-c-x"), None);
    }
}
