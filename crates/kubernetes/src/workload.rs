//! Deployments, StatefulSets and DaemonSets in one shape.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use serde::Deserialize;
use serde_json::Value;

use crate::object::{Condition, or_default};
use crate::server::ApiServer;
use crate::{Kind, Object, Resource, Result, failed};
use treasury_domain::service::{Found, Service, ServiceName, Target, WorkloadKind};

/// A workload or a ReplicaSet as the server has it.
pub(crate) type WorkloadObject = Object<WorkloadSpec, WorkloadStatus>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WorkloadSpec {
    replicas: Option<u32>,
    paused: bool,
    /// By what it finds its pods, as it is written.
    pub(crate) selector: Value,
    /// What its pods are made from.
    pub(crate) template: Value,
    update_strategy: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WorkloadStatus {
    observed_generation: i64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
    replicas: u32,
    ready_replicas: u32,
    updated_replicas: u32,
    available_replicas: Option<u32>,
    current_revision: String,
    update_revision: String,
    // DaemonSets count under names of their own.
    desired_number_scheduled: u32,
    current_number_scheduled: u32,
    number_ready: u32,
    updated_number_scheduled: u32,
    number_available: u32,
}

/// A service's workload.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) kind: WorkloadKind,
    pub(crate) object: WorkloadObject,
}

/// How many pods there are, by what is true of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// That there are to be.
    pub(crate) desired: u32,
    /// That there are, of any version.
    pub(crate) current: u32,
    pub(crate) ready: u32,
    /// Of the newest version.
    pub(crate) updated: u32,
    pub(crate) available: u32,
}

/// All workloads of a namespace.
pub(crate) async fn found(server: &Arc<ApiServer>, namespace: &str) -> Result<Vec<Found>> {
    let kinds = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
    ];
    let mut all: Vec<Found> = Vec::new();
    for kind in kinds {
        let resource = Resource::new(server, namespace, Kind::workload(kind));
        for object in resource.list::<WorkloadObject>(None).await? {
            let name = object.metadata.name;
            // Two kinds can have a workload of one name.
            let wanted = [name.clone(), format!("{}.{name}", kind.word())];
            let mut names = wanted.iter().filter_map(|one| ServiceName::parse(one).ok());
            let Some(own) = names.find(|own| all.iter().all(|one| one.service.name != *own)) else {
                continue;
            };
            let image = object.spec.template["spec"]["containers"][0]["image"].as_str();
            let target = Target::Kubernetes {
                cluster: None,
                namespace: namespace.to_owned(),
                kind,
                name,
            };
            all.push(Found {
                service: Service::new(own, target),
                image: image.unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(all)
}

impl Workload {
    pub(crate) fn uid(&self) -> &str {
        &self.object.metadata.uid
    }

    /// `deployment/frontend`
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.kind.word(), self.object.metadata.name)
    }

    /// What its pods are made from.
    pub(crate) fn template(&self) -> &Value {
        &self.object.spec.template
    }

    /// An annotation of the workload itself.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.object
            .metadata
            .annotations
            .get(key)
            .map(String::as_str)
    }

    /// By what it finds its pods.
    pub(crate) fn selector(&self) -> Result<Selector> {
        let read = label_selector(&self.object.spec.selector);
        // An empty one would mean every pod of the namespace.
        read.filter(|selector| !selector.selects_all())
            .ok_or_else(|| {
                let path = self.path();
                failed(format!("{path} has no selector that can be read"), None)
            })
    }

    pub(crate) fn counts(&self) -> Counts {
        let status = &self.object.status;
        if self.kind == WorkloadKind::DaemonSet {
            return Counts {
                desired: status.desired_number_scheduled,
                current: status.current_number_scheduled,
                ready: status.number_ready,
                updated: status.updated_number_scheduled,
                available: status.number_available,
            };
        }
        // Old servers do not count those of StatefulSets that are available.
        let otherwise = match self.kind {
            WorkloadKind::StatefulSet => status.ready_replicas,
            _ => 0,
        };
        Counts {
            desired: self.object.spec.replicas.unwrap_or(1),
            current: status.replicas,
            ready: status.ready_replicas,
            updated: status.updated_replicas,
            available: status.available_replicas.unwrap_or(otherwise),
        }
    }

    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.object.status.conditions
    }

    /// Its controller has taken up what was last asked of it.
    pub(crate) fn is_observed(&self) -> bool {
        self.object.status.observed_generation >= self.object.metadata.generation
    }

    /// Every pod is of the newest version and available, and no other is left.
    pub(crate) fn is_rolled_out(&self) -> bool {
        let counts = self.counts();
        let status = &self.object.status;
        let all = self.is_observed()
            && counts.updated >= counts.desired
            && counts.available >= counts.desired;
        all && match self.kind {
            WorkloadKind::Deployment => counts.current <= counts.updated,
            WorkloadKind::DaemonSet => true,
            // Its controller moves the revision on only at the end; where it counts the updated
            // pods that alone is enough.
            WorkloadKind::StatefulSet => {
                counts.current <= counts.desired
                    && (status.current_revision == status.update_revision
                        || counts.updated == counts.desired)
            }
        }
    }

    /// Its controller does not bring pods to a new version now, and what to do.
    pub(crate) fn holds_back(&self) -> Option<String> {
        let path = self.path();
        let spec = &self.object.spec;
        if spec.paused {
            return Some(format!(
                "{path} is paused, so nothing would be rolled out: `kubectl rollout resume {path}`"
            ));
        }
        if spec.update_strategy["type"] == "OnDelete" {
            return Some(format!(
                "{path} has the update strategy OnDelete, so nothing would be rolled out: delete \
                 its pods one by one, or set updateStrategy.type to RollingUpdate"
            ));
        }
        let partition = spec.update_strategy["rollingUpdate"]["partition"].as_u64();
        partition.is_some_and(|partition| partition > 0).then(|| {
            format!(
                "{path} holds back a part of its pods (updateStrategy.rollingUpdate.partition), so \
                 it would be rolled out in part only: set the partition to 0"
            )
        })
    }
}

/// A selector by labels and expressions as it stands in an object.
pub(crate) fn label_selector(written: &Value) -> Option<Selector> {
    LabelSelector::deserialize(written).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: WorkloadKind, spec: Value, status: Value) -> Workload {
        let object = json!({"metadata": {"name": "web", "generation": 2}, "spec": spec,
                            "status": status});
        Workload {
            kind,
            object: serde_json::from_value(object).unwrap(),
        }
    }

    #[test]
    fn a_deployment_is_rolled_out_once_only_new_pods_are_left() {
        let at = |status: Value| {
            workload(WorkloadKind::Deployment, json!({"replicas": 2}), status).is_rolled_out()
        };
        let done = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                          "availableReplicas": 2});
        assert!(at(done.clone()));
        for (key, value) in [
            ("observedGeneration", 1),
            ("replicas", 3),
            ("updatedReplicas", 1),
            ("availableReplicas", 1),
        ] {
            let mut status = done.clone();
            status[key] = value.into();
            assert!(!at(status), "{key}");
        }
    }

    #[test]
    fn a_stateful_set_without_a_count_of_available_pods_counts_ready_ones() {
        let status = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
            "readyReplicas": 2, "currentRevision": "b", "updateRevision": "b"});
        assert!(
            workload(WorkloadKind::StatefulSet, json!({"replicas": 2}), status).is_rolled_out()
        );
    }

    #[test]
    fn what_holds_a_rollout_back_is_told_with_its_mend() {
        for (kind, spec, word) in [
            (
                WorkloadKind::Deployment,
                json!({"paused": true}),
                "rollout resume deployment/web",
            ),
            (
                WorkloadKind::DaemonSet,
                json!({"updateStrategy": {"type": "OnDelete"}}),
                "OnDelete",
            ),
            (
                WorkloadKind::StatefulSet,
                json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}}),
                "partition",
            ),
        ] {
            let why = workload(kind, spec, json!({})).holds_back().unwrap();
            assert!(why.contains(word), "{why}");
        }
        let free = workload(WorkloadKind::Deployment, json!({}), json!({}));
        assert_eq!(free.holds_back(), None);
    }

    #[test]
    fn an_empty_selector_is_refused() {
        let all = workload(WorkloadKind::Deployment, json!({"selector": {}}), json!({}));
        assert!(all.selector().is_err());
    }
}
