//! The container that takes another one's place with another image.
//!
//! The engine mixes what a container was given with what its image brings. What equals the old
//! image's own value counts as brought by it, so that the new image's values take effect.

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig,
    EndpointSettings, HealthConfig, HostConfig, ImageConfig, MountPoint, MountType,
};

use super::recipe::{self, Recipe};
use super::versions::{IMAGE, PREVIOUS};
use treasury_domain::service::Version;
use treasury_ports::platform::PlatformError;

/// Compose's label for the id of the image that it made the container of.
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// The recipe of the successor, called `name`, of a container whose image brought `old_image`.
///
/// `reference` is what it is made of: the version's image, or its id where the reference has moved
/// on. `previous` goes into its label.
pub(super) fn successor(
    facts: ContainerInspectResponse,
    name: String,
    old_image: &ImageConfig,
    version: &Version,
    reference: String,
    previous: String,
) -> Result<Recipe, PlatformError> {
    let old_id = facts.id.clone().unwrap_or_default();
    let config = facts.config.map(|config| own(config, old_image));
    let mut body = recipe::body(config, &name)?;
    let short = |host: &str| recipe::is_id(host, &old_id);
    if body.hostname.as_deref().is_some_and(short) {
        body.hostname = None;
    }
    body.image = Some(reference);
    let labels = body.labels.get_or_insert_default();
    labels.remove(recipe::REPLACES);
    labels.insert(PREVIOUS.to_owned(), previous);
    labels.insert(IMAGE.to_owned(), version.image.clone());
    // Compose compares it with the image that its file names, and makes the container anew where
    // they differ: the truth, whatever that leads to.
    if let Some(image) = labels.get_mut(COMPOSE_IMAGE) {
        image.clone_from(&version.id);
    }
    let mut host = facts.host_config.unwrap_or_default();
    carry_over(&mut host, facts.mounts.unwrap_or_default());
    keep_out(&mut body, &host);
    let networks = facts.network_settings.and_then(|all| all.networks);
    let (first, networks) = recipe::joins(networks, &host, |old| endpoint(old, &old_id));
    body.networking_config = first;
    body.host_config = Some(host);
    Ok(Recipe {
        name,
        body,
        networks,
    })
}

/// The configuration without what the image brought.
fn own(mut config: ContainerConfig, image: &ImageConfig) -> ContainerConfig {
    let brought_cmd = filled(image.cmd.as_ref());
    let brought_entry = filled(image.entrypoint.as_ref());
    let (cmd, entry) = (
        filled(config.cmd.as_ref()),
        filled(config.entrypoint.as_ref()),
    );
    // An entry point of its own makes the engine leave the image's command out.
    let emptied = cmd.is_none() && brought_cmd.is_some();
    if entry == brought_entry && !emptied {
        if cmd == brought_cmd {
            config.cmd = None;
        }
        config.entrypoint = None;
    } else if entry.is_none() && brought_entry.is_some() {
        // So the engine is told that there shall be none; it forgets the empty word again.
        config.entrypoint = Some(vec![String::new()]);
    }
    let brought = |lines: Option<Vec<String>>, image: &Option<Vec<String>>| {
        let image = image.as_deref().unwrap_or_default();
        let mut lines = lines.unwrap_or_default();
        lines.retain(|line| !image.contains(line));
        Some(lines).filter(|lines| !lines.is_empty())
    };
    config.env = brought(config.env, &image.env);
    config.exposed_ports = brought(config.exposed_ports, &image.exposed_ports);
    config.volumes = brought(config.volumes, &image.volumes);
    if let Some(labels) = &mut config.labels {
        let image = image.labels.as_ref();
        labels.retain(|name, value| image.and_then(|labels| labels.get(name)) != Some(value));
    }
    let same = |text: &Option<String>, image: &Option<String>| {
        text.as_deref().unwrap_or_default() == image.as_deref().unwrap_or_default()
    };
    if same(&config.user, &image.user) {
        config.user = None;
    }
    if same(&config.working_dir, &image.working_dir) {
        config.working_dir = None;
    }
    if same(&config.stop_signal, &image.stop_signal) {
        config.stop_signal = None;
    }
    if config.shell == image.shell {
        config.shell = None;
    }
    config.on_build = None;
    config.args_escaped = None;
    if let Some(image) = &image.healthcheck {
        config.healthcheck = config
            .healthcheck
            .map(|own| own_check(own, image))
            .filter(|own| *own != HealthConfig::default());
    }
    config
}

/// The health check without what the image brought; the engine takes each part by itself.
fn own_check(own: HealthConfig, image: &HealthConfig) -> HealthConfig {
    let time = |own: Option<i64>, image: Option<i64>| own.filter(|_| own != image);
    HealthConfig {
        test: own.test.filter(|test| image.test.as_ref() != Some(test)),
        interval: time(own.interval, image.interval),
        timeout: time(own.timeout, image.timeout),
        retries: time(own.retries, image.retries),
        start_period: time(own.start_period, image.start_period),
        start_interval: time(own.start_interval, image.start_interval),
    }
}

/// Nothing and an empty list are the same to the engine.
fn filled(words: Option<&Vec<String>>) -> Option<&Vec<String>> {
    words.filter(|words| !words.is_empty())
}

/// The nameless volumes of the old container, which the engine would make anew, by their ids.
fn carry_over(host: &mut HostConfig, mounts: Vec<MountPoint>) {
    for mount in mounts {
        let (Some(name), Some(to)) = (mount.name, mount.destination) else {
            continue;
        };
        if mount.typ.as_deref() != Some("volume") || name.is_empty() {
            continue;
        }
        let asked = host.mounts.as_mut().and_then(|all| {
            all.iter_mut()
                .find(|one| one.target.as_deref().map(|at| at.trim_end_matches('/')) == Some(&to))
        });
        if let Some(asked) = asked {
            if asked.typ == Some(MountType::VOLUME)
                && asked.source.as_deref().unwrap_or_default().is_empty()
            {
                asked.source = Some(name);
            }
            continue;
        }
        let binds = host.binds.get_or_insert_default();
        let at = |bind: &str| {
            bind.split(':')
                .nth(1)
                .map(|at| at.trim_end_matches('/').to_owned())
        };
        let bound = |bind: &String| at(bind).as_deref() == Some(to.as_str());
        if !binds.iter().any(bound) {
            let mode = if mount.rw == Some(false) { "ro" } else { "rw" };
            binds.push(format!("{name}:{to}:{mode}"));
        }
    }
}

/// Takes out what the engine refuses together with another container's or the host's network:
/// it shows these values, but does not take them.
fn keep_out(body: &mut ContainerCreateBody, host: &HostConfig) {
    let mode = host.network_mode.as_deref().unwrap_or_default();
    if mode == "host" || mode.starts_with("container:") {
        body.hostname = None;
    }
    if mode.starts_with("container:") {
        body.domainname = None;
        body.exposed_ports = None;
    }
}

/// Its place in a network, as it was asked for.
fn endpoint(old: EndpointSettings, old_id: &str) -> EndpointSettings {
    EndpointSettings {
        aliases: aliases(old.aliases, old_id),
        ipam_config: old.ipam_config.filter(|fixed| {
            // The engine refuses an empty one on some networks.
            *fixed != EndpointIpamConfig::default()
        }),
        links: old.links,
        driver_opts: old.driver_opts,
        gw_priority: old.gw_priority,
        ..EndpointSettings::default()
    }
}

/// Aliases without the one that the engine makes of the container's id.
pub(super) fn aliases(aliases: Option<Vec<String>>, id: &str) -> Option<Vec<String>> {
    aliases.map(|all| {
        all.into_iter()
            .filter(|alias| !recipe::is_id(alias, id))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn config(of: serde_json::Value) -> ContainerConfig {
        serde_json::from_value(of).unwrap()
    }

    fn own_of(container: serde_json::Value, image: serde_json::Value) -> ContainerConfig {
        own(config(container), &serde_json::from_value(image).unwrap())
    }

    #[test]
    fn what_the_old_image_brought_is_not_pinned_and_what_was_given_is_kept() {
        let own = own_of(
            serde_json::json!({
                "Env": ["PATH=/bin", "VERSION=1", "COLOUR=blue"], "Cmd": ["serve"],
                "Entrypoint": ["/entry"], "WorkingDir": "/app", "User": "55", "StopSignal": "SIGINT",
                "Labels": {"version": "1", "team": "fx"}, "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
                "Volumes": {"/data": {}},
                "Healthcheck": {"Test": ["CMD", "a"], "Interval": 5, "Retries": 9},
            }),
            serde_json::json!({
                "Env": ["PATH=/bin", "VERSION=1"], "Cmd": ["serve"], "Entrypoint": ["/entry"],
                "WorkingDir": "/app", "User": "", "StopSignal": "SIGINT", "Labels": {"version": "1"},
                "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}},
                "Healthcheck": {"Test": ["CMD", "a"], "Interval": 5, "Retries": 3},
            }),
        );
        let expected = config(serde_json::json!({
            "Env": ["COLOUR=blue"], "User": "55", "Labels": {"team": "fx"},
            "ExposedPorts": {"81/tcp": {}}, "Healthcheck": {"Retries": 9},
        }));
        assert_eq!(own, expected);
    }

    #[test]
    fn a_command_and_an_entry_point_are_told_from_the_images_by_the_engine_s_own_rule() {
        let words =
            |cmd: &[&str], entry: &[&str]| serde_json::json!({"Cmd": cmd, "Entrypoint": entry});
        let image = words(&["serve"], &["/entry"]);
        let image = || image.clone();
        let list = |words: &[&str]| -> Option<Vec<String>> {
            Some(words.iter().map(|word| (*word).to_owned()).collect())
        };
        let own = own_of(words(&["serve"], &["/entry"]), image());
        assert_eq!((own.cmd, own.entrypoint), (None, None));
        let own = own_of(words(&["migrate"], &["/entry"]), image());
        assert_eq!((own.cmd, own.entrypoint), (list(&["migrate"]), None));
        // `--entrypoint /entry` without a command: the image's command must not come back.
        let own = own_of(words(&[], &["/entry"]), image());
        assert_eq!((own.cmd, own.entrypoint), (list(&[]), list(&["/entry"])));
        let own = own_of(words(&["serve"], &["/mine"]), image());
        assert_eq!(
            (own.cmd, own.entrypoint),
            (list(&["serve"]), list(&["/mine"]))
        );
        // `--entrypoint ""`.
        let own = own_of(words(&["/bin/x"], &[]), image());
        assert_eq!((own.cmd, own.entrypoint), (list(&["/bin/x"]), list(&[""])));
        let own = own_of(words(&["serve"], &[]), words(&["serve"], &[]));
        assert_eq!((own.cmd, own.entrypoint), (None, None));
    }

    #[test]
    fn nameless_volumes_and_fixed_addresses_are_carried_over() {
        let facts = serde_json::json!({
            "Id": ID, "Name": "/shop-web-1", "Config": {"Hostname": &ID[..12], "Labels": {
                COMPOSE_IMAGE: "sha256:old", recipe::REPLACES: "x"}},
            "HostConfig": {"NetworkMode": "shop_back", "Binds": ["data:/data"],
                "Mounts": [{"Type": "volume", "Target": "/m"}, {"Type": "bind", "Source": "/x", "Target": "/b"}]},
            "Mounts": [
                {"Type": "volume", "Name": "data", "Destination": "/data", "RW": true},
                {"Type": "volume", "Name": ID, "Destination": "/cache", "RW": true},
                {"Type": "volume", "Name": "fed", "Destination": "/m", "RW": true},
                {"Type": "bind", "Source": "/x", "Destination": "/b"}],
            "NetworkSettings": {"Networks": {"shop_back": {
                "Aliases": ["web", "shop-web-1", &ID[..12]], "MacAddress": "02:42",
                "IPAddress": "10.0.0.9", "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}},
        });
        let version = Version {
            id: "sha256:new".into(),
            image: "web:2".into(),
            since: None,
            changes: Vec::new(),
        };
        let made = successor(
            serde_json::from_value(facts).unwrap(),
            "shop-web-1".into(),
            &ImageConfig::default(),
            &version,
            "web:2".into(),
            "[]".into(),
        )
        .unwrap();
        let host = made.body.host_config.unwrap();
        assert_eq!(
            host.binds.unwrap(),
            ["data:/data".to_owned(), format!("{ID}:/cache:rw")]
        );
        let sources: Vec<_> = host
            .mounts
            .unwrap()
            .into_iter()
            .map(|one| one.source.unwrap())
            .collect();
        assert_eq!(sources, ["fed", "/x"]);
        assert_eq!(made.body.hostname, None);
        let labels = made.body.labels.unwrap();
        let expected = [
            (COMPOSE_IMAGE, "sha256:new"),
            (IMAGE, "web:2"),
            (PREVIOUS, "[]"),
        ];
        assert_eq!(
            labels,
            HashMap::from(expected.map(|(name, value)| (name.into(), value.into())))
        );
        let first = made
            .body
            .networking_config
            .unwrap()
            .endpoints_config
            .unwrap();
        let back = &first["shop_back"];
        assert_eq!(back.aliases.as_deref().unwrap(), ["web", "shop-web-1"]);
        let fixed = back.ipam_config.as_ref().unwrap();
        assert_eq!(fixed.ipv4_address.as_deref(), Some("10.0.0.9"));
        assert_eq!((&back.mac_address, &back.ip_address), (&None, &None));
    }
}
