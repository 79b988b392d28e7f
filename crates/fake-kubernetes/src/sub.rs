//! Subresources: scale, eviction; and what somebody may do.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::json::{count, dense, number, ready, set, share, text};
use crate::patch;
use crate::request::{Answer, Call, reply};
use crate::resource::Kind;
use crate::select::Labels;
use crate::state::Shared;
use crate::status::Status;
use crate::store::Key;
use crate::write::{Writer, ask_to_go, update};

/// The scale of a workload.
fn scale_of(object: &Value) -> Value {
    let own = |field: &str| object["metadata"][field].clone();
    let metadata = json!({
        "name": own("name"), "namespace": own("namespace"), "uid": own("uid"),
        "resourceVersion": own("resourceVersion"), "creationTimestamp": own("creationTimestamp"),
    });
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let there = number(object, "/status/replicas").unwrap_or(0);
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": dense(json!({"replicas": count(wanted as usize)})),
        "status": {"replicas": there, "selector": Labels::of(&object["spec"]["selector"]).text()},
    })
}

pub fn scale(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let key = Key::new(operation.kind.plural, &operation.namespace, &operation.name);
    shared.with(|state| {
        let object = state.store.get(&key).cloned();
        let object = object.ok_or_else(|| Status::not_found(operation.kind, &operation.name))?;
        let before = scale_of(&object);
        let after = match operation.verb {
            "get" => return Ok(reply(200, &before)),
            "update" => call.json()?,
            // Apply does the same here as a merge: there is one field.
            _ => {
                let kind = call.content_type.split(';').next().unwrap_or("").trim();
                let kind = match kind {
                    "application/apply-patch+yaml" => "application/merge-patch+json",
                    other => other,
                };
                patch::apply(kind, &before, &call.json()?)?
            }
        };
        let wanted = number(&after, "/spec/replicas").unwrap_or(0);
        if wanted < 0 {
            let told = format!("Invalid value: {wanted}: must be greater than or equal to 0");
            let scale = Kind {
                kind: "Scale",
                group: "autoscaling",
                ..*operation.kind
            };
            let problem = ("spec.replicas", "FieldValueInvalid", told);
            return Err(Status::invalid(&scale, &operation.name, &[problem]));
        }
        let mut new = (*object).clone();
        let version = after["metadata"]["resourceVersion"].clone();
        set(&mut new, &["metadata", "resourceVersion"], version);
        set(&mut new, &["spec", "replicas"], json!(wanted));
        let done = update(state, operation.kind, &key, new, &Writer::of(call))?;
        Ok(reply(200, &scale_of(&done)))
    })
}

/// An eviction: a deletion that disruption budgets may refuse.
pub fn evict(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let key = Key::new("pods", &operation.namespace, &operation.name);
    let body = call.json()?;
    shared.with(|state| {
        let pod = state.store.get(&key).cloned();
        let pod = pod.ok_or_else(|| Status::not_found(operation.kind, &operation.name))?;
        let (uid, own) = (
            text(&body, "/deleteOptions/preconditions/uid"),
            text(&pod, "/metadata/uid"),
        );
        if !uid.is_empty() && uid != own {
            return Err(Status::other_uid(operation.kind, &operation.name, uid, own));
        }
        let budgets: Vec<Arc<Value>> = state
            .store
            .list("poddisruptionbudgets", &operation.namespace)
            .map(|(_, budget)| Arc::clone(budget))
            .filter(|budget| Labels::of(&budget["spec"]["selector"]).matches(&pod))
            .collect();
        for budget in budgets {
            let selector = Labels::of(&budget["spec"]["selector"]);
            let all = state.store.list("pods", &operation.namespace);
            let pods: Vec<bool> = all
                .filter(|(_, one)| selector.matches(one))
                .map(|(_, one)| ready(one))
                .collect();
            let well = pods.iter().filter(|ready| **ready).count();
            let limit = |field: &str| share(&budget["spec"][field], pods.len());
            let needed = limit("minAvailable")
                .or_else(|| limit("maxUnavailable").map(|most| pods.len().saturating_sub(most)));
            if ready(&pod) && needed.is_some_and(|needed| well <= needed) {
                let name = text(&budget, "/metadata/name");
                let mut status = Status::plain(
                    429,
                    "TooManyRequests",
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                );
                status.details = json!({"causes": [{
                    "reason": "DisruptionBudget",
                    "message": format!("The disruption budget {name} needs {} healthy pods and \
                                        has {well} currently", needed.unwrap_or(0)),
                }]});
                return Err(status);
            }
        }
        let given = number(&pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
        let grace = number(&body, "/deleteOptions/gracePeriodSeconds").unwrap_or(given);
        ask_to_go(state, &key, grace);
        Ok(reply(
            201,
            &json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "code": 201,
            }),
        ))
    })
}

/// May I do this?
pub fn review(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let mut body = call.json()?;
    let about = body["spec"]["resourceAttributes"].clone();
    let word = |key: &str| text(&about, &format!("/{key}")).to_owned();
    let resource = match word("subresource").as_str() {
        "" => word("resource"),
        sub => format!("{}/{sub}", word("resource")),
    };
    let state = shared.lock();
    let (verb, group) = (word("verb"), word("group"));
    let (namespace, name) = (word("namespace"), word("name"));
    let allowed = state
        .rights
        .allow(&verb, &group, &resource, &namespace, &name);
    body["kind"] = json!("SelfSubjectAccessReview");
    body["apiVersion"] = json!("authorization.k8s.io/v1");
    body["status"] = json!({"allowed": allowed});
    if allowed {
        body["status"]["reason"] = json!("RBAC: allowed by RoleBinding \"treasury-bot\"");
    }
    Ok(reply(201, &body))
}
