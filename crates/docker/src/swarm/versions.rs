//! What a Swarm service runs and ran, and what it can run.
//!
//! Swarm remembers one former description, which any change replaces, a restart too. So each
//! deployment notes what ran before in a label of the service.

use bollard::models::{ImageInspect, Task};

use super::snapshot::{Snapshot, SwarmService};
use super::spec::{image_of, label, shown};
use super::tasks::{container, is_running};
use crate::engine::container::{inspect, time};
use crate::engine::version_label::{self, PREVIOUS, version};
use crate::engine::{Engine, Result, image, unsupported};
use treasury_domain::service::Version;

impl Snapshot<'_> {
    /// The Swarm is this engine alone: what it has, every machine has.
    fn is_alone(&self) -> bool {
        self.nodes.len() == 1
    }

    /// What the description names, exactly: by a digest or an id where there is one.
    pub async fn present(&self) -> Result<Version> {
        let named = image_of(&self.spec);
        let is_current = |task: &&Task| is_running(task) && self.is_fresh(task);
        let current: Vec<&Task> = self.tasks.iter().filter(is_current).collect();
        let mut id = named.to_owned();
        // A name alone may mean another image by now: what runs here tells.
        if self.is_alone() && !is_exact(named) {
            for container in current.iter().filter_map(|task| container(task)) {
                let facts = inspect(self.service.engine, container).await?;
                if let Some(image) = facts.and_then(|facts| facts.image) {
                    id = image;
                    break;
                }
            }
        }
        let begun = current.iter();
        let since = begun
            .filter_map(|task| time(task.created_at.as_deref()))
            .min();
        Ok(version(id, shown(named, &self.spec), since))
    }

    /// What ran before, the newest first.
    fn former(&self, present: &Version) -> Vec<Version> {
        let text = label(&self.spec, PREVIOUS).unwrap_or_default();
        let exact = |version: &Version| is_exact(&version.id) || image::is_reference(&version.id);
        let mut former = version_label::former(text, self.service.name, &present.id, exact);
        // Deployed by somebody else, who leaves no note.
        let before = image_of(&self.previous);
        let known = before == image_of(&self.spec) || before == present.id;
        if former.is_empty() && !known && image::is_reference(before) {
            former.push(version(before, shown(before, &self.previous), None));
        }
        former
    }

    /// The label for a description with the version `next`.
    pub fn note(&self, present: &Version, next: &str) -> String {
        let ran = std::iter::once(present.clone()).chain(self.former(present));
        version_label::previous(ran, next)
    }
}

/// It names one image for ever.
fn is_exact(reference: &str) -> bool {
    image::is_id(reference) || reference.contains("@sha256:")
}

/// The present version, then those before it that can still run.
pub async fn versions(swarm: SwarmService<'_>) -> Result<Vec<Version>> {
    let snapshot = Snapshot::now(swarm).await?;
    let present = snapshot.present().await?;
    let former = image::runnable(swarm.engine, snapshot.former(&present)).await?;
    Ok(std::iter::once(present).chain(former).collect())
}

/// What an image is exactly, if the Swarm can run it.
pub async fn deployable(swarm: SwarmService<'_>, wanted: &str) -> Result<Version> {
    let local = image::inspect(swarm.engine, wanted).await?;
    let snapshot = Snapshot::now(swarm).await?;
    if !snapshot.spec["TaskTemplate"]["ContainerSpec"].is_object() {
        let name = swarm.name;
        return Err(unsupported(format!(
            "{name} runs no containers: no image can be deployed"
        )));
    }
    let own_id = local.as_ref().and_then(|image| image.id.as_deref());
    let by_id = own_id.is_some_and(|id| image::means_id(wanted, id));
    if let (Some(id), true) = (own_id, snapshot.is_alone()) {
        let tags = local.as_ref().and_then(|image| image.repo_tags.as_ref());
        let tag = tags
            .and_then(|tags| tags.first())
            .map_or(id, String::as_str);
        return Ok(version(id, if by_id { tag } else { wanted }, None));
    }
    if by_id {
        return Err(unsupported(
            "an image's id means something on its own node only, and the Swarm has several: deploy \
             by NAME:TAG",
        ));
    }
    let name = wanted.split_once('@').map_or(wanted, |(name, _)| name);
    let digest = match pulled(local.as_ref(), wanted) {
        _ if is_exact(wanted) => None,
        Some(Digest::Registry(digest)) => Some(digest),
        Some(Digest::Unproven(digest)) => {
            let exact = format!("{wanted}@{digest}");
            registry_digest(swarm.engine, &exact).await.ok().flatten()
        }
        None => match registry_digest(swarm.engine, wanted).await {
            Ok(digest) => digest,
            // The machines may have it, or rights of their own to fetch it.
            Err(_) if own_id.is_some() => None,
            Err(error) => {
                return Err(unsupported(format!(
                    "the image {wanted} is not on the manager, and its registry does not tell of \
                     it ({error}): push it, or `docker pull {wanted}` on the manager, then ask \
                     again"
                )));
            }
        },
    };
    let id = digest.map_or_else(|| wanted.to_owned(), |digest| format!("{wanted}@{digest}"));
    Ok(version(id, name, None))
}

/// The digest by which the image's registry knows it.
async fn registry_digest(engine: &Engine, wanted: &str) -> Result<Option<String>> {
    let call = engine.client()?.inspect_registry_image(wanted, None);
    let found = engine.change("the registry's answer", call).await?;
    Ok(found.descriptor.digest.filter(|digest| !digest.is_empty()))
}

/// The digest that the engine tells of an image.
#[derive(Debug, PartialEq, Eq)]
enum Digest {
    /// Its registry gave it.
    Registry(String),
    /// It may be the engine's own: see the crate's head.
    Unproven(String),
}

/// The digest that the engine tells of this image.
fn pulled(local: Option<&ImageInspect>, wanted: &str) -> Option<Digest> {
    let slash = wanted.rfind('/').unwrap_or(0);
    let repository = match wanted[slash..].find(':') {
        Some(colon) => &wanted[..slash + colon],
        None => wanted,
    };
    let local = local?;
    let own = local.id.as_deref();
    local.repo_digests.as_ref()?.iter().find_map(|one| {
        let (name, digest) = one.split_once('@')?;
        let found = if own == Some(digest) {
            Digest::Unproven
        } else {
            Digest::Registry
        };
        (name == repository).then(|| found(digest.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_same_repository() {
        let local = serde_json::json!({"Id": "sha256:0",
            "RepoDigests": ["hub:5000/t/api@sha256:1", "api@sha256:2", "mine@sha256:0"]});
        let local = serde_json::from_value(local).unwrap();
        let of = |wanted| pulled(Some(&local), wanted);
        let registry = |digest: &str| Some(Digest::Registry(digest.to_owned()));
        assert_eq!(of("hub:5000/t/api:1.2"), registry("sha256:1"));
        assert_eq!(of("hub:5000/t/api"), registry("sha256:1"));
        assert_eq!(of("api:1"), registry("sha256:2"));
        let unproven = Some(Digest::Unproven("sha256:0".to_owned()));
        assert_eq!(of("mine:1"), unproven, "its id: the engine's own digest");
        assert_eq!(of("other/api:1"), None);
        assert_eq!(pulled(None, "api:1"), None);
    }
}
