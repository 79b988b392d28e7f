//! Clusters: whether they answer, and what they let the bot do, by their own word.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::docker::service;
use super::finding::{Check, Finding, Group, Limit};
use crate::domain::Service;
use crate::platform::kubernetes::{Config, Kubernetes, Lack, rbac};
use crate::platform::{Platform, PlatformError};

const SERVER: Check = Check {
    id: "kubernetes.server",
    group: Group::Kubernetes,
    asks: "Does the API server answer?",
    mend: "is its address right (`kubeconfig`, `context` or `url` of the `[[cluster]]`), and is it let \
           through from here?",
};
const RIGHTS: Check = Check {
    id: "kubernetes.rights",
    group: Group::Kubernetes,
    asks: "May the bot do, in each namespace, all that its services take (SelfSubjectAccessReview, \
           verb by verb)?",
    mend: "`treasury-bot rbac | kubectl apply -f -` grants what the bot needs, and no more",
};
const SERVICE: Check = Check {
    id: "kubernetes.service",
    group: Group::Kubernetes,
    asks: "Is the workload of each service there?",
    mend: "correct namespace and workload in its `[[service]]`",
};
const CLOCK: Check = Check {
    id: "kubernetes.clock",
    group: Group::Kubernetes,
    asks: "Do the server's clock and ours agree?",
    mend: "set the clock that is wrong: `timedatectl set-ntp true`, or chrony",
};
const METRICS: Check = Check {
    id: "kubernetes.metrics",
    group: Group::Kubernetes,
    asks: "Does the cluster tell the use of memory and CPU (metrics.k8s.io)?",
    mend: "install the metrics-server; until then `stats` and what watches memory know nothing",
};
pub(super) const CHECKS: &[Check] = &[SERVER, RIGHTS, SERVICE, CLOCK, METRICS];

/// Looks at one cluster and the services in it; `None`: the only one.
pub(super) async fn look(
    name: Option<String>,
    config: Config,
    services: Vec<Service>,
    limit: Limit,
) -> Vec<Finding> {
    let subject = name.clone().unwrap_or_else(|| "the cluster".to_owned());
    let cluster = Kubernetes::new(config);
    let began = Timestamp::now();
    let unlooked = |mut found: Vec<Finding>, why: &str| {
        found.extend(
            services
                .iter()
                .map(|one| SERVICE.unknown(one.name.as_str(), why)),
        );
        found
    };
    let about = match limit.ask(cluster.about()).await {
        Ok(about) => about,
        Err(fault) => {
            let mut found = vec![SERVER.broken(&subject, fault)];
            found.push(RIGHTS.unknown(&subject, "not looked at: the server does not answer"));
            return unlooked(found, "not looked at: its cluster does not answer");
        }
    };
    let mut found = vec![SERVER.ok(&subject, format!("Kubernetes {} answers", about.version))];
    found.push(match about.clock {
        Some(theirs) => CLOCK.clock(&subject, "the server's", theirs, began),
        None => CLOCK.unknown(&subject, "the server's answer tells no time"),
    });
    let roles = rbac::roles(&services, name.as_deref());
    let lacking = match limit.ask(cluster.lacking(&roles)).await {
        Ok(lacking) => lacking,
        Err(fault) => {
            found.push(RIGHTS.broken(&subject, fault));
            return unlooked(
                found,
                "not looked at: the cluster does not tell the bot's rights",
            );
        }
    };
    for role in &roles {
        let namespace = &role.namespace;
        let here = lacking.iter().filter(|one| one.namespace == *namespace);
        let refused = told(here);
        found.push(if refused.is_empty() {
            RIGHTS.ok(namespace, "the bot may do all that its services take")
        } else {
            RIGHTS.failed(namespace, format!("the bot may not {refused}"))
        });
    }
    let asked = services
        .iter()
        .map(|one| service(SERVICE, &cluster, one, limit));
    found.extend(join_all(asked).await);
    found.extend(metrics(&subject, &cluster, services.first(), limit).await);
    found
}

/// Whether the metrics API answers: asked of one service, since its right is granted by namespace.
async fn metrics(
    subject: &str,
    cluster: &Kubernetes,
    service: Option<&Service>,
    limit: Limit,
) -> Option<Finding> {
    let service = service?;
    let asked = async {
        match cluster.stats(service).await {
            Err(PlatformError::Unsupported(why)) => Ok(Err(why)),
            other => other.map(Ok),
        }
    };
    // What else is wrong with the service is told of it.
    Some(match limit.ask(asked).await.ok()? {
        Ok(_) => METRICS.ok(subject, "its metrics API answers"),
        Err(why) => METRICS.warning(subject, why),
    })
}

/// `get, list pods; patch deployments/scale (apps) of api, web`
fn told<'a>(lacking: impl Iterator<Item = &'a Lack>) -> String {
    let mut names: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for one in lacking {
        let key = (one.group, one.resource, one.verb);
        names.entry(key).or_default().extend(one.name.as_deref());
    }
    let mut verbs: BTreeMap<(&str, &str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource, verb), names) in names {
        verbs
            .entry((group, resource, names))
            .or_default()
            .push(verb);
    }
    let parts = verbs.into_iter().map(|((group, resource, names), verbs)| {
        let group = if group.is_empty() {
            String::new()
        } else {
            format!(" ({group})")
        };
        let of = if names.is_empty() {
            String::new()
        } else {
            format!(" of {}", names.join(", "))
        };
        format!("{} {resource}{group}{of}", verbs.join(", "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_told_by_verb_and_resource() {
        let lack = |verb, resource, group, name: Option<&str>| Lack {
            namespace: "treasury".to_owned(),
            verb,
            resource,
            group,
            name: name.map(str::to_owned),
        };
        let lacking = [
            lack("get", "pods/log", "", None),
            lack("patch", "deployments", "apps", Some("api")),
            lack("patch", "deployments", "apps", Some("web")),
            lack("get", "pods", "", None),
            lack("list", "pods", "", None),
        ];
        assert_eq!(
            told(lacking.iter()),
            "get, list pods; get pods/log; patch deployments (apps) of api, web"
        );
    }
}
