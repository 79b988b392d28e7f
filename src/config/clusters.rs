//! `[[cluster]]`: the Kubernetes clusters, and where a service is in them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::reader::{At, Reader, tables};
use super::sections::elsewhere;
use super::source::Report;
use crate::command::nearest;
use crate::domain::Target;
use crate::domain::service::WorkloadKind;

pub(super) const CLUSTER: [&str; 4] = ["name", "kubeconfig", "context", "timeout"];

/// A question may take from one to thirty seconds.
const LONGEST: Duration = Duration::from_secs(30);

/// `[[cluster]]`: a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSection {
    /// `name`, as services write it in `cluster`.
    pub name: String,
    /// `kubeconfig`, beside the configuration file; default: where `kubectl` looks, else the pod's
    /// service account.
    pub kubeconfig: Option<PathBuf>,
    /// `context` of the kubeconfig; default: its current one.
    pub context: Option<String>,
    /// `timeout` of a question, 1 to 30 s, default 5 s.
    pub timeout: Duration,
}

impl ClusterSection {
    /// How long a question may take where nobody says.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
}

/// All clusters, in the file's order.
pub(super) fn clusters(report: &mut Report<'_>, root: &DeTable<'_>) -> Vec<ClusterSection> {
    let Some((_, readers)) = tables(report, root, "cluster") else {
        return Vec::new();
    };
    let mut seen = HashMap::new();
    let mut clusters = Vec::new();
    for mut reader in readers {
        let header = reader.span.clone();
        let written = reader.written("name").is_some();
        let name = reader.text(report, "name");
        if !written {
            let hint = "add `name`, as services will write it in `cluster`".to_owned();
            report.error(header, "a cluster without a name", Some(hint));
        }
        let kubeconfig = reader.text(report, "kubeconfig").map(|path| {
            let file = report.beside(path.value);
            if !file.is_file() {
                let message = format!("there is no kubeconfig `{}`", file.display());
                report.warning(path.span, message, None);
            }
            file
        });
        let context = reader.text(report, "context").map(|at| at.value.to_owned());
        let at = reader.written("timeout");
        let timeout = reader
            .duration(report, "timeout")
            .unwrap_or(ClusterSection::TIMEOUT);
        if timeout < Duration::from_secs(1) || timeout > LONGEST {
            report.error(at, "`cluster.timeout` must be from 1s to 30s", None);
        }
        reader.finish(report, elsewhere);
        let Some(At { value: name, span }) = name else {
            continue;
        };
        if !is_label(name) {
            let message = format!("a cluster can't be called `{name}`");
            let hint = "use lower-case letters, digits and `-`, at most 63".to_owned();
            report.error(span.clone(), message, Some(hint));
        }
        if let Some(first) = seen.insert(name, span.start) {
            let hint = format!("the first is in line {}", report.line(first));
            report.error(span, format!("a second cluster `{name}`"), Some(hint));
        }
        clusters.push(ClusterSection {
            name: name.to_owned(),
            kubeconfig,
            context,
            timeout,
        });
    }
    clusters
}

/// The keys of a service on Kubernetes; `None` after an error.
pub(super) fn target(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    clusters: &[ClusterSection],
) -> Option<Target> {
    let header = reader.span.clone();
    let written = ["namespace", "workload"].map(|key| reader.written(key).is_some());
    let namespace = reader.text(report, "namespace");
    let workload = reader.text(report, "workload");
    let cluster = cluster(report, reader, clusters);
    if !written[0] {
        let hint = "add `namespace`, such as \"treasury\"".to_owned();
        report.error(
            header.clone(),
            "a workload without a `namespace`",
            Some(hint),
        );
    }
    if !written[1] {
        let hint = "add `workload`, such as \"deployment/frontend\"".to_owned();
        report.error(
            header,
            "a service without a place where it runs",
            Some(hint),
        );
    }
    let namespace = namespace.and_then(|text| {
        if is_label(text.value) {
            return Some(text.value.to_owned());
        }
        let message = format!("`service.namespace` can't be `{}`", text.value);
        let hint = "write it as `kubectl get namespaces` shows it".to_owned();
        report.error(text.span, message, Some(hint));
        None
    });
    let (kind, name) = workload.and_then(|text| self::workload(report, &text))?;
    Some(Target::Kubernetes {
        cluster: cluster?,
        namespace: namespace?,
        kind,
        name,
    })
}

/// The cluster's name, if there are any; the outer `None` after an error.
#[expect(clippy::option_option, reason = "an error, none needed, or this one")]
fn cluster(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    clusters: &[ClusterSection],
) -> Option<Option<String>> {
    let written = reader.written("cluster").is_some();
    let named = reader.text(report, "cluster");
    let names = || clusters.iter().map(|cluster| cluster.name.as_str());
    match named {
        Some(text) => {
            if names().any(|name| name == text.value) {
                return Some(Some(text.value.to_owned()));
            }
            let hint = match nearest(text.value, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add a [[cluster]] of that name".to_owned(),
            };
            report.error(
                text.span,
                format!("there is no cluster `{}`", text.value),
                Some(hint),
            );
            None
        }
        None if written => None,
        None => match clusters {
            [] => Some(None),
            [only] => Some(Some(only.name.clone())),
            _ => {
                let hint = format!("add `cluster`: {}", names().collect::<Vec<_>>().join(", "));
                let at: Option<Range<usize>> = reader.span.clone();
                report.error(at, "which of the clusters?", Some(hint));
                None
            }
        },
    }
}

/// `deployment/frontend`
fn workload(report: &mut Report<'_>, text: &At<&str>) -> Option<(WorkloadKind, String)> {
    const KINDS: [WorkloadKind; 3] = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
    ];
    let parts = text.value.split_once('/');
    let kind = parts.and_then(|(word, _)| KINDS.into_iter().find(|kind| kind.word() == word));
    let name = parts.map_or("", |(_, name)| name);
    let good = name.len() <= 253 && name.split('.').all(is_label);
    if let Some(kind) = kind.filter(|_| good) {
        return Some((kind, name.to_owned()));
    }
    let message = format!("`service.workload` can't be `{}`", text.value);
    let near = parts.and_then(|(word, name)| {
        let near = nearest(word, KINDS.map(WorkloadKind::word))?;
        (near != word).then(|| format!("did you mean `{near}/{name}`?"))
    });
    let hint = near.unwrap_or_else(|| {
        "write \"deployment/NAME\", \"statefulset/NAME\" or \"daemonset/NAME\"".to_owned()
    });
    report.error(text.span.clone(), message, Some(hint));
    None
}

/// A name as Kubernetes has it: lower-case letters, digits and `-`, neither first nor last.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
