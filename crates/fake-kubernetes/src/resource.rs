//! The kinds of objects that the emulator serves.

/// One kind in one group and version.
#[derive(Debug)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub short: &'static [&'static str],
    pub namespaced: bool,
    /// Has the subresource `status`.
    pub status: bool,
    /// Has the subresource `scale`.
    pub scale: bool,
    /// `metadata.generation` counts changes of the spec.
    pub generation: bool,
}

impl Kind {
    /// `deployments.apps`, or `pods`.
    pub fn resource(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The kind of a group and a plural.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
    }

    /// The kind that is kept under this plural.
    pub fn kept(plural: &str) -> &'static Self {
        let found = KINDS.iter().find(|kind| kind.plural == plural);
        found.unwrap_or_else(|| panic!("no kind {plural}"))
    }

    /// The kind of an `apiVersion` and a `kind`.
    pub fn named(api_version: &str, kind: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|one| one.kind == kind && one.api_version() == api_version)
    }
}

const fn kind(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Kind {
    Kind {
        group,
        version,
        plural,
        kind,
        short,
        namespaced: true,
        status: false,
        scale: false,
        generation: false,
    }
}

const fn workload(
    plural: &'static str,
    name: &'static str,
    short: &'static [&'static str],
) -> Kind {
    Kind {
        status: true,
        scale: true,
        generation: true,
        ..kind("apps", "v1", plural, name, short)
    }
}

const fn with_status(kind: Kind) -> Kind {
    Kind {
        status: true,
        ..kind
    }
}

const fn with_generation(kind: Kind) -> Kind {
    Kind {
        generation: true,
        ..kind
    }
}

const fn of_the_cluster(kind: Kind) -> Kind {
    Kind {
        namespaced: false,
        ..kind
    }
}

/// All of them. Both event kinds are kept as the first one.
pub static KINDS: &[Kind] = &[
    with_status(of_the_cluster(kind(
        "",
        "v1",
        "namespaces",
        "Namespace",
        &["ns"],
    ))),
    with_status(of_the_cluster(kind("", "v1", "nodes", "Node", &["no"]))),
    with_status(kind("", "v1", "pods", "Pod", &["po"])),
    with_status(kind("", "v1", "services", "Service", &["svc"])),
    kind("", "v1", "endpoints", "Endpoints", &["ep"]),
    kind("", "v1", "events", "Event", &["ev"]),
    kind("", "v1", "configmaps", "ConfigMap", &["cm"]),
    kind("", "v1", "secrets", "Secret", &[]),
    kind("", "v1", "serviceaccounts", "ServiceAccount", &["sa"]),
    workload("deployments", "Deployment", &["deploy"]),
    workload("replicasets", "ReplicaSet", &["rs"]),
    workload("statefulsets", "StatefulSet", &["sts"]),
    Kind {
        scale: false,
        ..workload("daemonsets", "DaemonSet", &["ds"])
    },
    kind(
        "apps",
        "v1",
        "controllerrevisions",
        "ControllerRevision",
        &[],
    ),
    with_status(kind(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        &["hpa"],
    )),
    with_generation(kind(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        &["netpol"],
    )),
    with_status(with_generation(kind(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        &["pdb"],
    ))),
    with_generation(kind(
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        &[],
    )),
    kind("events.k8s.io", "v1", "events", "Event", &["ev"]),
    kind("coordination.k8s.io", "v1", "leases", "Lease", &[]),
];

/// The kinds of the metrics API, which keeps nothing.
pub static METRICS: [Kind; 2] = [
    kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", &[]),
    of_the_cluster(kind(
        "metrics.k8s.io",
        "v1beta1",
        "nodes",
        "NodeMetrics",
        &[],
    )),
];

/// The kind of access reviews, which keeps nothing.
pub static REVIEW: Kind = of_the_cluster(kind(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    &[],
));
