//! The kinds of objects that the driver asks for.

use treasury_domain::service::WorkloadKind;

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// Its group and version as they stand in an address.
    pub(crate) group: &'static str,
    /// Its name in an address.
    pub(crate) plural: &'static str,
    /// All of its objects, for people.
    pub(crate) all: &'static str,
}

const APPS: &str = "apis/apps/v1";

impl Kind {
    const fn new(group: &'static str, plural: &'static str, all: &'static str) -> Self {
        Self { group, plural, all }
    }

    pub(crate) const POD: Self = Self::new("api/v1", "pods", "the pods");
    pub(crate) const SERVICE: Self = Self::new("api/v1", "services", "the services");
    /// Events as the core's API shows them.
    pub(crate) const CORE_EVENT: Self = Self::new("api/v1", "events", "the events");
    /// The same events as their own API shows them.
    pub(crate) const EVENT: Self = Self::new("apis/events.k8s.io/v1", "events", "the events");
    pub(crate) const REPLICA_SET: Self = Self::new(APPS, "replicasets", "the ReplicaSets");
    pub(crate) const CONTROLLER_REVISION: Self =
        Self::new(APPS, "controllerrevisions", "the revisions");
    pub(crate) const NETWORK_POLICY: Self = Self::new(
        "apis/networking.k8s.io/v1",
        "networkpolicies",
        "the network policies",
    );
    pub(crate) const POD_METRICS: Self =
        Self::new("apis/metrics.k8s.io/v1beta1", "pods", "the metrics");
    /// What is asked of autoscalers is the same in both versions; old servers have only the first.
    pub(crate) const AUTOSCALER_V1: Self = Self::autoscaler("apis/autoscaling/v1");
    pub(crate) const AUTOSCALER_V2: Self = Self::autoscaler("apis/autoscaling/v2");

    const fn autoscaler(group: &'static str) -> Self {
        Self::new(group, "horizontalpodautoscalers", "the autoscalers")
    }

    pub(crate) fn workload(kind: WorkloadKind) -> Self {
        let plural = match kind {
            WorkloadKind::Deployment => "deployments",
            WorkloadKind::StatefulSet => "statefulsets",
            WorkloadKind::DaemonSet => "daemonsets",
        };
        Self::new(APPS, plural, "the workloads")
    }
}
