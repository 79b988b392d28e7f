//! Nodes: pods are placed, run, get ready, fail and end.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::event::{self, reference};
use crate::json::{going, list, number, seconds, set, text};
use crate::kubelet::{Life, status};
use crate::resource::Kind;
use crate::state::State;
use crate::store::Key;

/// Goes on with a pod.
pub fn sync(state: &mut State, key: &Key, now: Instant) {
    let Some(pod) = state.store.get(key).cloned() else {
        state.kubelet.lives.retain(|_, life| life.key != *key);
        return;
    };
    if text(&pod, "/spec/nodeName").is_empty() && !place(state, key, &pod) {
        return;
    }
    let pod = state.store.get(key).cloned().unwrap_or(pod);
    let uid = text(&pod, "/metadata/uid").to_owned();
    let mut life = match state.kubelet.lives.remove(&uid) {
        Some(life) => life,
        None => {
            // Another pod had this name before.
            state.kubelet.lives.retain(|_, life| life.key != *key);
            let address = state.kubelet.placed;
            Life::new(key, &pod, &state.kubelet, now, address)
        }
    };
    let about = reference(Kind::kept("pods"), &pod);
    let mut events = Vec::new();
    if going(&pod) && life.stop_at.is_none() {
        let grace = number(&pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(30);
        let stop = life.containers.iter().map(|one| one.behaviour.stop).max();
        let stop = stop
            .unwrap_or_default()
            .min(Duration::from_secs(grace as u64));
        life.stop_at = Some(now + stop);
        for container in &life.containers {
            let message = format!("Stopping container {}", container.name);
            events.push(("Normal", "Killing", message));
        }
    }
    let stopped = life.stop_at.is_some_and(|at| at <= now);
    if !stopped {
        life.advance(&pod, now, &mut state.kubelet, &mut events);
    }
    let component = "kubelet";
    for (kind, reason, message) in events {
        event::tell(state, &about, kind, reason, &message, component);
    }
    if stopped {
        state.store.remove(key);
        return;
    }
    let status = status(&pod, &life);
    state.store.modify(key, |pod| set(pod, &["status"], status));
    if let Some(at) = life.due() {
        state.kubelet.due(at, key.clone());
    }
    state.kubelet.lives.insert(uid, life);
}

/// Gives a pod a node; whether there is one.
fn place(state: &mut State, key: &Key, pod: &Value) -> bool {
    let wanted = &pod["spec"]["nodeSelector"];
    let nodes: Vec<String> = state
        .store
        .list("nodes", "")
        .filter(|(_, node)| {
            let labels = &node["metadata"]["labels"];
            let all = wanted.as_object().into_iter().flatten();
            node["spec"]["unschedulable"] != true
                && all
                    .into_iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
        })
        .map(|(key, _)| key.name.clone())
        .collect();
    let about = reference(Kind::kept("pods"), pod);
    if nodes.is_empty() {
        let message = "0/2 nodes are available: 2 node(s) didn't match Pod's node \
                       affinity/selector.";
        let condition = json!([{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastProbeTime": null,
            "lastTransitionTime": seconds(Timestamp::now()),
        }]);
        if list(pod, "/status/conditions").is_empty() {
            state
                .store
                .modify(key, |pod| set(pod, &["status", "conditions"], condition));
            let component = "default-scheduler";
            let reason = "FailedScheduling";
            event::tell(state, &about, "Warning", reason, message, component);
        }
        return false;
    }
    state.kubelet.placed += 1;
    let node = nodes[state.kubelet.placed % nodes.len()].clone();
    let message = format!(
        "Successfully assigned {}/{} to {node}",
        key.namespace, key.name
    );
    state
        .store
        .modify(key, |pod| set(pod, &["spec", "nodeName"], json!(node)));
    let component = "default-scheduler";
    event::tell(state, &about, "Normal", "Scheduled", &message, component);
    true
}
