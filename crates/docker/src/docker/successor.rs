//! The container that takes another one's place with another image.
//!
//! The engine mixes what a container was given with what its image brings. What equals the old
//! image's own value counts as brought by it, so that the new image's values take effect.

use bollard::models::{
    ContainerConfig, ContainerCreateBody, HealthConfig, HostConfig, ImageConfig, MountPoint,
    MountType,
};

use super::inspected::Inspected;
use super::spec::{self, ContainerSpec};
use crate::engine::Result;
use crate::engine::version_label::{IMAGE, PREVIOUS};
use treasury_domain::service::Version;

/// Compose's label for the id of the image that it made the container of.
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// The spec of the successor, called `name`, of a container whose image brought `old_image`.
///
/// `reference` is what it is made of: the version's image, or its id where the reference has moved
/// on. `previous` goes into its label.
pub fn successor(
    mut inspected: Inspected,
    name: String,
    old_image: &ImageConfig,
    version: &Version,
    reference: String,
    previous: String,
) -> Result<ContainerSpec> {
    let facts = &mut inspected.facts;
    facts.config = facts
        .config
        .take()
        .map(|config| without_image(config, old_image));
    let host = facts.host_config.get_or_insert_default();
    keep_anonymous_volumes(host, facts.mounts.take().unwrap_or_default());
    let mode = host.network_mode.clone().unwrap_or_default();
    let mut spec = spec::like(inspected, name, reference, |_| {})?;
    drop_refused(&mut spec.body, &mode);
    let labels = spec.body.labels.get_or_insert_default();
    labels.insert(PREVIOUS.to_owned(), previous);
    labels.insert(IMAGE.to_owned(), version.image.clone());
    // Compose compares it with the image that its file names, and makes the container anew where
    // they differ: the truth, whatever that leads to.
    if let Some(image) = labels.get_mut(COMPOSE_IMAGE) {
        image.clone_from(&version.id);
    }
    Ok(spec)
}

/// The configuration without what the image brought.
fn without_image(mut config: ContainerConfig, image: &ImageConfig) -> ContainerConfig {
    let brought_cmd = filled(image.cmd.as_ref());
    let brought_entry = filled(image.entrypoint.as_ref());
    let cmd = filled(config.cmd.as_ref());
    let entry = filled(config.entrypoint.as_ref());
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
    config.user = given(config.user, image.user.as_ref());
    config.working_dir = given(config.working_dir, image.working_dir.as_ref());
    config.stop_signal = given(config.stop_signal, image.stop_signal.as_ref());
    config.shell = given(config.shell, image.shell.as_ref());
    config.on_build = None;
    config.args_escaped = None;
    if let Some(image) = &image.healthcheck {
        let own = config.healthcheck.map(|own| own_check(own, image));
        config.healthcheck = own.filter(|own| *own != HealthConfig::default());
    }
    config
}

/// The health check without what the image brought; the engine takes each part by itself.
fn own_check(own: HealthConfig, image: &HealthConfig) -> HealthConfig {
    HealthConfig {
        test: given(own.test, image.test.as_ref()),
        interval: given(own.interval, image.interval.as_ref()),
        timeout: given(own.timeout, image.timeout.as_ref()),
        retries: given(own.retries, image.retries.as_ref()),
        start_period: given(own.start_period, image.start_period.as_ref()),
        start_interval: given(own.start_interval, image.start_interval.as_ref()),
    }
}

/// A value, if it was given to the container and not brought by the image.
fn given<T: PartialEq>(own: Option<T>, image: Option<&T>) -> Option<T> {
    own.filter(|own| image != Some(own))
}

/// Nothing and an empty list are the same to the engine.
fn filled(words: Option<&Vec<String>>) -> Option<&Vec<String>> {
    words.filter(|words| !words.is_empty())
}

/// Binds the nameless volumes of the old container by their ids; the engine would make new ones.
fn keep_anonymous_volumes(host: &mut HostConfig, mounts: Vec<MountPoint>) {
    for mount in mounts {
        let (Some(name), Some(to)) = (mount.name, mount.destination) else {
            continue;
        };
        if mount.typ.as_deref() != Some("volume") || name.is_empty() {
            continue;
        }
        let is_there = |at: Option<&str>| at.map(|at| at.trim_end_matches('/')) == Some(&to);
        let mut given = host.mounts.iter_mut().flatten();
        if let Some(given) = given.find(|one| is_there(one.target.as_deref())) {
            let nameless = given.source.as_deref().unwrap_or_default().is_empty();
            if given.typ == Some(MountType::VOLUME) && nameless {
                given.source = Some(name);
            }
            continue;
        }
        let binds = host.binds.get_or_insert_default();
        if !binds.iter().any(|bind| is_there(bind.split(':').nth(1))) {
            let mode = if mount.rw == Some(false) { "ro" } else { "rw" };
            binds.push(format!("{name}:{to}:{mode}"));
        }
    }
}

/// Takes out what the engine refuses together with another container's or the host's network:
/// it shows these values, but does not take them.
fn drop_refused(body: &mut ContainerCreateBody, mode: &str) {
    let of_container = mode.starts_with("container:");
    if mode == "host" || of_container {
        body.hostname = None;
    }
    if of_container {
        body.domainname = None;
        body.exposed_ports = None;
    }
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
        without_image(config(container), &serde_json::from_value(image).unwrap())
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
                COMPOSE_IMAGE: "sha256:old", "com.docker.compose.replace": "x"}},
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
            Inspected {
                facts: serde_json::from_value(facts).unwrap(),
                ..Inspected::default()
            },
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
