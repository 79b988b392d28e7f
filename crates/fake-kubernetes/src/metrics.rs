//! metrics.k8s.io: what a metrics server tells of pods that run.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::json::{list, now, text};
use crate::request::{Answer, Call, reply};
use crate::select::Labels;
use crate::state::{Shared, State};
use crate::status::Status;
use crate::store::Key;

/// The sample of a pod; `None` while it does not run.
fn pod(state: &State, pod: &Value) -> Option<Value> {
    let running = list(pod, "/status/containerStatuses")
        .iter()
        .filter(|one| one.pointer("/state/running").is_some());
    let containers: Vec<Value> = running
        .map(|one| {
            let (cpu, memory) = state.kubelet.usage(text(pod, "/metadata/uid"));
            json!({
                "name": one["name"],
                "usage": {"cpu": format!("{cpu}n"), "memory": format!("{}Ki", memory / 1024)},
            })
        })
        .collect();
    (!containers.is_empty()).then(|| {
        json!({
            "metadata": {
                "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
                "creationTimestamp": now(), "labels": pod["metadata"]["labels"],
            },
            "timestamp": now(), "window": "10.2s", "containers": containers,
        })
    })
}

fn with_kind(mut one: Value, kind: &str) -> Value {
    one["kind"] = json!(kind);
    one["apiVersion"] = json!("metrics.k8s.io/v1beta1");
    one
}

pub fn answer(shared: &Arc<Shared>, call: &Call<'_>) -> Answer {
    let operation = call.operation;
    let state = shared.lock();
    if operation.kind.plural == "nodes" {
        let nodes = state.store.list("nodes", "").map(|(key, _)| {
            json!({
                "metadata": {"name": key.name, "creationTimestamp": now()},
                "timestamp": now(), "window": "10.2s",
                "usage": {"cpu": "250000000n", "memory": "1048576Ki"},
            })
        });
        let nodes: Vec<Value> = nodes.collect();
        return Ok(reply(
            200,
            &with_kind(json!({"metadata": {}, "items": nodes}), "NodeMetricsList"),
        ));
    }
    if !operation.name.is_empty() {
        let key = Key::new("pods", &operation.namespace, &operation.name);
        let found = state.store.get(&key).and_then(|found| pod(&state, found));
        let found = found.ok_or_else(|| Status::not_found(operation.kind, &operation.name))?;
        return Ok(reply(200, &with_kind(found, "PodMetrics")));
    }
    let labels = Labels::parse(operation.word("labelSelector"))?;
    let all = state.store.list("pods", &operation.namespace);
    let items: Vec<Value> = all
        .filter(|(_, one)| labels.matches(one))
        .filter_map(|(_, one)| pod(&state, one))
        .collect();
    let list = json!({"metadata": {}, "items": items});
    Ok(reply(200, &with_kind(list, "PodMetricsList")))
}
