//! Daemon sets: one pod on each node.

use std::sync::Arc;

use serde_json::{Value, json};

use super::object::set_status;
use super::pods::{active, available, claim, end, make};
use super::revision;
use crate::json::{count, going, ready, share, text};
use crate::state::State;
use crate::store::Key;

pub fn sync(state: &mut State, key: &Key) {
    let Some(set) = state.store.get(key).cloned() else {
        return;
    };
    if going(&set) {
        return;
    }
    let newest = revision::current(state, "daemonsets", &set);
    let hash = newest.rsplit('-').next().unwrap_or("").to_owned();
    let pods = claim(state, "daemonsets", &set);
    let nodes: Vec<String> = state
        .store
        .list("nodes", "")
        .map(|(key, _)| key.name.clone())
        .filter(|node| chosen(&set, node))
        .collect();
    let on = |node: &str| pods.iter().any(|pod| text(pod, "/spec/nodeName") == node);
    let mut lacking = Vec::new();
    for node in &nodes {
        // What is on its way out still has the place.
        if !on(node) {
            lacking.push(node.clone());
        }
    }
    let stray: Vec<&Arc<Value>> = pods
        .iter()
        .filter(|pod| !nodes.iter().any(|node| node == text(pod, "/spec/nodeName")))
        .filter(|pod| active(pod))
        .collect();
    for pod in stray {
        end(state, "daemonsets", &set, pod);
    }
    let of = |what: &dyn Fn(&Value) -> bool| {
        let active = pods.iter().filter(|pod| active(pod));
        active.filter(|pod| what(pod)).count()
    };
    let well = of(&|pod| available(pod, &set));
    let status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "desiredNumberScheduled": nodes.len(),
        "currentNumberScheduled": of(&|_| true),
        "numberMisscheduled": 0,
        "numberReady": of(&ready),
        "numberAvailable": count(well),
        "numberUnavailable": count(nodes.len().saturating_sub(well)),
        "updatedNumberScheduled": count(of(&|pod| revision::of(pod) == hash)),
    });
    let template = &set["spec"]["template"];
    for node in lacking {
        let extra = json!({
            "metadata": {"labels": {
                "controller-revision-hash": hash,
                "pod-template-generation": set["metadata"]["generation"].to_string(),
            }},
            "spec": {"nodeName": node},
        });
        make(state, "daemonsets", &set, template, &extra);
    }
    if text(&set, "/spec/updateStrategy/type") == "RollingUpdate" {
        roll(state, &set, &pods, &hash, nodes.len());
    }
    set_status(state, key, status);
}

/// The node selector of the template allows this node.
fn chosen(set: &Value, node: &str) -> bool {
    let wanted = &set["spec"]["template"]["spec"]["nodeSelector"];
    wanted.is_null() || wanted["kubernetes.io/hostname"] == node
}

/// Ends old pods, as many as may be missing. Those that are ill go first and for nothing.
fn roll(state: &mut State, set: &Value, pods: &[Arc<Value>], hash: &str, nodes: usize) {
    let most = share(
        &set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"],
        nodes,
    );
    let well = pods.iter().filter(|pod| active(pod) && available(pod, set));
    let missing = nodes.saturating_sub(well.count());
    let mut room = most.unwrap_or(1).max(1).saturating_sub(missing);
    let old = pods
        .iter()
        .filter(|pod| revision::of(pod) != hash && active(pod));
    let (ill, well): (Vec<_>, Vec<_>) = old.partition(|pod| !available(pod, set));
    for pod in ill {
        end(state, "daemonsets", set, pod);
    }
    for pod in well {
        if room == 0 {
            return;
        }
        room -= 1;
        end(state, "daemonsets", set, pod);
    }
}
