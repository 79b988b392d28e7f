//! What a service runs and ran, and what it can run.
//!
//! The engine remembers no former containers. So each deployment notes in a label of the new
//! container what ran before it.

use bollard::models::ContainerInspectResponse;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::find;
use super::image;
use super::recipe::{self, PLAIN};
use treasury_domain::service::{Service, Version};
use treasury_ports::platform::PlatformError;

/// Our label for the versions that ran before, the newest first.
pub(super) const PREVIOUS: &str = "treasury-bot.previous";

/// Our label for the image as it was asked for, which a container that was made by the image's id
/// does not show.
pub(super) const IMAGE: &str = "treasury-bot.image";

/// The most former versions that are remembered.
const KEPT: usize = 9;

/// A former version in the label. A type of its own: labels outlive releases of the bot.
#[derive(Debug, Serialize, Deserialize)]
struct Former {
    id: String,
    image: String,
    #[serde(default)]
    since: Option<jiff::Timestamp>,
}

/// What the newest replica runs, then what ran before and could still run.
pub(super) async fn versions(
    engine: &Engine,
    service: &Service,
) -> Result<Vec<Version>, PlatformError> {
    let found = find::containers(engine, service).await?;
    let facts = try_join_all(found.iter().map(|one| find::inspect(engine, &one.id))).await?;
    let created = |facts: &ContainerInspectResponse| find::time(facts.created.as_deref());
    let newest = facts.into_iter().flatten().max_by_key(created);
    let Some(newest) = newest else {
        return Ok(Vec::new());
    };
    let former = former(&newest);
    let there = try_join_all(former.iter().map(|one| image::inspect(engine, &one.id))).await?;
    let left = former.into_iter().zip(there);
    let left = left.filter_map(|(one, there)| there.is_some().then_some(one));
    Ok(std::iter::once(present(&newest)).chain(left).collect())
}

/// What a container runs.
pub(super) fn present(facts: &ContainerInspectResponse) -> Version {
    let id = facts.image.clone().unwrap_or_default();
    let config = facts.config.as_ref();
    let named = config.and_then(|config| config.image.as_ref());
    let asked = label(facts, IMAGE);
    let image = match named {
        Some(named) if !image::is_id(named) => named,
        _ => asked.or(named).unwrap_or(&id),
    };
    Version {
        image: image.clone(),
        since: find::time(facts.created.as_deref()),
        id,
        changes: Vec::new(),
    }
}

/// What ran before this container, at most [`KEPT`], none twice and none that it runs itself.
fn former(facts: &ContainerInspectResponse) -> Vec<Version> {
    let Some(text) = label(facts, PREVIOUS) else {
        return Vec::new();
    };
    let present = facts.image.as_deref().unwrap_or_default();
    let name = recipe::bare_name(facts);
    listed(text, name, present, &|version| image::is_id(&version.id))
}

/// What the label of `name` lists and is `good`, at most [`KEPT`], none twice and not the present.
/// Anybody can write a label: only what is good goes on to the engine.
pub(super) fn listed(
    text: &str,
    name: &str,
    present: &str,
    good: &dyn Fn(&Version) -> bool,
) -> Vec<Version> {
    if text.is_empty() {
        return Vec::new();
    }
    let listed: Vec<Former> = match serde_json::from_str(text) {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, name, "the label {PREVIOUS} can't be read");
            return Vec::new();
        }
    };
    let mut versions: Vec<Version> = Vec::new();
    for one in listed {
        let version = Version {
            image: one.image.chars().take(300).collect(),
            id: one.id,
            since: one.since,
            changes: Vec::new(),
        };
        let twice = version.id == present || versions.iter().any(|other| other.id == version.id);
        if good(&version) && !twice && versions.len() < KEPT {
            versions.push(version);
        }
    }
    versions
}

/// The label for the container that replaces this one with an image of the id `next`.
pub(super) fn previous(facts: &ContainerInspectResponse, next: &str) -> String {
    noted(std::iter::once(present(facts)).chain(former(facts)), next)
}

/// The label for what replaces these versions by `next`.
pub(super) fn noted(ran: impl Iterator<Item = Version>, next: &str) -> String {
    let listed: Vec<Former> = ran
        .filter(|version| version.id != next)
        .take(KEPT)
        .map(
            |Version {
                 id, image, since, ..
             }| Former { id, image, since },
        )
        .collect();
    // Texts and times can't fail; without a history there is still a service.
    serde_json::to_string(&listed).unwrap_or_else(|_| "[]".to_owned())
}

/// The version that an image is, if this service can be brought to it.
pub(super) async fn deployable(
    engine: &Engine,
    service: &Service,
    image: &str,
) -> Result<Version, PlatformError> {
    let found = find::with_replaced(engine, service).await?;
    let facts = try_join_all(found.iter().map(|one| find::inspect(engine, &one.id))).await?;
    replaceable(engine, facts.iter().flatten()).await?;
    let Some(there) = image::inspect(engine, image).await? else {
        return Err(absent(image));
    };
    let tagged = there.repo_tags.unwrap_or_default().into_iter().next();
    let id = there.id.unwrap_or_default();
    let named = if image::is_id(image) || id.trim_start_matches("sha256:").starts_with(image) {
        tagged.unwrap_or_else(|| id.clone())
    } else {
        image.to_owned()
    };
    Ok(Version {
        id,
        image: named,
        since: None,
        changes: Vec::new(),
    })
}

/// The error for an image that the engine does not have.
pub(super) fn absent(image: &str) -> PlatformError {
    PlatformError::Unsupported(format!(
        "the image {image} is not on the host, and the bot pulls none in this version: `docker \
         pull {image}` there (or `docker compose pull`), then ask again"
    ))
}

/// Why one of these containers can't be replaced, if one can't.
pub(super) async fn replaceable<'a>(
    engine: &Engine,
    containers: impl Iterator<Item = &'a ContainerInspectResponse>,
) -> Result<(), PlatformError> {
    let mut ids: Vec<(&str, &str)> = Vec::new();
    for facts in containers {
        if let Some(why) = refusal(facts) {
            return Err(PlatformError::Unsupported(why));
        }
        let id = facts.id.as_deref().unwrap_or_default();
        ids.push((id, recipe::bare_name(facts)));
    }
    // A network that others share ends with its container.
    for other in find::list(engine, None).await? {
        let mode = other.host_config.and_then(|host| host.network_mode);
        let shared = mode.as_deref().and_then(|mode| {
            let of = mode.strip_prefix("container:")?;
            ids.iter().find(|(id, name)| *id == of || *name == of)
        });
        if let Some((_, name)) = shared {
            let names = other.names.unwrap_or_default();
            let sharer = names
                .first()
                .map_or("another container", |name| name.trim_start_matches('/'));
            return Err(PlatformError::Unsupported(format!(
                "{sharer} uses the network of {name} and would lose it: deploy both with `docker \
                 compose up -d`"
            )));
        }
    }
    Ok(())
}

/// Why this container can't be replaced, if it can't.
fn refusal(facts: &ContainerInspectResponse) -> Option<String> {
    let name = recipe::bare_name(facts);
    let host = facts.host_config.as_ref()?;
    if host.auto_remove == Some(true) {
        return Some(format!(
            "{name} was started with --rm: it would be gone before its successor is well. Start \
             it without --rm"
        ));
    }
    let mode = host.network_mode.as_deref().unwrap_or_default();
    let own = ["host", "none", ""].contains(&mode)
        || PLAIN.contains(&mode)
        || mode.starts_with("container:");
    let networks = facts.network_settings.as_ref()?.networks.as_ref();
    let joined = networks.is_some_and(|networks| {
        networks
            .iter()
            .any(|(network, one)| network == mode || one.network_id.as_deref() == Some(mode))
    });
    (!own && !joined).then(|| {
        format!(
            "{name} is cut off from its network {mode}: a new container would be joined to it. \
             Release it first"
        )
    })
}

fn label<'a>(facts: &'a ContainerInspectResponse, name: &str) -> Option<&'a String> {
    facts.config.as_ref()?.labels.as_ref()?.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        format!("sha256:{}", String::from(digit).repeat(64))
    }

    fn facts(image: &str, named: &str, label: &str) -> ContainerInspectResponse {
        serde_json::from_value(serde_json::json!({
            "Image": image, "Created": "2026-11-23T10:00:00Z",
            "Config": {"Image": named, "Labels": {PREVIOUS: label, IMAGE: "web:asked"}},
        }))
        .unwrap()
    }

    #[test]
    fn each_deployment_adds_to_the_history_and_a_rollback_turns_it_around() {
        let first = facts(&id('1'), "web:1", "[]");
        let second = facts(&id('2'), "web:2", &previous(&first, &id('2')));
        let listed = |facts: &ContainerInspectResponse| -> Vec<String> {
            former(facts).into_iter().map(|one| one.image).collect()
        };
        assert_eq!(listed(&second), ["web:1"]);
        assert_eq!(
            former(&second)[0].since,
            "2026-11-23T10:00:00Z".parse().ok()
        );
        let third = facts(&id('3'), "web:3", &previous(&second, &id('3')));
        assert_eq!(listed(&third), ["web:2", "web:1"]);
        let back = facts(&id('2'), "web:2", &previous(&third, &id('2')));
        assert_eq!(listed(&back), ["web:3", "web:1"]);
        let mut long = first;
        for digit in "23456789abcde".chars() {
            long = facts(
                &id(digit),
                &format!("web:{digit}"),
                &previous(&long, &id(digit)),
            );
        }
        assert_eq!(listed(&long).len(), KEPT);
        assert_eq!(listed(&long)[0], "web:d");
    }

    #[test]
    fn a_label_that_others_wrote_leads_nowhere() {
        for strange in ["", "{", "[1]", r#"[{"id":"../x","image":"y"}]"#] {
            assert_eq!(former(&facts(&id('1'), "web:1", strange)), []);
        }
    }

    #[test]
    fn a_container_made_by_an_id_shows_what_was_asked_for() {
        assert_eq!(present(&facts(&id('1'), "web:1", "")).image, "web:1");
        assert_eq!(present(&facts(&id('1'), &id('1'), "")).image, "web:asked");
    }

    #[test]
    fn what_would_be_lost_on_the_way_is_refused() {
        let refused = |host: serde_json::Value, networks: serde_json::Value| {
            let facts = serde_json::json!({"Name": "/w", "HostConfig": host,
                "NetworkSettings": {"Networks": networks}});
            refusal(&serde_json::from_value(facts).unwrap())
        };
        let back = serde_json::json!({"NetworkMode": "back"});
        let joined = serde_json::json!({"back": {}});
        assert_eq!(refused(back.clone(), joined.clone()), None);
        assert!(
            refused(back, serde_json::json!({}))
                .unwrap()
                .contains("Release it")
        );
        let host = serde_json::json!({"NetworkMode": "host"});
        assert_eq!(refused(host, serde_json::json!({"host": {}})), None);
        let passing = serde_json::json!({"NetworkMode": "back", "AutoRemove": true});
        assert!(refused(passing, joined).unwrap().contains("--rm"));
    }
}
