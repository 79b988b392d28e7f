//! The number of replicas.

use kube::api::Patch;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::edit::{edit, member};
use crate::rollout::Goal;
use crate::snapshot::Scaler;
use crate::{Result, Scope, Snapshot, WorkloadRef, patch_params, rollout, snapshot};
use treasury_domain::service::{Bounds, Patience, WorkloadKind};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Why the workload can't be brought to another number, if it can't.
pub(crate) async fn scalable(scope: Scope<'_>) -> Result<()> {
    snapshot::workload(scope).await?;
    let scaler = snapshot::scaler(scope).await?;
    check(scope.target, scaler.as_ref())
}

fn check(target: WorkloadRef<'_>, scaler: Option<&Scaler>) -> Result<()> {
    let WorkloadRef { name, service, .. } = target;
    let why = match scaler {
        _ if target.kind == WorkloadKind::DaemonSet => format!(
            "{name} is a DaemonSet: it has one pod on each machine, and no number to set. Its nodes \
             are chosen by nodeSelector and taints"
        ),
        Some(scaler) => format!(
            "{name} is scaled by the HorizontalPodAutoscaler {} between {} and {}: it would undo \
             any other number. Set its bounds in its place: bounds {service} MIN MAX",
            scaler.name, scaler.min, scaler.max
        ),
        None => return Ok(()),
    };
    Err(PlatformError::Unsupported(why))
}

/// Between which numbers the workload is scaled by itself.
pub(crate) async fn bounds(scope: Scope<'_>) -> Result<Bounds> {
    let Scaler { min, max, .. } = scaler(scope).await?;
    Ok(Bounds { min, max })
}

async fn scaler(scope: Scope<'_>) -> Result<Scaler> {
    snapshot::workload(scope).await?;
    let found = snapshot::scaler(scope).await?;
    found.ok_or_else(|| {
        PlatformError::Unsupported(format!(
            "no HorizontalPodAutoscaler scales {}: set its number with: scale {} N",
            scope.target.name, scope.target.service
        ))
    })
}

/// Sets the bounds; the autoscaler then does what they ask for.
pub(crate) async fn set_bounds(scope: Scope<'_>, bounds: Bounds) -> Result<Snapshot> {
    if bounds.min == 0 {
        return Err(PlatformError::Unsupported(
            "an autoscaler keeps at least one replica: set 1 or more".to_owned(),
        ));
    }
    let scaler = scaler(scope).await?;
    let set = &mut |object: &mut Value| {
        *member(object, &["spec", "minReplicas"]) = bounds.min.into();
        *member(object, &["spec", "maxReplicas"]) = bounds.max.into();
    };
    edit(&scope.autoscalers().await?, &scaler.name, set).await?;
    snapshot::take(scope).await
}

/// Brings the workload to that number and awaits it.
pub(crate) async fn scale(
    scope: Scope<'_>,
    replicas: u32,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Snapshot> {
    let seen = snapshot::take(scope).await?;
    check(scope.target, seen.scaler.as_ref())?;
    if seen.desired() != replicas {
        let name = scope.target.name;
        let workloads = scope.workloads();
        // The number is absolute, so nobody's change can be lost by it but another number.
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let request = workloads
            .request
            .patch_subresource("scale", name, &patch_params(), &patch);
        let what = format!("scaling {name}");
        workloads.send::<IgnoredAny>(&what, request).await?;
    }
    let goal = Goal {
        old: rollout::ids(&seen),
        patience,
        progress,
        is_reached: &|seen| {
            seen.workload.is_observed()
                && seen.desired() == replicas
                && seen.living().count() == replicas as usize
                && seen.is_ready()
        },
    };
    rollout::follow(scope, &goal).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scales_itself_is_not_scaled() {
        let target = |kind| WorkloadRef {
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
        let deployment = target(WorkloadKind::Deployment);
        assert!(check(deployment, None).is_ok());
        let why = check(deployment, Some(&scaler)).unwrap_err().to_string();
        assert!(why.contains("web-hpa between 2 and 9"), "{why}");
        let why = check(target(WorkloadKind::DaemonSet), None).unwrap_err();
        assert!(why.to_string().contains("one pod on each machine"));
    }
}
