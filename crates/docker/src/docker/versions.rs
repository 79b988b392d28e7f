//! What a service runs and ran, and what it can run.
//!
//! The engine remembers no former containers. So each deployment notes in a label of the new
//! container what ran before it.

use bollard::models::ContainerInspectResponse;

use super::dependants::Neighbours;
use super::find;
use super::inspected::Inspected;
use super::spec::DEFAULT_NETWORKS;
use crate::engine::container::{self, label, network_mode, place_in, time};
use crate::engine::version_label::{self, IMAGE, PREVIOUS, version};
use crate::engine::{ContainerRef, Engine, Result, image, unsupported};
use treasury_domain::service::{Service, Version};

/// What the newest replica runs, then what ran before and could still run.
pub async fn versions(engine: &Engine, service: &Service) -> Result<Vec<Version>> {
    let facts = find::described(engine, service).await?.into_iter();
    let Some(newest) = facts.max_by_key(|facts| time(facts.created.as_deref())) else {
        return Ok(Vec::new());
    };
    let left = image::runnable(engine, former(&newest)).await?;
    Ok(std::iter::once(present(&newest)).chain(left).collect())
}

/// What a container runs.
fn present(facts: &ContainerInspectResponse) -> Version {
    let id = facts.image.clone().unwrap_or_default();
    let named = container::image_name(facts);
    let by_name = named.filter(|named| !image::is_id(named));
    let image = by_name.or(label(facts, IMAGE)).or(named);
    let image = image.unwrap_or(&id).clone();
    version(id, image, time(facts.created.as_deref()))
}

/// What ran before this container, none twice and none that it runs itself.
fn former(facts: &ContainerInspectResponse) -> Vec<Version> {
    let text = label(facts, PREVIOUS).map_or("", String::as_str);
    let present = facts.image.as_deref().unwrap_or_default();
    let by_id = |version: &Version| image::is_id(&version.id);
    version_label::former(text, container::name(facts), present, by_id)
}

/// The label for the container that replaces this one with an image of the id `next`.
pub fn previous(facts: &ContainerInspectResponse, next: &str) -> String {
    version_label::previous(std::iter::once(present(facts)).chain(former(facts)), next)
}

/// The version that an image is, if this service can be brought to it.
pub async fn deployable(engine: &Engine, service: &Service, image: &str) -> Result<Version> {
    let found = find::with_replaced(engine, service).await?;
    let neighbours = Neighbours::of(engine).await?;
    can_be_replaced(engine, &neighbours, &found).await?;
    let Some(there) = image::inspect(engine, image).await? else {
        return Err(image::absent(image));
    };
    let id = there.id.unwrap_or_default();
    let tag = there.repo_tags.unwrap_or_default().into_iter().next();
    let by_id = image::means_id(image, &id);
    let name = tag.filter(|_| by_id);
    let name = name.unwrap_or_else(|| if by_id { id.clone() } else { image.to_owned() });
    Ok(version(id, name, None))
}

/// Refuses to replace these containers where one can't be.
pub fn replaceable(neighbours: &Neighbours, own: &[ContainerRef]) -> Result<()> {
    if let Some(why) = neighbours.described(own).find_map(refusal) {
        return Err(unsupported(why));
    }
    neighbours.replaceable(own)?;
    neighbours.startable(own)
}

/// The same before anything is done, with what copies of them could not have.
pub async fn can_be_replaced(
    engine: &Engine,
    neighbours: &Neighbours,
    own: &[ContainerRef],
) -> Result<()> {
    replaceable(neighbours, own)?;
    for one in own {
        Inspected::copyable(engine, &one.id).await?;
    }
    Ok(())
}

/// Why this container can't be replaced, if it can't.
fn refusal(facts: &ContainerInspectResponse) -> Option<String> {
    let name = container::name(facts);
    if facts.host_config.as_ref()?.auto_remove == Some(true) {
        return Some(format!(
            "{name} was started with --rm: it would be gone before its successor is well. Start \
             it without --rm"
        ));
    }
    let mode = network_mode(facts);
    let own = ["host", "none", ""].contains(&mode)
        || DEFAULT_NETWORKS.contains(&mode)
        || mode.starts_with("container:");
    facts.network_settings.as_ref()?;
    (!own && place_in(facts, mode).is_none()).then(|| {
        format!(
            "{name} is cut off from its network {mode}: a new container would be joined to it. \
             Release it first"
        )
    })
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
        assert_eq!(listed(&long).len(), version_label::MAX_FORMER);
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
