//! How a further replica is made: after the newest one there is.

use std::collections::HashMap;

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig,
    NetworkingConfig,
};

use super::PLATFORM;
use super::find::NUMBER;
use treasury_ports::platform::PlatformError;

/// Compose's label for the container that another one replaces.
pub(super) const REPLACES: &str = "com.docker.compose.replace";

/// Networks that know no aliases.
pub(super) const PLAIN: [&str; 2] = ["default", "bridge"];

/// What a new replica is made of.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) body: ContainerCreateBody,
    /// Networks to be connected after it is made and before it is started: older engines take
    /// one only at once.
    pub(super) networks: Vec<(String, EndpointSettings)>,
}

/// The parts of a name after Compose's pattern: all before the number, and the number.
pub(super) fn numbered<'a>(project: &str, service: &str, name: &'a str) -> Option<(&'a str, u32)> {
    ["-", "_"].into_iter().find_map(|separator| {
        let stem = format!("{project}{separator}{service}{separator}");
        let number = name.strip_prefix(&stem)?.parse().ok()?;
        Some((&name[..stem.len()], number))
    })
}

/// Why there can be no second container like this one, if there can't.
pub(super) fn refusal(
    project: &str,
    service: &str,
    facts: &ContainerInspectResponse,
) -> Option<String> {
    let name = bare_name(facts);
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

/// The recipe for replica `number` called `name`, after an existing one.
///
/// `image` is what the existing one runs: its reference, or its id where the reference has moved
/// on to another image.
pub(super) fn recipe(
    facts: ContainerInspectResponse,
    name: String,
    number: u32,
    image: String,
) -> Result<Recipe, PlatformError> {
    let old_id = facts.id.clone().unwrap_or_default();
    let old_name = bare_name(&facts).to_owned();
    let mut body = body(facts.config, &old_name)?;
    body.image = Some(image);
    if body
        .hostname
        .as_deref()
        .is_some_and(|host| is_id(host, &old_id))
    {
        body.hostname = None;
    }
    let labels = body.labels.get_or_insert_default();
    labels.insert(NUMBER.to_owned(), number.to_string());
    labels.remove(REPLACES);
    let mut host = facts.host_config.unwrap_or_default();
    drop_anonymous_volumes(&mut host);

    let networks = facts.network_settings.and_then(|all| all.networks);
    let (first, networks) = joins(networks, &host, |old| endpoint(old, &old_id, &old_name));
    body.networking_config = first;
    body.host_config = Some(host);
    Ok(Recipe {
        name,
        body,
        networks,
    })
}

/// What a container was made of, for another one.
pub(super) fn body(
    config: Option<ContainerConfig>,
    name: &str,
) -> Result<ContainerCreateBody, PlatformError> {
    serde_json::to_value(config)
        .and_then(serde_json::from_value)
        .map_err(|error| PlatformError::Failed {
            platform: PLATFORM,
            message: format!("a configuration of {name} that can't be copied: {error}"),
            source: Some(Box::new(error)),
        })
}

/// The network that a container is made in, and those it is joined to afterwards.
pub(super) fn joins(
    networks: Option<HashMap<String, EndpointSettings>>,
    host: &HostConfig,
    endpoint: impl Fn(EndpointSettings) -> EndpointSettings,
) -> (Option<NetworkingConfig>, Vec<(String, EndpointSettings)>) {
    let mut networks: Vec<(String, EndpointSettings)> = networks
        .unwrap_or_default()
        .into_iter()
        .filter(|(network, _)| !PLAIN.contains(&network.as_str()))
        .collect();
    networks.sort_by(|a, b| a.0.cmp(&b.0));
    let mode = host.network_mode.as_deref().unwrap_or_default();
    // The mode is a name, or an id where somebody wrote that.
    let at = networks.iter().position(|(network, settings)| {
        network == mode || (!mode.is_empty() && settings.network_id.as_deref() == Some(mode))
    });
    let mut first = None;
    if let Some(at) = at {
        let (network, old) = networks.remove(at);
        first = Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint(old))])),
        });
    } else if !PLAIN.contains(&mode) {
        // Host, none, or another container's network: nothing to be connected.
        networks.clear();
    }
    let rest = networks
        .into_iter()
        .map(|(network, old)| (network, endpoint(old)));
    (first, rest.collect())
}

/// Its place in a network, without what belongs to the old container alone.
fn endpoint(old: EndpointSettings, old_id: &str, old_name: &str) -> EndpointSettings {
    let aliases = old.aliases.map(|all| {
        let of_service = |alias: &String| !is_id(alias, old_id) && alias != old_name;
        all.into_iter().filter(of_service).collect()
    });
    EndpointSettings {
        aliases,
        links: old.links,
        driver_opts: old.driver_opts,
        gw_priority: old.gw_priority,
        ..EndpointSettings::default()
    }
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

/// The short form of a container's id, as the engine uses it for names.
pub(super) fn is_id(text: &str, id: &str) -> bool {
    text.len() >= 12 && id.starts_with(text)
}

pub(super) fn bare_name(facts: &ContainerInspectResponse) -> &str {
    let name = facts.name.as_deref().unwrap_or_default();
    name.strip_prefix('/').unwrap_or(name)
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
        let made = recipe(facts, "shop-web-3".into(), 3, "web:1".into()).unwrap();
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
            refusal("shop", "web", &facts)
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
