//! Bringing a service to another image: a new description, which Swarm rolls out.

use serde_json::{Value, json};

use super::super::versions::PREVIOUS;
use super::super::{image, wait};
use super::Swarm;
use super::rollout::follow;
use super::service::{Seen, change, image_of, label, set_label};
use super::versions::ASKED;
use treasury_domain::service::{Patience, ServiceStatus, Version};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// What of a description a deployment changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    image: String,
    previous: Option<String>,
    asked: Option<String>,
}

impl Part {
    fn of(spec: &Value) -> Self {
        let owned = |name| label(spec, name).map(str::to_owned);
        Self {
            image: image_of(spec).to_owned(),
            previous: owned(PREVIOUS),
            asked: owned(ASKED),
        }
    }

    fn put(&self, spec: &mut Value) {
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(self.image);
        set_label(spec, PREVIOUS, self.previous.as_deref());
        set_label(spec, ASKED, self.asked.as_deref());
    }
}

/// Brings all tasks to a version. Where the rollout stops, the former version is put back.
pub(in super::super) async fn deploy(
    swarm: Swarm<'_>,
    version: &Version,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let seen = Seen::now(swarm).await?;
    if image::is_id(&version.id) && image::inspect(swarm.engine, &version.id).await?.is_none() {
        return Err(super::super::versions::absent(&version.image));
    }
    let present = seen.present().await?;
    let wanted = Part {
        image: version.id.clone(),
        previous: Some(seen.note(&present, &version.id)),
        asked: Some(version.image.clone()),
    };
    // Called again after a crash, the description has the new image already, and Swarm knows what
    // was before it.
    let again = image_of(&seen.spec) == wanted.image;
    let before = Part::of(if again { &seen.previous } else { &seen.spec });
    if !again && present.id != version.id {
        let image = &version.image;
        progress.report(0, seen.total(), format!("Swarm is told to run {image}"));
        change(swarm, |spec| {
            if image_of(spec) == wanted.image {
                return false;
            }
            wanted.put(spec);
            true
        })
        .await?;
    }
    let error = match follow(swarm, patience, progress).await {
        Ok(seen) => return Ok(seen.status()),
        Err(error @ PlatformError::Unwell { .. }) => error,
        Err(error) => return Err(error),
    };
    let after = Seen::now(swarm).await?;
    let ours = image_of(&after.spec) == wanted.image && wanted.image != before.image;
    if !ours || before.image.is_empty() {
        // Swarm has put it back by itself, or somebody has deployed something else meanwhile.
        return Err(error);
    }
    Err(put_back(swarm, &wanted, &before, patience, progress, error).await)
}

/// Puts the former image back; the error tells of both.
async fn put_back(
    swarm: Swarm<'_>,
    wanted: &Part,
    before: &Part,
    patience: Patience,
    progress: &ProgressSink,
    error: PlatformError,
) -> PlatformError {
    let name = swarm.name;
    progress.report(0, 1, "putting the former version back");
    let back = change(swarm, |spec| {
        if image_of(spec) != wanted.image {
            return false;
        }
        before.put(spec);
        true
    });
    let image = before
        .asked
        .as_deref()
        .filter(|_| image::is_id(&before.image));
    let image = image.unwrap_or(&before.image);
    let text = match back.await {
        Err(other) => format!(
            "{error}\n{name} could not be put back to {image}: {other}\nPut it back with `docker \
             service rollback {name}`"
        ),
        Ok(_) => match follow(swarm, patience, progress).await {
            Ok(_) => format!("{error}\n{name} was put back to {image} and is well"),
            Err(other) => format!("{error}\n{name} was put back to {image}, but: {other}"),
        },
    };
    wait::unwell(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_is_what_was_there() {
        let spec = json!({"Labels": {"a": "1"},
            "TaskTemplate": {"ContainerSpec": {"Image": "api:1", "Args": ["x"]}, "New": 7}});
        let before = Part::of(&spec);
        let mut changed = spec.clone();
        let wanted = Part {
            image: "api:2".to_owned(),
            previous: Some("[]".to_owned()),
            asked: Some("api:2".to_owned()),
        };
        wanted.put(&mut changed);
        assert_eq!(Part::of(&changed), wanted);
        before.put(&mut changed);
        assert_eq!(changed, spec);
    }
}
