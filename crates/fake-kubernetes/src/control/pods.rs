//! What the controllers of pods have in common: claims, creation, removal.

use std::sync::Arc;

use serde_json::{Value, json};

use super::object::tell;
use crate::json::{age, condition, going, list, number, owner, owner_uid, ready, set, text};
use crate::resource::Kind;
use crate::select::Labels;
use crate::state::State;
use crate::store::Key;
use crate::write::{ask_to_go, create};

/// The reference that makes an object the controller of another one.
pub fn controller(plural: &str, object: &Value) -> Value {
    let kind = Kind::kept(plural);
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Adopts the pods that match the selector and belong to nobody, releases those that do not match
/// any more, and returns the rest of its own.
pub fn claim(state: &mut State, plural: &str, object: &Value) -> Vec<Arc<Value>> {
    let namespace = text(object, "/metadata/namespace");
    let uid = text(object, "/metadata/uid");
    let selector = Labels::of(&object["spec"]["selector"]);
    let mut own = Vec::new();
    let mut claims: Vec<(Key, bool)> = Vec::new();
    for (key, pod) in state.store.list("pods", namespace) {
        if owner_uid(pod) == uid {
            if selector.matches(pod) {
                own.push(Arc::clone(pod));
            } else {
                claims.push((key.clone(), false));
            }
        } else if owner(pod).is_none() && !going(pod) && selector.matches(pod) {
            own.push(Arc::clone(pod));
            claims.push((key.clone(), true));
        }
    }
    let reference = controller(plural, object);
    for (key, adopt) in claims {
        state.store.modify(&key, |pod| {
            let owners = list(pod, "/metadata/ownerReferences").iter();
            let mut owners: Vec<Value> = owners.filter(|one| one["uid"] != uid).cloned().collect();
            if adopt {
                owners.push(reference.clone());
            }
            let owners = if owners.is_empty() {
                Value::Null
            } else {
                json!(owners)
            };
            set(pod, &["metadata", "ownerReferences"], owners);
        });
    }
    own
}

/// A pod that counts: it neither ended nor was asked to go.
pub fn active(pod: &Value) -> bool {
    !going(pod) && !matches!(text(pod, "/status/phase"), "Failed" | "Succeeded")
}

/// Ready for as long as the workload wants it to be.
pub fn available(pod: &Value, workload: &Value) -> bool {
    let least = number(workload, "/spec/minReadySeconds").unwrap_or(0);
    let since = condition(pod, "Ready").map_or("", |one| text(one, "/lastTransitionTime"));
    ready(pod) && (least == 0 || age(since) >= least as f64)
}

/// A pod of a template for a workload; `labels` are added, `extra` is merged into it.
pub fn make(
    state: &mut State,
    plural: &str,
    workload: &Value,
    template: &Value,
    extra: &Value,
) -> String {
    let namespace = text(workload, "/metadata/namespace").to_owned();
    let name = text(workload, "/metadata/name");
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": format!("{name}-"), "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [controller(plural, workload)],
        },
        "spec": template["spec"],
    });
    if pod["metadata"]["annotations"].is_null() {
        set(&mut pod, &["metadata", "annotations"], Value::Null);
    }
    crate::patch::merge(&mut pod, extra);
    let kind = Kind::kept("pods");
    match create(
        state,
        kind,
        &namespace,
        pod,
        "kube-controller-manager",
        false,
    ) {
        Ok(made) => {
            let name = text(&made, "/metadata/name").to_owned();
            tell(
                state,
                plural,
                workload,
                "SuccessfulCreate",
                &format!("Created pod: {name}"),
            );
            name
        }
        // It is tried again in the next round.
        Err(_) => String::new(),
    }
}

/// Asks a pod to go.
pub fn end(state: &mut State, plural: &str, workload: &Value, pod: &Value) {
    let name = text(pod, "/metadata/name");
    let key = Key::of("pods", pod);
    let grace = number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    if text(pod, "/spec/nodeName").is_empty() {
        state.store.remove(&key);
    } else {
        ask_to_go(state, &key, grace);
    }
    let message = format!("Deleted pod: {name}");
    tell(state, plural, workload, "SuccessfulDelete", &message);
}

/// Those that are to go first stand first: not scheduled, not ready, then the youngest.
pub fn by_worth(pods: &mut [Arc<Value>]) {
    pods.sort_by_key(|pod| {
        let made = text(pod, "/metadata/creationTimestamp").to_owned();
        let version: u64 = text(pod, "/metadata/resourceVersion").parse().unwrap_or(0);
        (
            !text(pod, "/spec/nodeName").is_empty(),
            text(pod, "/status/phase") == "Running",
            ready(pod),
            std::cmp::Reverse((made, version)),
        )
    });
}
