//! From a service to its workload and the pods that are its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use kube::api::GetParams;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::object::ObjectReference;
use crate::{
    Kind, Metadata, Object, Pod, Result, Scope, Workload, WorkloadObject, WorkloadRef, if_there,
    not_found,
};
use treasury_domain::service::WorkloadKind;
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;

/// The most names that an error lists.
const NAMES: usize = 10;

/// What scales a workload, as the server has it.
pub(crate) type Autoscaler = Object<AutoscalerSpec>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AutoscalerSpec {
    scale_target_ref: ObjectReference,
    min_replicas: Option<u32>,
    max_replicas: u32,
}

/// What controls the number of replicas of a workload by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scaler {
    pub(crate) name: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// A workload with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) workload: Workload,
    /// Its own pods, ordered by name.
    pub(crate) pods: Vec<Arc<Pod>>,
    /// `None` too where the bot may not read autoscalers.
    pub(crate) scaler: Option<Scaler>,
    /// How old this is, where it is from memory and the server does not answer now.
    pub(crate) age: Option<Duration>,
}

impl Snapshot {
    pub(crate) fn new(workload: Workload, mut pods: Vec<Arc<Pod>>, scaler: Option<Scaler>) -> Self {
        pods.sort_by(|a, b| by_name(a.name(), b.name()));
        Self {
            workload,
            pods,
            scaler,
            age: None,
        }
    }

    /// The pods that are not being removed and did not come to their end.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let all = self.pods.iter();
        all.filter(|pod| !pod.is_leaving() && !pod.is_over())
    }

    /// Every living pod is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.living().all(|pod| pod.is_ready())
    }

    /// How many pods there are to be.
    pub(crate) fn desired(&self) -> u32 {
        self.workload.counts().desired
    }
}

/// Asks for the workload.
pub(crate) async fn workload(scope: Scope<'_>) -> Result<Workload> {
    let WorkloadRef { kind, name, .. } = scope.target;
    let workloads = scope.workloads();
    let request = workloads.request.get(name, &GetParams::default());
    let what = format!("reading {}/{name}", kind.word());
    match if_there(workloads.send(&what, request).await)? {
        Some(object) => Ok(Workload { kind, object }),
        None => Err(missing(scope).await),
    }
}

/// Asks for the workload and what belongs to it: the pods whose chain of owners leads to it.
pub(crate) async fn take(scope: Scope<'_>) -> Result<Snapshot> {
    let workload = workload(scope).await?;
    let selector = workload.selector()?;
    let resource = scope.all(Kind::POD);
    let pods = try_join(
        resource.list(Some(&selector)),
        replica_sets(scope, &workload),
    );
    let ((pods, sets), scaler) = try_join(pods, scaler(scope)).await?;
    let owners = owners(&workload, sets.iter().map(|set| &set.metadata));
    let own = |pod: &Pod| {
        let controller = pod.metadata.controller();
        controller.is_some_and(|uid| owners.contains(uid))
    };
    let pods = pods.into_iter().filter(own).map(Arc::new).collect();
    drop(owners);
    Ok(Snapshot::new(workload, pods, scaler))
}

/// Asks for the ReplicaSets that a Deployment controls; other workloads have none.
pub(crate) async fn replica_sets(
    scope: Scope<'_>,
    workload: &Workload,
) -> Result<Vec<WorkloadObject>> {
    if workload.kind != WorkloadKind::Deployment {
        return Ok(Vec::new());
    }
    let selector = workload.selector()?;
    let sets = scope.all(Kind::REPLICA_SET);
    let mut sets: Vec<WorkloadObject> = sets.list(Some(&selector)).await?;
    sets.retain(|set| set.metadata.controller() == Some(workload.uid()));
    Ok(sets)
}

/// Asks for what scales the workload by itself; nothing where the bot may not know.
pub(crate) async fn scaler(scope: Scope<'_>) -> Result<Option<Scaler>> {
    let all: Vec<Autoscaler> = match scope.autoscalers().await?.list(None).await {
        Err(PlatformError::Denied { .. } | PlatformError::NotFound { .. }) => return Ok(None),
        all => all?,
    };
    Ok(all.iter().find_map(|one| scales(one, scope.target)))
}

/// The autoscaler's bounds, if it is this workload's.
pub(crate) fn scales(one: &Autoscaler, target: WorkloadRef<'_>) -> Option<Scaler> {
    let spec = &one.spec;
    let scaled = &spec.scale_target_ref;
    let own = scaled.name == target.name && scaled.kind.eq_ignore_ascii_case(target.kind.word());
    own.then(|| Scaler {
        name: one.metadata.name.clone(),
        min: spec.min_replicas.unwrap_or(1),
        max: spec.max_replicas,
    })
}

/// The identifiers that the owner of a pod of this workload may have.
pub(crate) fn owners<'a>(
    workload: &'a Workload,
    sets: impl Iterator<Item = &'a Metadata>,
) -> HashSet<&'a str> {
    match workload.kind {
        WorkloadKind::Deployment => sets
            .filter(|set| set.controller() == Some(workload.uid()))
            .map(|set| set.uid.as_str())
            .collect(),
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => HashSet::from([workload.uid()]),
    }
}

/// The error that tells what there is instead of the workload looked for.
async fn missing(scope: Scope<'_>) -> PlatformError {
    let WorkloadRef {
        namespace, name, ..
    } = scope.target;
    let kind = scope.target.kind.word();
    let there: Vec<Object<IgnoredAny>> = match scope.workloads().list(None).await {
        Ok(there) => there,
        Err(error) => return error,
    };
    let mut names: Vec<String> = there.into_iter().map(|one| one.metadata.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let mut list = names.join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    let hint = if list.is_empty() {
        format!(
            "the namespace has no {kind}: correct `namespace` or `workload` in the configuration"
        )
    } else {
        format!("the namespace has: {list}. Name one of them in the configuration")
    };
    not_found(format!("the {kind} {name} in namespace {namespace}"), hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(uid: &str, owner: &str, controls: bool) -> Metadata {
        let owner = json!({"apiVersion": "apps/v1", "kind": "X", "name": "x", "uid": owner,
                           "controller": controls});
        serde_json::from_value(json!({"uid": uid, "ownerReferences": [owner]})).unwrap()
    }

    fn workload(kind: WorkloadKind) -> Workload {
        let object = json!({"metadata": {"name": "web", "uid": "w"}});
        Workload {
            kind,
            object: serde_json::from_value(object).unwrap(),
        }
    }

    #[test]
    fn only_what_the_workload_controls_is_its_own() {
        let sets = [
            meta("old", "w", true),
            meta("new", "w", true),
            meta("canary", "other", true),
            meta("adopted", "w", false),
        ];
        let deployment = workload(WorkloadKind::Deployment);
        let owners = owners(&deployment, sets.iter());
        assert_eq!(owners, HashSet::from(["old", "new"]));
        assert_eq!(meta("p", "new", true).controller(), Some("new"));
        assert_eq!(meta("p", "new", false).controller(), None);
        let set = workload(WorkloadKind::StatefulSet);
        assert_eq!(super::owners(&set, sets.iter()), HashSet::from(["w"]));
    }

    #[test]
    fn an_autoscaler_is_found_by_what_it_scales() {
        let one = |kind: &str, name: &str| -> Autoscaler {
            let target = json!({"kind": kind, "name": name});
            serde_json::from_value(json!({"metadata": {"name": "a"},
                "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}}))
            .unwrap()
        };
        let target = WorkloadRef {
            namespace: "shop",
            kind: WorkloadKind::Deployment,
            name: "web",
            service: "frontend",
        };
        let found = scales(&one("Deployment", "web"), target).unwrap();
        assert_eq!((found.min, found.max), (2, 9));
        assert_eq!(scales(&one("StatefulSet", "web"), target), None);
        assert_eq!(scales(&one("Deployment", "api"), target), None);
    }
}
