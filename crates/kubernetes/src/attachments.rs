//! What attaches the pods of a workload to the world, and how each link is cut and made again.
//!
//! Three things together cut a service off while its processes go on:
//!
//! - a NetworkPolicy of ours that selects what the workload selects and allows nothing, so that
//!   pods that replace others are cut off too;
//! - policies only ever add what is allowed: those of others that allow the pods something are made
//!   to leave out pods with the label [`ISOLATED`], which the pods get;
//! - a Service sends to its pods until its selector asks for a label that no pod has.
//!
//! The labels by which the workload finds its pods stay: without them it would make new ones.

use std::sync::Arc;

use futures_util::future::try_join3;
use kube::core::SelectorExt;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::object::{Labels, or_default};
use crate::workload::label_selector;
use crate::{Kind, Object, Pod, Result, Scope, Snapshot, Workload, WorkloadRef, failed, snapshot};
use treasury_domain::service::{Attachment, WorkloadKind};
use treasury_ports::platform::PlatformError;

/// The label of pods that are cut off.
pub(crate) const ISOLATED: &str = "treasury-bot/isolated";

/// What a Service asks for while it is cut from its pods; no pod has it.
pub(crate) const NOWHERE: &str = "treasury-bot/nowhere";

/// One link, as an attachment records it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "join", rename_all = "lowercase")]
pub(crate) enum Link {
    /// Nothing forbids the workload's pods to send and receive.
    Open {
        /// The policy that would.
        policy: String,
        /// What the workload selects its pods by.
        selector: Value,
    },
    /// A pod without the label.
    Pod {
        /// Its name.
        name: String,
    },
    /// Another's policy that allows the pods something.
    Allowed {
        /// Its name.
        policy: String,
        /// It had a list of expressions of its own.
        expressions: bool,
    },
    /// A Service that sends to the pods.
    Endpoint {
        /// Its name.
        service: String,
    },
}

type Policy = Object<PolicySpec>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PolicySpec {
    pod_selector: Value,
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    egress: Vec<IgnoredAny>,
}

type Service = Object<ServiceSpec>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceSpec {
    /// Empty where its endpoints are made by hand.
    #[serde(deserialize_with = "or_default")]
    selector: Labels,
}

/// All objects of the namespace that may link pods.
pub(crate) struct Surroundings {
    policies: Vec<Policy>,
    services: Vec<Service>,
    pods: Vec<Pod>,
}

/// The name of our policy for a workload.
pub(crate) fn policy_name(kind: WorkloadKind, name: &str) -> String {
    format!("treasury-bot-isolate-{}-{name}", kind.word())
}

pub(crate) async fn surroundings(scope: Scope<'_>) -> Result<Surroundings> {
    let kinds = [Kind::NETWORK_POLICY, Kind::SERVICE, Kind::POD];
    let [policies, services, pods] = kinds.map(|kind| scope.all(kind));
    let all = try_join3(policies.list(None), services.list(None), pods.list(None));
    let (policies, services, pods) = all.await?;
    Ok(Surroundings {
        policies,
        services,
        pods,
    })
}

/// The links that there are now.
pub(crate) async fn attachments(scope: Scope<'_>) -> Result<Vec<Attachment>> {
    let seen = snapshot::take(scope).await?;
    if let Some(why) = refusal(&seen.workload) {
        return Err(PlatformError::Unsupported(why));
    }
    let surroundings = surroundings(scope).await?;
    let links = links(scope.target, &seen, &surroundings).into_iter();
    let attachments = links.map(|link| {
        let (mut id, mut replica) = (seen.workload.uid(), scope.target.name);
        let to = match &link {
            Link::Open { .. } => "the network".to_owned(),
            Link::Pod { name } => {
                let pod = seen.pods.iter().find(|pod| pod.name() == name);
                (id, replica) = (pod.map_or("", |pod| pod.uid()), name);
                "the network".to_owned()
            }
            Link::Allowed { policy, .. } => format!("what the policy {policy} allows"),
            Link::Endpoint { service } => format!("service {service}"),
        };
        let detail = serde_json::to_value(&link).map_err(|error| {
            let message = format!("a join of {replica} that can't be recorded: {error}");
            failed(message, Some(Box::new(error)))
        })?;
        Ok(Attachment {
            id: id.to_owned(),
            replica: replica.to_owned(),
            to,
            detail,
        })
    });
    attachments.collect()
}

/// The link of an attachment, as it was recorded.
pub(crate) fn link(attachment: &Attachment) -> Result<Link> {
    Link::deserialize(&attachment.detail).map_err(|error| {
        let replica = &attachment.replica;
        let message = format!("the recorded join of {replica} can't be read: {error}");
        failed(message, Some(Box::new(error)))
    })
}

/// Why a workload can't be cut off, if it can't.
fn refusal(workload: &Workload) -> Option<String> {
    let host = workload.template().pointer("/spec/hostNetwork");
    (host == Some(&Value::Bool(true))).then(|| {
        format!(
            "the pods of {} share their machines' network, which can't be cut for them alone. \
             Cordon and drain the machine, or cut it off at its switch",
            workload.path()
        )
    })
}

/// The links that there are, in the order in which they are cut.
fn links(target: WorkloadRef<'_>, seen: &Snapshot, around: &Surroundings) -> Vec<Link> {
    let policy = policy_name(target.kind, target.name);
    let made = template_labels(&seen.workload);
    let own: Vec<&Labels> = labels(seen.living()).chain([&made]).collect();
    let exposed = seen
        .living()
        .filter(|pod| !pod.metadata.labels.contains_key(ISOLATED));
    let mut links: Vec<Link> = exposed
        .map(|pod| Link::Pod {
            name: pod.name().to_owned(),
        })
        .collect();
    if around
        .policies
        .iter()
        .all(|one| one.metadata.name != policy)
    {
        links.push(Link::Open {
            policy: policy.clone(),
            selector: seen.workload.object.spec.selector.clone(),
        });
    }
    for one in &around.policies {
        let expressions = one.spec.pod_selector.get("matchExpressions");
        let all = expressions.and_then(Value::as_array);
        let excludes = all.is_some_and(|all| all.contains(&exclusion()));
        if one.metadata.name != policy && !excludes && allows(one, &own) {
            links.push(Link::Allowed {
                policy: one.metadata.name.clone(),
                expressions: expressions.is_some(),
            });
        }
    }
    let services = around.services.iter();
    let services =
        services.filter(|one| leads_to(one, &own) && !leads_elsewhere(one, seen, around));
    links.extend(services.map(|one| Link::Endpoint {
        service: one.metadata.name.clone(),
    }));
    links
}

/// The Services that send to these pods and to others too: they can't be cut for these alone.
pub(crate) fn shared<'a>(seen: &Snapshot, around: &'a Surroundings) -> Vec<&'a str> {
    let own: Vec<&Labels> = labels(seen.living()).collect();
    let both = |one: &&Service| leads_to(one, &own) && leads_elsewhere(one, seen, around);
    let found = around.services.iter().filter(both);
    found.map(|one| one.metadata.name.as_str()).collect()
}

/// What other policies are made to ask of pods.
pub(crate) fn exclusion() -> Value {
    json!({ "key": ISOLATED, "operator": "DoesNotExist" })
}

fn labels<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> impl Iterator<Item = &'a Labels> {
    pods.map(|pod| &pod.metadata.labels)
}

fn template_labels(workload: &Workload) -> Labels {
    let labels = &workload.template()["metadata"]["labels"];
    Labels::deserialize(labels).unwrap_or_default()
}

/// A policy's rules allow one of these pods anything at all.
fn allows(policy: &Policy, pods: &[&Labels]) -> bool {
    let spec = &policy.spec;
    let selector = match &spec.pod_selector {
        // Like an empty one, it selects all.
        Value::Null => label_selector(&json!({})),
        written => label_selector(written),
    };
    let selects = |labels: &&Labels| selector.as_ref().is_some_and(|one| one.matches(labels));
    !(spec.ingress.is_empty() && spec.egress.is_empty()) && pods.iter().any(selects)
}

fn leads_to(service: &Service, pods: &[&Labels]) -> bool {
    let selector = &service.spec.selector;
    let has = |labels: &&Labels| {
        let mut all = selector.iter();
        all.all(|(key, value)| labels.get(key) == Some(value))
    };
    !selector.is_empty() && pods.iter().any(has)
}

fn leads_elsewhere(service: &Service, seen: &Snapshot, around: &Surroundings) -> bool {
    let foreign = around.pods.iter().filter(|pod| {
        let own = seen.pods.iter().any(|own| own.uid() == pod.uid());
        !own && !pod.is_leaving() && !pod.is_over()
    });
    let foreign: Vec<&Labels> = foreign.map(|pod| &pod.metadata.labels).collect();
    leads_to(service, &foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: WorkloadRef<'_> = WorkloadRef {
        namespace: "shop",
        kind: WorkloadKind::Deployment,
        name: "web",
        service: "frontend",
    };

    fn pod(name: &str, labels: Value) -> Pod {
        let meta = json!({"name": name, "uid": name, "labels": labels});
        serde_json::from_value(json!({ "metadata": meta })).unwrap()
    }

    fn object<T: serde::de::DeserializeOwned>(name: &str, spec: Value) -> T {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    }

    fn seen(pods: Vec<Pod>) -> Snapshot {
        let object = json!({"metadata": {"name": "web", "uid": "w"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}}}});
        let workload = Workload {
            kind: WorkloadKind::Deployment,
            object: serde_json::from_value(object).unwrap(),
        };
        Snapshot::new(workload, pods.into_iter().map(Arc::new).collect(), None)
    }

    fn around() -> Surroundings {
        Surroundings {
            policies: vec![
                object("default-deny", json!({"podSelector": {}})),
                object(
                    "front",
                    json!({"podSelector": {"matchLabels": {"tier": "front"}},
                                       "ingress": [{}]}),
                ),
                object(
                    "db",
                    json!({"podSelector": {"matchLabels": {"tier": "db"}},
                                    "ingress": [{}]}),
                ),
            ],
            services: vec![
                object("web", json!({"selector": {"app": "web"}})),
                object("front", json!({"selector": {"tier": "front"}})),
                object("db", json!({"selector": {"tier": "db"}})),
                object("by-hand", json!({})),
            ],
            pods: vec![
                pod("web-1", json!({"app": "web", "tier": "front"})),
                pod("other", json!({"app": "other", "tier": "front"})),
            ],
        }
    }

    #[test]
    fn the_links_are_the_pod_what_others_allow_and_the_services_of_its_own() {
        let seen = seen(vec![pod("web-1", json!({"app": "web", "tier": "front"}))]);
        let links = links(TARGET, &seen, &around());
        assert_eq!(
            links,
            [
                Link::Pod {
                    name: "web-1".into()
                },
                Link::Open {
                    policy: "treasury-bot-isolate-deployment-web".into(),
                    selector: json!({"matchLabels": {"app": "web"}}),
                },
                Link::Allowed {
                    policy: "front".into(),
                    expressions: false
                },
                Link::Endpoint {
                    service: "web".into()
                },
            ]
        );
        assert_eq!(shared(&seen, &around()), ["front"]);
    }

    #[test]
    fn nothing_is_linked_once_all_is_cut() {
        let labels = json!({"app": "web", "tier": "front", ISOLATED: "true"});
        let seen = seen(vec![pod("web-1", labels)]);
        let mut around = around();
        around
            .policies
            .push(object(&policy_name(TARGET.kind, TARGET.name), json!({})));
        around.policies[1].spec.pod_selector["matchExpressions"] = json!([exclusion()]);
        let selector = &mut around.services[0].spec.selector;
        selector.insert(NOWHERE.into(), "true".into());
        assert_eq!(links(TARGET, &seen, &around), []);
    }

    #[test]
    fn pods_on_the_network_of_their_machine_are_refused() {
        let mut seen = seen(Vec::new());
        assert_eq!(refusal(&seen.workload), None);
        seen.workload.object.spec.template["spec"] = json!({"hostNetwork": true});
        assert!(refusal(&seen.workload).unwrap().contains("drain"));
    }
}
