//! Deployments, StatefulSets and DaemonSets in one shape.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Selector};
use serde_json::Value;

use super::PLATFORM;
use treasury_domain::service::WorkloadKind;
use treasury_ports::platform::PlatformError;

/// The API's description of a kind in the group `apps`.
pub(super) fn resource(kind: WorkloadKind) -> ApiResource {
    let (name, plural) = match kind {
        WorkloadKind::Deployment => ("Deployment", "deployments"),
        WorkloadKind::StatefulSet => ("StatefulSet", "statefulsets"),
        WorkloadKind::DaemonSet => ("DaemonSet", "daemonsets"),
    };
    named("apps", "v1", name, plural)
}

/// The API's description of a resource.
pub(super) fn named(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// A workload as the server has it.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) kind: WorkloadKind,
    pub(super) object: DynamicObject,
}

/// How many pods there are, by what is true of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// That there are to be.
    pub(super) desired: u32,
    /// That there are, of any version.
    pub(super) current: u32,
    pub(super) ready: u32,
    /// Of the newest version.
    pub(super) updated: u32,
    pub(super) available: u32,
}

/// One of the conditions that its controller tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    pub(super) holds: bool,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

impl Workload {
    pub(super) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    /// `deployment/frontend`
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.kind.word(), self.name())
    }

    fn at(&self, pointer: &str) -> Option<&Value> {
        self.object.data.pointer(pointer)
    }

    fn number(&self, pointer: &str) -> u32 {
        let found = self.at(pointer).and_then(Value::as_u64);
        found.and_then(|n| n.try_into().ok()).unwrap_or(0)
    }

    /// What its pods are made from.
    pub(super) fn template(&self) -> &Value {
        self.at("/spec/template").unwrap_or(&Value::Null)
    }

    /// An annotation of the workload itself.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let all = self.object.metadata.annotations.as_ref()?;
        all.get(key).map(String::as_str)
    }

    /// By what it finds its pods, as it is written.
    pub(super) fn raw_selector(&self) -> Value {
        self.at("/spec/selector").cloned().unwrap_or(Value::Null)
    }

    /// By what it finds its pods.
    pub(super) fn selector(&self) -> Result<Selector, PlatformError> {
        let written: Result<LabelSelector, _> = serde_json::from_value(self.raw_selector());
        let read = written.ok().and_then(|labels| labels.try_into().ok());
        // An empty one would mean every pod of the namespace.
        read.filter(|selector: &Selector| !selector.selects_all())
            .ok_or_else(|| PlatformError::Failed {
                platform: PLATFORM,
                message: format!("{} has no selector that can be read", self.path()),
                source: None,
            })
    }

    pub(super) fn counts(&self) -> Counts {
        if self.kind == WorkloadKind::DaemonSet {
            return Counts {
                desired: self.number("/status/desiredNumberScheduled"),
                current: self.number("/status/currentNumberScheduled"),
                ready: self.number("/status/numberReady"),
                updated: self.number("/status/updatedNumberScheduled"),
                available: self.number("/status/numberAvailable"),
            };
        }
        let wanted = self.at("/spec/replicas").and_then(Value::as_u64);
        Counts {
            desired: wanted.and_then(|n| n.try_into().ok()).unwrap_or(1),
            current: self.number("/status/replicas"),
            ready: self.number("/status/readyReplicas"),
            updated: self.number("/status/updatedReplicas"),
            available: match self.at("/status/availableReplicas") {
                Some(_) => self.number("/status/availableReplicas"),
                // Old servers do not count it for StatefulSets.
                None if self.kind == WorkloadKind::StatefulSet => {
                    self.number("/status/readyReplicas")
                }
                None => 0,
            },
        }
    }

    pub(super) fn conditions(&self) -> Vec<Condition<'_>> {
        let all = self.at("/status/conditions").and_then(Value::as_array);
        all.into_iter()
            .flatten()
            .map(|one| Condition {
                kind: words(one, "type"),
                holds: words(one, "status") == "True",
                reason: words(one, "reason"),
                message: words(one, "message"),
            })
            .collect()
    }

    /// Its controller has taken up what was last asked of it.
    pub(super) fn is_observed(&self) -> bool {
        let asked = self.object.metadata.generation.unwrap_or(0);
        let seen = self
            .at("/status/observedGeneration")
            .and_then(Value::as_i64);
        seen.unwrap_or(0) >= asked
    }

    /// Every pod is of the newest version and available, and no other is left.
    pub(super) fn is_rolled_out(&self) -> bool {
        let counts = self.counts();
        let all = self.is_observed()
            && counts.updated >= counts.desired
            && counts.available >= counts.desired;
        match self.kind {
            WorkloadKind::Deployment => all && counts.current <= counts.updated,
            WorkloadKind::DaemonSet => all,
            WorkloadKind::StatefulSet => {
                let revision = |key: &str| self.at(key).and_then(Value::as_str);
                let (now, next) = (
                    revision("/status/currentRevision"),
                    revision("/status/updateRevision"),
                );
                // Its controller moves the revision on only at the end; where it counts the
                // updated pods that alone is enough.
                all && counts.current <= counts.desired
                    && (now == next || counts.updated == counts.desired)
            }
        }
    }

    /// Its controller does not bring pods to a new version now, and what to do.
    pub(super) fn holds_back(&self) -> Option<String> {
        let path = self.path();
        if self.at("/spec/paused") == Some(&Value::Bool(true)) {
            return Some(format!(
                "{path} is paused, so nothing would be rolled out: `kubectl rollout resume {path}`"
            ));
        }
        let strategy = self.at("/spec/updateStrategy/type").and_then(Value::as_str);
        if strategy == Some("OnDelete") {
            return Some(format!(
                "{path} has the update strategy OnDelete, so nothing would be rolled out: delete \
                 its pods one by one, or set updateStrategy.type to RollingUpdate"
            ));
        }
        let partition = self.at("/spec/updateStrategy/rollingUpdate/partition");
        if partition.and_then(Value::as_u64).is_some_and(|n| n > 0) {
            return Some(format!(
                "{path} holds back a part of its pods (updateStrategy.rollingUpdate.partition), so \
                 it would be rolled out in part only: set the partition to 0"
            ));
        }
        None
    }
}

fn words<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
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
