//! Services and the pods behind them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::json::{going, list, ready, set, text};
use crate::resource::Kind;
use crate::select::Labels;
use crate::state::State;
use crate::store::Key;

pub fn sync(state: &mut State, key: &Key) {
    let Some(service) = state.store.get(key).cloned() else {
        for plural in ["endpoints", "endpointslices"] {
            let name = if plural == "endpoints" {
                key.name.clone()
            } else {
                slice(&key.name)
            };
            state.store.remove(&Key::new(plural, &key.namespace, &name));
        }
        return;
    };
    let selector = &service["spec"]["selector"];
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    let selector = Labels::map(selector);
    let pods: Vec<Arc<Value>> = state
        .store
        .list("pods", &key.namespace)
        .map(|(_, pod)| Arc::clone(pod))
        .filter(|pod| selector.matches(pod) && !text(pod, "/status/podIP").is_empty())
        .collect();
    endpoints(state, key, &service, &pods);
    slices(state, key, &service, &pods);
}

fn slice(service: &str) -> String {
    format!("{service}-slice")
}

fn target(pod: &Value) -> Value {
    let own = |field: &str| pod["metadata"][field].clone();
    json!({"kind": "Pod", "namespace": own("namespace"), "name": own("name"), "uid": own("uid")})
}

fn endpoints(state: &mut State, key: &Key, service: &Value, pods: &[Arc<Value>]) {
    let addresses = |wanted: bool| -> Vec<Value> {
        let pods = pods
            .iter()
            .filter(|pod| !going(pod) && ready(pod) == wanted);
        pods.map(|pod| {
            json!({
                "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"],
                "targetRef": target(pod),
            })
        })
        .collect()
    };
    let ports: Vec<Value> = list(service, "/spec/ports")
        .iter()
        .map(|port| json!({"port": port["targetPort"], "protocol": port["protocol"]}))
        .collect();
    let mut subset = json!({"ports": ports});
    for (name, wanted) in [("addresses", true), ("notReadyAddresses", false)] {
        let addresses = addresses(wanted);
        if !addresses.is_empty() {
            subset[name] = json!(addresses);
        }
    }
    let empty = subset.as_object().is_none_or(|one| one.len() == 1);
    let subsets = if empty { Value::Null } else { json!([subset]) };
    let change = |object: &mut Value| set(object, &["subsets"], subsets.clone());
    keep(state, "endpoints", key, &key.name, json!({}), change);
}

fn slices(state: &mut State, key: &Key, service: &Value, pods: &[Arc<Value>]) {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            json!({
                "addresses": [pod["status"]["podIP"]], "nodeName": pod["spec"]["nodeName"],
                "targetRef": target(pod),
                "conditions": {
                    "ready": ready(pod) && !going(pod), "serving": ready(pod),
                    "terminating": going(pod),
                },
            })
        })
        .collect();
    let ports: Vec<Value> = list(service, "/spec/ports")
        .iter()
        .map(|port| {
            let name = text(port, "/name");
            json!({"name": name, "port": port["targetPort"], "protocol": port["protocol"]})
        })
        .collect();
    let change = |object: &mut Value| {
        object["addressType"] = json!("IPv4");
        object["endpoints"] = json!(endpoints);
        object["ports"] = json!(ports);
    };
    let labels = json!({"kubernetes.io/service-name": key.name});
    keep(
        state,
        "endpointslices",
        key,
        &slice(&key.name),
        labels,
        change,
    );
}

/// Makes the object, or changes it.
fn keep(
    state: &mut State,
    plural: &str,
    service: &Key,
    name: &str,
    labels: Value,
    change: impl FnOnce(&mut Value),
) {
    let key = Key::new(plural, &service.namespace, name);
    if state.store.get(&key).is_some() {
        state.store.modify(&key, change);
        return;
    }
    let kind = Kind::kept(plural);
    let mut object = json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": {"namespace": service.namespace, "name": name, "labels": labels},
    });
    change(&mut object);
    state.store.insert(kind, object);
}
