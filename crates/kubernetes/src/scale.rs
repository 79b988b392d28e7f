//! The number of replicas.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::MANAGER;
use super::api::Line;
use super::edit::{edit, member};
use super::find::{self, Place, Scaler, Seen};
use super::pod;
use super::rollout::{self, Goal};
use super::workload::resource;
use treasury_domain::service::{Bounds, Patience, WorkloadKind};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Why the workload can't be brought to that number, if it can't.
pub(super) async fn scalable(line: &Line, place: Place<'_>) -> Result<(), PlatformError> {
    find::workload(line, place).await?;
    let scaler = find::scaler(line, place).await?;
    may(place, scaler.as_ref())
}

fn may(place: Place<'_>, scaler: Option<&Scaler>) -> Result<(), PlatformError> {
    if place.kind == WorkloadKind::DaemonSet {
        return Err(PlatformError::Unsupported(format!(
            "{} is a DaemonSet: it has one pod on each machine, and no number to set. Its nodes \
             are chosen by nodeSelector and taints",
            place.name
        )));
    }
    if let Some(scaler) = scaler {
        return Err(PlatformError::Unsupported(format!(
            "{} is scaled by the HorizontalPodAutoscaler {} between {} and {}: it would undo any \
             other number. Set its bounds in its place: bounds {} MIN MAX",
            place.name, scaler.name, scaler.min, scaler.max, place.service
        )));
    }
    Ok(())
}

/// Between which numbers the workload is scaled by itself.
pub(super) async fn bounds(line: &Line, place: Place<'_>) -> Result<Bounds, PlatformError> {
    let scaler = scaler(line, place).await?;
    Ok(Bounds {
        min: scaler.min,
        max: scaler.max,
    })
}

async fn scaler(line: &Line, place: Place<'_>) -> Result<Scaler, PlatformError> {
    find::workload(line, place).await?;
    let found = find::scaler(line, place).await?;
    found.ok_or_else(|| {
        PlatformError::Unsupported(format!(
            "no HorizontalPodAutoscaler scales {}: set its number with: scale {} N",
            place.name, place.service
        ))
    })
}

/// Sets the bounds; the autoscaler then does what they ask for.
pub(super) async fn set_bounds(
    line: &Line,
    place: Place<'_>,
    bounds: Bounds,
) -> Result<Seen, PlatformError> {
    if bounds.min == 0 {
        return Err(PlatformError::Unsupported(
            "an autoscaler keeps at least one replica: set 1 or more".to_owned(),
        ));
    }
    let scaler = scaler(line, place).await?;
    let api = find::objects(line, place, &find::autoscaler(line, place).await?).await?;
    edit(line, &api, &scaler.name, |object| {
        *member(object, &["spec", "minReplicas"]) = bounds.min.into();
        *member(object, &["spec", "maxReplicas"]) = bounds.max.into();
        Ok(())
    })
    .await?;
    find::look(line, place).await
}

/// Brings the workload to that number and awaits it.
pub(super) async fn scale(
    line: &Line,
    place: Place<'_>,
    replicas: u32,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Seen, PlatformError> {
    let seen = find::look(line, place).await?;
    may(place, seen.scaler.as_ref())?;
    if seen.workload.counts().desired != replicas {
        let api = find::objects(line, place, &resource(place.kind)).await?;
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        // The number is absolute, so nobody's change can be lost by it but another number.
        let patch = json!({ "spec": { "replicas": replicas } });
        let patch = Patch::Merge(&patch);
        let call = api.patch_scale(place.name, &params, &patch);
        let what = format!("scaling {}", place.name);
        line.call(&what, call).await?;
    }
    let done = |seen: &Seen| {
        seen.workload.is_observed()
            && seen.workload.counts().desired == replicas
            && seen.living().count() == replicas as usize
            && seen.living().all(|pod| pod::is_ready(pod))
    };
    let goal = Goal {
        old: rollout::ids(&seen.pods),
        patience,
        progress,
        done: &done,
    };
    rollout::follow(line, place, &goal).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scales_itself_is_not_scaled() {
        let place = |kind| Place {
            namespace: "shop",
            kind,
            name: "web",
            service: "web",
        };
        let scaler = Scaler {
            name: "web-hpa".into(),
            min: 2,
            max: 9,
        };
        let deployment = place(WorkloadKind::Deployment);
        assert!(may(deployment, None).is_ok());
        let why = may(deployment, Some(&scaler)).unwrap_err().to_string();
        assert!(why.contains("web-hpa between 2 and 9"), "{why}");
        let why = may(place(WorkloadKind::DaemonSet), None).unwrap_err();
        assert!(why.to_string().contains("one pod on each machine"));
    }
}
