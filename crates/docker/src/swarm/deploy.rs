//! Bringing a service to another image: a new description, which Swarm rolls out.

use serde_json::{Value, json};

use super::change::Change;
use super::rollout::follow;
use super::snapshot::Snapshot;
use super::spec::{image_of, label, set_label};
use crate::engine::version_label::{IMAGE, PREVIOUS};
use crate::engine::{Result, image, unwell};
use treasury_domain::service::{ServiceStatus, Version};
use treasury_ports::platform::PlatformError;

/// What of a description a deployment changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DeployedPart {
    image: String,
    previous: Option<String>,
    requested: Option<String>,
}

impl DeployedPart {
    fn of_spec(spec: &Value) -> Self {
        let owned = |name| label(spec, name).map(str::to_owned);
        Self {
            image: image_of(spec).to_owned(),
            previous: owned(PREVIOUS),
            requested: owned(IMAGE),
        }
    }

    /// Writes it into a description, which is thereby changed.
    fn put(&self, spec: &mut Value) -> bool {
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(self.image);
        set_label(spec, PREVIOUS, self.previous.as_deref());
        set_label(spec, IMAGE, self.requested.as_deref());
        true
    }
}

/// Brings all tasks to a version. Where the rollout stops, the former version is put back.
pub async fn deploy(change: Change<'_>, version: &Version) -> Result<ServiceStatus> {
    let swarm = change.service;
    let snapshot = Snapshot::now(swarm).await?;
    if image::is_id(&version.id) && !image::is_there(swarm.engine, &version.id).await? {
        return Err(image::absent(&version.image));
    }
    let present = snapshot.present().await?;
    let wanted = DeployedPart {
        image: version.id.clone(),
        previous: Some(snapshot.note(&present, &version.id)),
        requested: Some(version.image.clone()),
    };
    // Called again after a crash, the description has the new image already, and Swarm knows what
    // was before it.
    let again = image_of(&snapshot.spec) == wanted.image;
    let before = DeployedPart::of_spec(if again {
        &snapshot.previous
    } else {
        &snapshot.spec
    });
    if !again && present.id != version.id {
        let line = format!("Swarm is told to run {}", version.image);
        change.progress.report(0, snapshot.total(), line);
        let deploy = |spec: &mut Value| image_of(spec) != wanted.image && wanted.put(spec);
        change.update(deploy).await?;
    }
    let error = match follow(change).await {
        Ok(snapshot) => return Ok(snapshot.status()),
        Err(error @ PlatformError::Unwell { .. }) => error,
        Err(error) => return Err(error),
    };
    let after = Snapshot::now(swarm).await?;
    let ours = image_of(&after.spec) == wanted.image && wanted.image != before.image;
    if !ours || before.image.is_empty() {
        // Swarm has put it back by itself, or somebody has deployed something else meanwhile.
        return Err(error);
    }
    Err(put_back(change, &wanted, &before, error).await)
}

/// Puts the former image back; the error tells of both.
async fn put_back(
    change: Change<'_>,
    wanted: &DeployedPart,
    before: &DeployedPart,
    error: PlatformError,
) -> PlatformError {
    let (name, progress) = (change.service.name, change.progress);
    progress.report(0, 1, "putting the former version back");
    let restore = |spec: &mut Value| image_of(spec) == wanted.image && before.put(spec);
    let back = change.update(restore).await;
    let requested = before.requested.as_ref();
    let requested = requested.filter(|_| image::is_id(&before.image));
    let image = requested.unwrap_or(&before.image);
    unwell(match back {
        Err(other) => format!(
            "{error}\n{name} could not be put back to {image}: {other}\nPut it back with `docker \
             service rollback {name}`"
        ),
        Ok(()) => match follow(change).await {
            Ok(_) => format!("{error}\n{name} was put back to {image} and is well"),
            Err(other) => format!("{error}\n{name} was put back to {image}, but: {other}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_is_what_was_there() {
        let spec = json!({"Labels": {"a": "1"},
            "TaskTemplate": {"ContainerSpec": {"Image": "api:1", "Args": ["x"]}, "New": 7}});
        let before = DeployedPart::of_spec(&spec);
        let mut changed = spec.clone();
        let wanted = DeployedPart {
            image: "api:2".to_owned(),
            previous: Some("[]".to_owned()),
            requested: Some("api:2".to_owned()),
        };
        wanted.put(&mut changed);
        assert_eq!(DeployedPart::of_spec(&changed), wanted);
        before.put(&mut changed);
        assert_eq!(changed, spec);
    }
}
