//! From a service to its workload and the pods that are its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, Selector};

use super::api::{Line, code_of, if_there};
use super::workload::{Workload, named, resource};
use super::{PLATFORM, pod};
use treasury_domain::service::{Service, Target, WorkloadKind};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;

/// The most names that an error lists.
const NAMES: usize = 10;

/// Objects of one answer of a list.
const PAGE: u32 = 500;

/// Where a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) kind: WorkloadKind,
    pub(super) name: &'a str,
    /// The service's name in chat.
    pub(super) service: &'a str,
}

/// What controls the number of replicas of a workload by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scaler {
    pub(super) name: String,
    pub(super) min: u32,
    pub(super) max: u32,
}

/// A workload with what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) workload: Workload,
    /// Its own pods, ordered by name.
    pub(super) pods: Vec<Arc<Pod>>,
    /// `None` too where the bot may not read autoscalers.
    pub(super) scaler: Option<Scaler>,
    /// How old this is, where it is from memory and the server does not answer now.
    pub(super) age: Option<Duration>,
}

impl Seen {
    /// The pods that are not being removed and did not come to their end.
    pub(super) fn living(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods
            .iter()
            .filter(|pod| !pod::is_leaving(pod) && !pod::is_over(pod))
    }
}

/// The place of a service on this platform.
pub(super) fn place(service: &Service) -> Result<Place<'_>, PlatformError> {
    match &service.target {
        Target::Kubernetes {
            namespace,
            kind,
            name,
            ..
        } => Ok(Place {
            namespace,
            kind: *kind,
            name,
            service: service.name.as_str(),
        }),
        _ => Err(PlatformError::Unsupported(format!(
            "{} does not run on Kubernetes",
            service.name
        ))),
    }
}

/// Objects of a resource in the place's namespace.
pub(super) async fn objects(
    line: &Line,
    place: Place<'_>,
    resource: &ApiResource,
) -> Result<Api<DynamicObject>, PlatformError> {
    let client = line.client().await?.clone();
    Ok(Api::namespaced_with(client, place.namespace, resource))
}

/// The pods of the place's namespace.
pub(super) async fn pods(line: &Line, place: Place<'_>) -> Result<Api<Pod>, PlatformError> {
    Ok(Api::namespaced(
        line.client().await?.clone(),
        place.namespace,
    ))
}

/// Asks for the workload.
pub(super) async fn workload(line: &Line, place: Place<'_>) -> Result<Workload, PlatformError> {
    let api = objects(line, place, &resource(place.kind)).await?;
    // Boxed: a request is some kilobytes, and this is awaited everywhere.
    let call = Box::pin(async { if_there(api.get(place.name).await) });
    let what = format!("reading {}/{}", place.kind.word(), place.name);
    match line.call(&what, call).await? {
        Some(object) => Ok(Workload {
            kind: place.kind,
            object,
        }),
        None => Err(missing(line, place, &api).await),
    }
}

/// Asks for the workload and what belongs to it.
pub(super) async fn look(line: &Line, place: Place<'_>) -> Result<Seen, PlatformError> {
    let workload = workload(line, place).await?;
    let pods = own_pods(line, place, &workload);
    let (pods, scaler) = try_join(pods, scaler(line, place)).await?;
    Ok(Seen {
        workload,
        pods: pods.into_iter().map(Arc::new).collect(),
        scaler,
        age: None,
    })
}

/// Asks for the pods whose chain of owners leads to the workload, ordered by name.
pub(super) async fn own_pods(
    line: &Line,
    place: Place<'_>,
    workload: &Workload,
) -> Result<Vec<Pod>, PlatformError> {
    let selector = workload.selector()?;
    let pods = async {
        let api = pods(line, place).await?;
        all(line, "the pods", &api, Some(&selector)).await
    };
    let sets = async {
        match place.kind {
            WorkloadKind::Deployment => replica_sets(line, place, workload).await,
            _ => Ok(Vec::new()),
        }
    };
    let (pods, sets) = try_join(pods, sets).await?;
    let owners = owners(workload, sets.iter().map(|set| &set.metadata));
    let mut own: Vec<Pod> = pods
        .into_iter()
        .filter(|pod| controller(&pod.metadata).is_some_and(|uid| owners.contains(uid)))
        .collect();
    own.sort_by(|a, b| by_name(pod::name(a), pod::name(b)));
    Ok(own)
}

/// Asks for the ReplicaSets that a Deployment controls.
pub(super) async fn replica_sets(
    line: &Line,
    place: Place<'_>,
    workload: &Workload,
) -> Result<Vec<DynamicObject>, PlatformError> {
    let api = objects(line, place, &replica_set()).await?;
    let selector = workload.selector()?;
    let all = all(line, "the ReplicaSets", &api, Some(&selector)).await?;
    let own = |set: &DynamicObject| controller(&set.metadata) == Some(workload.uid());
    Ok(all.into_iter().filter(own).collect())
}

pub(super) fn replica_set() -> ApiResource {
    named("apps", "v1", "ReplicaSet", "replicasets")
}

/// The API's description of autoscalers. What is asked of them is the same in both versions; old
/// servers have only the first.
pub(super) async fn autoscaler(
    line: &Line,
    place: Place<'_>,
) -> Result<ApiResource, PlatformError> {
    let resource = |version| {
        let kind = "HorizontalPodAutoscaler";
        named("autoscaling", version, kind, "horizontalpodautoscalers")
    };
    let version = line.autoscaling.get_or_try_init(|| async {
        let api = objects(line, place, &resource("v2")).await?;
        let params = ListParams::default().limit(1);
        match line
            .call("the autoscalers", Box::pin(api.list(&params)))
            .await
        {
            Err(PlatformError::NotFound { .. }) => Ok("v1"),
            Ok(_) | Err(PlatformError::Denied { .. }) => Ok("v2"),
            Err(error) => Err(error),
        }
    });
    Ok(resource(version.await?))
}

/// Asks for what scales the workload by itself; nothing where the bot may not know.
pub(super) async fn scaler(line: &Line, place: Place<'_>) -> Result<Option<Scaler>, PlatformError> {
    let api = objects(line, place, &autoscaler(line, place).await?).await?;
    match all(line, "the autoscalers", &api, None).await {
        Ok(all) => Ok(all.iter().find_map(|one| scales(one, place))),
        Err(PlatformError::Denied { .. } | PlatformError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The autoscaler's bounds, if it is this workload's.
pub(super) fn scales(one: &DynamicObject, place: Place<'_>) -> Option<Scaler> {
    let spec = one.data.get("spec")?;
    let target = |key: &str| spec["scaleTargetRef"][key].as_str().unwrap_or_default();
    let own =
        target("name") == place.name && target("kind").eq_ignore_ascii_case(place.kind.word());
    let number = |key: &str| -> Option<u32> { spec.get(key)?.as_u64()?.try_into().ok() };
    own.then(|| Scaler {
        name: one.metadata.name.clone().unwrap_or_default(),
        min: number("minReplicas").unwrap_or(1),
        max: number("maxReplicas").unwrap_or(0),
    })
}

/// All objects, page by page.
pub(super) async fn all<K>(
    line: &Line,
    what: &str,
    api: &Api<K>,
    selector: Option<&Selector>,
) -> Result<Vec<K>, PlatformError>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut params = ListParams::default().limit(PAGE);
    if let Some(selector) = selector {
        params = params.labels_from(selector);
    }
    let mut found: Vec<K> = Vec::new();
    let mut again = true;
    loop {
        let page = match line.call(what, Box::pin(api.list(&params))).await {
            Ok(page) => page,
            // The place in the list is no longer known (410): once more from its beginning.
            Err(error)
                if again && params.continue_token.is_some() && code_of(&error) == Some(410) =>
            {
                again = false;
                params.continue_token = None;
                found.clear();
                continue;
            }
            Err(error) => return Err(error),
        };
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// The identifiers that the owner of a pod of this workload may have.
pub(super) fn owners<'a>(
    workload: &'a Workload,
    sets: impl Iterator<Item = &'a ObjectMeta>,
) -> HashSet<&'a str> {
    match workload.kind {
        WorkloadKind::Deployment => sets
            .filter(|set| controller(set) == Some(workload.uid()))
            .filter_map(|set| set.uid.as_deref())
            .collect(),
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => HashSet::from([workload.uid()]),
    }
}

/// The identifier of an object's controller.
pub(super) fn controller(object: &ObjectMeta) -> Option<&str> {
    let owners = object.owner_references.as_deref()?;
    let controls = owners.iter().find(|one| one.controller == Some(true))?;
    Some(&controls.uid)
}

/// The error that tells what there is instead of the workload looked for.
async fn missing(line: &Line, place: Place<'_>, api: &Api<DynamicObject>) -> PlatformError {
    let kind = place.kind.word();
    let params = ListParams::default().limit(PAGE);
    let there = match line
        .call("the workloads", Box::pin(api.list(&params)))
        .await
    {
        Ok(list) => list.items,
        Err(error) => return error,
    };
    let mut names: Vec<_> = there
        .into_iter()
        .filter_map(|one| one.metadata.name)
        .collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let mut list = names.join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    let hint = if list.is_empty() {
        format!("the namespace has no {kind}: mend `namespace` or `workload` in the catalogue")
    } else {
        format!("the namespace has: {list}. Name one of them in the catalogue")
    };
    PlatformError::NotFound {
        platform: PLATFORM,
        what: format!("the {kind} {} in namespace {}", place.name, place.namespace),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(uid: &str, owner: &str, controls: bool) -> ObjectMeta {
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
        assert_eq!(controller(&meta("p", "new", true)), Some("new"));
        assert_eq!(controller(&meta("p", "new", false)), None);
        let set = workload(WorkloadKind::StatefulSet);
        assert_eq!(super::owners(&set, sets.iter()), HashSet::from(["w"]));
    }

    #[test]
    fn an_autoscaler_is_found_by_what_it_scales() {
        let one = |kind: &str, name: &str| -> DynamicObject {
            let target = json!({"kind": kind, "name": name});
            serde_json::from_value(json!({"metadata": {"name": "a"},
                "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}}))
            .unwrap()
        };
        let place = Place {
            namespace: "shop",
            kind: WorkloadKind::Deployment,
            name: "web",
            service: "frontend",
        };
        let found = scales(&one("Deployment", "web"), place).unwrap();
        assert_eq!((found.min, found.max), (2, 9));
        assert_eq!(scales(&one("StatefulSet", "web"), place), None);
        assert_eq!(scales(&one("Deployment", "api"), place), None);
    }
}
