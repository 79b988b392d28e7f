//! `[[cluster]]`: the Kubernetes clusters, and where a service is in them.

use std::time::Duration;

use super::at::At;
use super::kind::Kind;
use super::names::{Names, chosen, installation, is_label};
use super::section::Section;
use crate::command::nearest;
use crate::domain::Target;
use crate::domain::service::WorkloadKind;
use crate::platform::kubernetes::{Config, Server};

pub(super) const CLUSTER: Kind = Kind::list("cluster", "name kubeconfig context timeout");

/// The keys of services on Kubernetes.
pub(super) const KEYS: [&str; 3] = ["workload", "namespace", "cluster"];

/// How long a question may take where nobody says.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The cluster where the bot runs, or that `kubectl` would ask: the one of services without a
/// `[[cluster]]`.
pub(super) fn usual() -> Config {
    Config {
        server: Server::Infer,
        timeout: TIMEOUT,
    }
}

/// A cluster and its name.
pub(super) fn cluster(section: &Section<'_>, names: &mut Names) -> Option<(String, Config)> {
    let name = installation(section, "a", names);
    let path = section.text("kubeconfig").map(|text| {
        let path = text.path();
        if !path.is_file() {
            text.warning(format!("there is no kubeconfig `{}`", path.display()), "");
        }
        path
    });
    let server = match (path, section.string("context")) {
        (None, None) => Server::Infer,
        (path, context) => Server::Kubeconfig { path, context },
    };
    let timeout = section.timeout(TIMEOUT);
    Some((name?, Config { server, timeout }))
}

/// The keys of a service on Kubernetes; `None` after an error.
pub(super) fn target(section: &Section<'_>, clusters: &[(String, Config)]) -> Option<Target> {
    let hint = "add `namespace`, such as \"treasury\"";
    let namespace = section.required("namespace", "a workload without a `namespace`", hint);
    let namespace = namespace.and_then(|text| {
        let hint = "write it as `kubectl get namespaces` shows it";
        text.good(is_label(text.value), hint)
    });
    let (message, hint) = (
        "a service without a place where it runs",
        "add `workload`, such as \"deployment/frontend\"",
    );
    let workload = section.required("workload", message, hint);
    let workload = workload.and_then(|text| self::workload(&text));
    let names: Vec<&str> = clusters.iter().map(|(name, _)| name.as_str()).collect();
    let named = chosen(section, "cluster", &names, "add a [[cluster]] of that name")?;
    let cluster = match (named, &names[..]) {
        (Some(named), _) => Some(named),
        (None, []) => None,
        (None, [only]) => Some((*only).to_owned()),
        (None, several) => {
            let hint = format!("add `cluster`: {}", several.join(", "));
            section.error("which of the clusters?", hint);
            return None;
        }
    };
    let (kind, name) = workload?;
    Some(Target::Kubernetes {
        cluster,
        namespace: namespace?,
        kind,
        name,
    })
}

/// `deployment/frontend`
fn workload(text: &At<'_>) -> Option<(WorkloadKind, String)> {
    const KINDS: [WorkloadKind; 3] = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
    ];
    let (word, name) = text.value.split_once('/').unwrap_or((text.value, ""));
    let kind = KINDS.into_iter().find(|kind| kind.word() == word);
    let good = name.len() <= 253 && name.split('.').all(is_label);
    if let Some(kind) = kind.filter(|_| good) {
        return Some((kind, name.to_owned()));
    }
    let near = nearest(word, KINDS.map(WorkloadKind::word));
    text.refuse(
        match near.filter(|near| *near != word && text.value.contains('/')) {
            Some(near) => format!("did you mean `{near}/{name}`?"),
            None => {
                "write \"deployment/NAME\", \"statefulset/NAME\" or \"daemonset/NAME\"".to_owned()
            }
        },
    );
    None
}
