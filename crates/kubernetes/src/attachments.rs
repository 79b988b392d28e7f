//! What joins the pods of a workload to the world, and how each join is cut and made again.
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

use std::collections::BTreeMap;

use futures_util::future::try_join3;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{DynamicObject, Selector, SelectorExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Line;
use super::find::{self, Place, Seen};
use super::workload::{Workload, named};
use super::{PLATFORM, pod};
use treasury_domain::service::Attachment;
use treasury_ports::platform::PlatformError;

/// The label of pods that are cut off.
pub(super) const ISOLATED: &str = "treasury-bot/isolated";

/// What a Service asks for while it is cut from its pods; no pod has it.
pub(super) const NOWHERE: &str = "treasury-bot/nowhere";

type Labels = BTreeMap<String, String>;

/// One join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "join", rename_all = "lowercase")]
pub(super) enum Join {
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

/// All that is asked to know the joins.
pub(super) struct Around {
    pub(super) policies: Vec<DynamicObject>,
    pub(super) services: Vec<DynamicObject>,
    /// All pods of the namespace.
    pub(super) pods: Vec<Pod>,
}

pub(super) fn network_policy() -> kube::core::ApiResource {
    named(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    )
}

pub(super) fn service() -> kube::core::ApiResource {
    named("", "v1", "Service", "services")
}

/// The name of our policy for a workload.
pub(super) fn policy_name(place: Place<'_>) -> String {
    format!("treasury-bot-isolate-{}-{}", place.kind.word(), place.name)
}

pub(super) async fn around(line: &Line, place: Place<'_>) -> Result<Around, PlatformError> {
    let policies = async {
        let api = find::objects(line, place, &network_policy()).await?;
        find::all(line, "the network policies", &api, None).await
    };
    let services = async {
        let api = find::objects(line, place, &service()).await?;
        find::all(line, "the services", &api, None).await
    };
    let pods = async {
        let api = find::pods(line, place).await?;
        find::all(line, "the pods", &api, None).await
    };
    let (policies, services, pods) = try_join3(policies, services, pods).await?;
    Ok(Around {
        policies,
        services,
        pods,
    })
}

/// The joins that hold now.
pub(super) async fn attachments(
    line: &Line,
    place: Place<'_>,
) -> Result<Vec<Attachment>, PlatformError> {
    let seen = find::look(line, place).await?;
    if let Some(why) = refusal(&seen.workload) {
        return Err(PlatformError::Unsupported(why));
    }
    let around = around(line, place).await?;
    let attachments = joins(place, &seen, &around).into_iter().map(|join| {
        let (id, replica, to) = match &join {
            Join::Open { .. } => (seen.workload.uid(), place.name, "the network".to_owned()),
            Join::Pod { name } => {
                let pod = seen.pods.iter().find(|pod| pod::name(pod) == name);
                let id = pod.map_or("", |pod| pod::uid(pod));
                (id, name.as_str(), "the network".to_owned())
            }
            Join::Allowed { policy, .. } => (
                seen.workload.uid(),
                place.name,
                format!("what the policy {policy} allows"),
            ),
            Join::Endpoint { service } => (
                seen.workload.uid(),
                place.name,
                format!("service {service}"),
            ),
        };
        let detail = serde_json::to_value(&join).map_err(|error| PlatformError::Failed {
            platform: PLATFORM,
            message: format!("a join of {replica} that can't be recorded: {error}"),
            source: Some(Box::new(error)),
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

/// What a tie says, as it was recorded.
pub(super) fn read(attachment: &Attachment) -> Result<Join, PlatformError> {
    serde_json::from_value(attachment.detail.clone()).map_err(|error| PlatformError::Failed {
        platform: PLATFORM,
        message: format!(
            "the recorded join of {} can't be read: {error}",
            attachment.replica
        ),
        source: Some(Box::new(error)),
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

/// The joins that hold, in the order in which they are cut.
pub(super) fn joins(place: Place<'_>, seen: &Seen, around: &Around) -> Vec<Join> {
    let policy = policy_name(place);
    let mut joins = Vec::new();
    let own: Vec<&Labels> = seen.living().filter_map(|pod| labels(pod)).collect();
    let made = template_labels(&seen.workload);
    let ours: Vec<&Labels> = own.iter().copied().chain(std::iter::once(&made)).collect();
    for pod in seen.living() {
        if !labels(pod).is_some_and(|labels| labels.contains_key(ISOLATED)) {
            let name = pod::name(pod).to_owned();
            joins.push(Join::Pod { name });
        }
    }
    let forbids = |one: &DynamicObject| one.metadata.name.as_deref() == Some(&policy);
    if !around.policies.iter().any(forbids) {
        joins.push(Join::Open {
            policy: policy.clone(),
            selector: seen.workload.raw_selector(),
        });
    }
    for one in &around.policies {
        let name = one.metadata.name.clone().unwrap_or_default();
        let selector = one.data.pointer("/spec/podSelector");
        let excludes = selector.is_some_and(|selector| {
            let all = selector.get("matchExpressions").and_then(Value::as_array);
            all.is_some_and(|all| all.contains(&exclusion()))
        });
        if name != policy
            && !excludes
            && allows(one)
            && ours.iter().any(|own| selects(selector, own))
        {
            let expressions = selector.and_then(|selector| selector.get("matchExpressions"));
            joins.push(Join::Allowed {
                policy: name,
                expressions: expressions.is_some(),
            });
        }
    }
    for one in &around.services {
        if leads_to(one, &ours) && !leads_elsewhere(one, seen, around) {
            let service = one.metadata.name.clone().unwrap_or_default();
            joins.push(Join::Endpoint { service });
        }
    }
    joins
}

/// The Services that send to these pods and to others too: they can't be cut for these alone.
pub(super) fn shared<'a>(seen: &Seen, around: &'a Around) -> Vec<&'a str> {
    let own: Vec<&Labels> = seen.living().filter_map(|pod| labels(pod)).collect();
    let both = |one: &&DynamicObject| leads_to(one, &own) && leads_elsewhere(one, seen, around);
    let found = around.services.iter().filter(both);
    found
        .filter_map(|one| one.metadata.name.as_deref())
        .collect()
}

/// What other policies are made to ask of pods.
pub(super) fn exclusion() -> Value {
    json!({ "key": ISOLATED, "operator": "DoesNotExist" })
}

fn labels(pod: &Pod) -> Option<&Labels> {
    pod.metadata.labels.as_ref()
}

fn template_labels(workload: &Workload) -> Labels {
    let labels = workload.template().pointer("/metadata/labels").cloned();
    labels
        .and_then(|labels| serde_json::from_value(labels).ok())
        .unwrap_or_default()
}

/// A policy's rules allow anything at all.
fn allows(policy: &DynamicObject) -> bool {
    ["/spec/ingress", "/spec/egress"].iter().any(|rules| {
        let rules = policy.data.pointer(rules).and_then(Value::as_array);
        rules.is_some_and(|rules| !rules.is_empty())
    })
}

/// An empty selector of a policy selects all.
fn selects(selector: Option<&Value>, labels: &Labels) -> bool {
    let selector = selector.cloned().unwrap_or_else(|| json!({}));
    let read: Option<LabelSelector> = serde_json::from_value(selector).ok();
    let read = read.and_then(|selector| Selector::try_from(selector).ok());
    read.is_some_and(|selector| selector.matches(labels))
}

/// A Service's selector; one without any has its endpoints made by hand.
fn service_selector(service: &DynamicObject) -> Option<Labels> {
    let selector = service.data.pointer("/spec/selector")?.clone();
    let selector: Labels = serde_json::from_value(selector).ok()?;
    (!selector.is_empty()).then_some(selector)
}

fn leads_to(service: &DynamicObject, pods: &[&Labels]) -> bool {
    let Some(selector) = service_selector(service) else {
        return false;
    };
    let has = |labels: &&Labels| {
        selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    };
    pods.iter().any(has)
}

fn leads_elsewhere(service: &DynamicObject, seen: &Seen, around: &Around) -> bool {
    let foreign = around.pods.iter().filter(|pod| {
        let uid = pod::uid(pod);
        !pod::is_leaving(pod)
            && !pod::is_over(pod)
            && seen.pods.iter().all(|own| pod::uid(own) != uid)
    });
    let foreign: Vec<&Labels> = foreign.filter_map(labels).collect();
    leads_to(service, &foreign)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use treasury_domain::service::WorkloadKind;

    const PLACE: Place<'_> = Place {
        namespace: "shop",
        kind: WorkloadKind::Deployment,
        name: "web",
        service: "frontend",
    };

    fn pod(name: &str, labels: Value) -> Pod {
        let meta = json!({"name": name, "uid": name, "labels": labels});
        serde_json::from_value(json!({ "metadata": meta })).unwrap()
    }

    fn object(name: &str, spec: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    }

    fn seen(pods: Vec<Pod>) -> Seen {
        let object = json!({"metadata": {"name": "web", "uid": "w"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}}}});
        Seen {
            workload: Workload {
                kind: WorkloadKind::Deployment,
                object: serde_json::from_value(object).unwrap(),
            },
            pods: pods.into_iter().map(Arc::new).collect(),
            scaler: None,
            age: None,
        }
    }

    fn around() -> Around {
        Around {
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
    fn the_joins_are_the_pod_what_others_allow_and_the_services_of_its_own() {
        let seen = seen(vec![pod("web-1", json!({"app": "web", "tier": "front"}))]);
        let joins = joins(PLACE, &seen, &around());
        assert_eq!(
            joins,
            [
                Join::Pod {
                    name: "web-1".into()
                },
                Join::Open {
                    policy: "treasury-bot-isolate-deployment-web".into(),
                    selector: json!({"matchLabels": {"app": "web"}}),
                },
                Join::Allowed {
                    policy: "front".into(),
                    expressions: false
                },
                Join::Endpoint {
                    service: "web".into()
                },
            ]
        );
        assert_eq!(shared(&seen, &around()), ["front"]);
    }

    #[test]
    fn nothing_is_joined_once_all_is_cut() {
        let labels = json!({"app": "web", "tier": "front", ISOLATED: "true"});
        let seen = seen(vec![pod("web-1", labels)]);
        let mut around = around();
        around.policies.push(object(&policy_name(PLACE), json!({})));
        around.policies[1].data["spec"]["podSelector"]["matchExpressions"] = json!([exclusion()]);
        around.services[0].data["spec"]["selector"][NOWHERE] = "true".into();
        assert_eq!(joins(PLACE, &seen, &around), []);
    }

    #[test]
    fn pods_on_the_network_of_their_machine_are_refused() {
        let mut seen = seen(Vec::new());
        assert_eq!(refusal(&seen.workload), None);
        seen.workload.object.data["spec"]["template"]["spec"] = json!({"hostNetwork": true});
        assert!(refusal(&seen.workload).unwrap().contains("drain"));
    }
}
