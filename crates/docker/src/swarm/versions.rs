//! What a Swarm service runs and ran, and what it can run.
//!
//! Swarm remembers one former description, which any change replaces, a restart too. So each
//! deployment notes what ran before in a label of the service.

use bollard::models::Task;

use super::super::versions::{PREVIOUS, listed, noted};
use super::super::{find, image};
use super::Swarm;
use super::service::{Seen, image_of, label, shown};
use super::tasks::is_running;
use treasury_domain::service::Version;
use treasury_ports::platform::PlatformError;

/// Our label for the image as it was asked for, which an id does not show.
pub(super) const ASKED: &str = super::super::versions::IMAGE;

impl Seen<'_> {
    /// The Swarm is this engine alone: what it has, every machine has.
    fn alone(&self) -> bool {
        self.nodes.len() == 1
    }

    /// What the description names, exactly: by a digest or an id where there is one.
    pub(super) async fn present(&self) -> Result<Version, PlatformError> {
        let named = image_of(&self.spec);
        let current: Vec<&Task> = self
            .tasks
            .iter()
            .filter(|task| is_running(task) && self.is_fresh(task))
            .collect();
        let mut id = named.to_owned();
        // A name alone may mean another image by now: what runs here tells.
        if self.alone() && !is_exact(named) {
            for task in &current {
                let status = task.status.as_ref();
                let container = status.and_then(|status| status.container_status.as_ref());
                let Some(container) = container.and_then(|one| one.container_id.as_ref()) else {
                    continue;
                };
                let facts = find::inspect(self.swarm.engine, container).await?;
                if let Some(image) = facts.and_then(|facts| facts.image) {
                    id = image;
                    break;
                }
            }
        }
        let since = current
            .iter()
            .filter_map(|task| find::time(task.created_at.as_deref()))
            .min();
        Ok(Version {
            id,
            image: shown(named, &self.spec),
            since,
            changes: Vec::new(),
        })
    }

    /// What ran before, the newest first.
    pub(super) fn former(&self, present: &Version) -> Vec<Version> {
        let text = label(&self.spec, PREVIOUS).unwrap_or_default();
        let exact = |version: &Version| is_exact(&version.id) || image::is_reference(&version.id);
        let mut former = listed(text, self.swarm.name, &present.id, &exact);
        // Deployed by somebody else, who leaves no note.
        let before = image_of(&self.previous);
        let known = before == image_of(&self.spec) || before == present.id;
        if former.is_empty() && !known && image::is_reference(before) {
            former.push(Version {
                id: before.to_owned(),
                image: shown(before, &self.previous),
                since: None,
                changes: Vec::new(),
            });
        }
        former
    }

    /// The label for a description with the version `next`.
    pub(super) fn note(&self, present: &Version, next: &str) -> String {
        let ran = std::iter::once(present.clone()).chain(self.former(present));
        noted(ran, next)
    }
}

/// It names one image for ever.
fn is_exact(reference: &str) -> bool {
    image::is_id(reference) || reference.contains("@sha256:")
}

/// The present version, then those before it that can still run.
pub(in super::super) async fn versions(swarm: Swarm<'_>) -> Result<Vec<Version>, PlatformError> {
    let seen = Seen::now(swarm).await?;
    let present = seen.present().await?;
    let mut versions = vec![present.clone()];
    for version in seen.former(&present) {
        // What has a name can be fetched by the machines themselves.
        let there = !image::is_id(&version.id)
            || image::inspect(swarm.engine, &version.id).await?.is_some();
        if there {
            versions.push(version);
        }
    }
    Ok(versions)
}

/// What an image is exactly, if the Swarm can run it.
pub(in super::super) async fn deployable(
    swarm: Swarm<'_>,
    wanted: &str,
) -> Result<Version, PlatformError> {
    let local = image::inspect(swarm.engine, wanted).await?;
    let seen = Seen::now(swarm).await?;
    if !seen.spec["TaskTemplate"]["ContainerSpec"].is_object() {
        let name = swarm.name;
        return Err(PlatformError::Unsupported(format!(
            "{name} runs no containers: no image can be deployed"
        )));
    }
    let tagged = |id: &str| {
        let tags = local.as_ref().and_then(|image| image.repo_tags.as_ref());
        let first = tags.and_then(|tags| tags.first()).cloned();
        first.unwrap_or_else(|| id.to_owned())
    };
    let own = local.as_ref().and_then(|image| image.id.clone());
    let by_id = own.as_ref().is_some_and(|id| {
        image::is_id(wanted) || id.trim_start_matches("sha256:").starts_with(wanted)
    });
    let version = |id: String, image: String| Version {
        id,
        image,
        since: None,
        changes: Vec::new(),
    };
    if let (Some(id), true) = (&own, seen.alone()) {
        let image = if by_id { tagged(id) } else { wanted.to_owned() };
        return Ok(version(id.clone(), image));
    }
    if by_id {
        return Err(PlatformError::Unsupported(
            "an image's id means something on its own node only, and the Swarm has several: deploy \
             by NAME:TAG"
                .to_owned(),
        ));
    }
    let name = wanted.split_once('@').map_or(wanted, |(name, _)| name);
    if is_exact(wanted) {
        return Ok(version(wanted.to_owned(), name.to_owned()));
    }
    if let Some(digest) = pulled(local.as_ref(), wanted) {
        return Ok(version(format!("{wanted}@{digest}"), name.to_owned()));
    }
    let client = swarm.engine.client()?;
    let asked = client.inspect_registry_image(wanted, None);
    let limit = super::super::engine::ACT;
    match swarm
        .engine
        .call("the registry's answer", limit, asked)
        .await
    {
        Ok(found) => {
            let digest = found.descriptor.digest.unwrap_or_default();
            let exact = format!("{wanted}@{digest}");
            Ok(version(
                if digest.is_empty() {
                    wanted.to_owned()
                } else {
                    exact
                },
                name.to_owned(),
            ))
        }
        // The machines may have it, or rights of their own to fetch it.
        Err(_) if own.is_some() => Ok(version(wanted.to_owned(), name.to_owned())),
        Err(error) => Err(PlatformError::Unsupported(format!(
            "the image {wanted} is not on the manager, and its registry does not tell of it \
             ({error}): push it, or `docker pull {wanted}` on the manager, then ask again"
        ))),
    }
}

/// The digest under which the engine got this image from its registry.
fn pulled(local: Option<&bollard::models::ImageInspect>, wanted: &str) -> Option<String> {
    let slash = wanted.rfind('/').unwrap_or(0);
    let repository = match wanted[slash..].find(':') {
        Some(colon) => &wanted[..slash + colon],
        None => wanted,
    };
    let digests = local?.repo_digests.as_ref()?;
    digests.iter().find_map(|one| {
        let (name, digest) = one.split_once('@')?;
        (name == repository).then(|| digest.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_same_repository() {
        let local = serde_json::json!({"RepoDigests": ["hub:5000/t/api@sha256:1", "api@sha256:2"]});
        let local = serde_json::from_value(local).unwrap();
        let of = |wanted| pulled(Some(&local), wanted);
        assert_eq!(of("hub:5000/t/api:1.2").as_deref(), Some("sha256:1"));
        assert_eq!(of("hub:5000/t/api").as_deref(), Some("sha256:1"));
        assert_eq!(of("api:1").as_deref(), Some("sha256:2"));
        assert_eq!(of("other/api:1"), None);
        assert_eq!(pulled(None, "api:1"), None);
    }
}
