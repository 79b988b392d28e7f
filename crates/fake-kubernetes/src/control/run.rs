//! The controllers' rounds: what changed, and who is concerned by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::{autoscaler, daemonset, deployment, endpoints, kubelet, replicaset, statefulset};
use crate::garbage;
use crate::json::{going, number, owner, text};
use crate::resource::Kind;
use crate::select::Labels;
use crate::state::{Shared, State};
use crate::store::{Key, Store, What};

/// Works for ever: after each write, and when something is due.
pub async fn run(shared: &Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    changed.mark_changed();
    let mut due = None;
    loop {
        let pause = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changed.changed() => {
                let lag = shared.lock().lag;
                tokio::time::sleep(lag).await;
            }
            () = shared.wake.notified() => {}
            () = pause => {}
        }
        changed.borrow_and_update();
        due = shared.with(step);
    }
}

/// One round of all controllers over what changed. Returns when something is due.
fn step(state: &mut State) -> Option<Instant> {
    let now = Instant::now();
    // What this round itself changes belongs to the next one.
    let version = state.store.version();
    let mut keys = dirty(state);
    state.kubelet.seen = version;
    keys.extend(state.kubelet.take_due(now));
    for key in keys {
        match key.plural {
            "deployments" => deployment::sync(state, &key, now),
            "replicasets" => replicaset::sync(state, &key),
            "statefulsets" => statefulset::sync(state, &key),
            "daemonsets" => daemonset::sync(state, &key),
            "pods" => kubelet::sync(state, &key, now),
            "services" => endpoints::sync(state, &key),
            "horizontalpodautoscalers" => autoscaler::sync(state, &key),
            _ => {}
        }
        garbage::foreground(state, &key);
    }
    state.kubelet.next_due()
}

/// The objects that the changes since the last round concern.
fn dirty(state: &mut State) -> BTreeSet<Key> {
    let seen = state.kubelet.seen;
    let mut keys = BTreeSet::new();
    let mut ended: Vec<Arc<Value>> = Vec::new();
    let store = &state.store;
    if seen < store.forgotten() {
        for plural in [
            "deployments",
            "replicasets",
            "statefulsets",
            "daemonsets",
            "pods",
            "services",
            "horizontalpodautoscalers",
        ] {
            keys.extend(store.list(plural, "").map(|(key, _)| key.clone()));
        }
        return keys;
    }
    let mut whole = BTreeSet::new();
    for change in store.changes_after(seen) {
        let namespace = change.key.namespace.as_str();
        keys.insert(change.key.clone());
        if change.what == What::Deleted {
            ended.push(Arc::clone(&change.object));
        }
        let before = change.before.as_deref();
        let owners = [Some(&*change.object), before].into_iter().flatten();
        for owner in owners.filter_map(owner) {
            let kind = Kind::named(text(owner, "/apiVersion"), text(owner, "/kind"));
            if let Some(kind) = kind {
                keys.insert(Key::new(kind.plural, namespace, text(owner, "/name")));
            }
        }
        match change.key.plural {
            "pods" => {
                whole.insert(("services", namespace.to_owned()));
                if owner(&change.object).is_none() {
                    whole.insert(("replicasets", namespace.to_owned()));
                    whole.insert(("statefulsets", namespace.to_owned()));
                    whole.insert(("daemonsets", namespace.to_owned()));
                }
            }
            "nodes" => drop(whole.insert(("daemonsets", String::new()))),
            "deployments" | "statefulsets" => {
                whole.insert(("horizontalpodautoscalers", namespace.to_owned()));
            }
            _ => {}
        }
    }
    for (plural, namespace) in whole {
        keys.extend(store.list(plural, &namespace).map(|(key, _)| key.clone()));
    }
    for object in ended {
        garbage::collect(state, &object);
    }
    keys
}

/// All that a workload wants is there, new and ready, and nothing else is.
pub fn is_settled(store: &Store, object: &Value) -> bool {
    let status = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let seen = status("observedGeneration") == number(object, "/metadata/generation").unwrap_or(0);
    let (wanted, there, new, well) = if text(object, "/kind") == "DaemonSet" {
        (
            status("desiredNumberScheduled"),
            status("currentNumberScheduled"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
        )
    } else {
        let wanted = number(object, "/spec/replicas").unwrap_or(1);
        let new = status("updatedReplicas");
        (wanted, status("replicas"), new, status("availableReplicas"))
    };
    let selector = Labels::of(&object["spec"]["selector"]);
    let namespace = text(object, "/metadata/namespace");
    let leaving = store
        .list("pods", namespace)
        .any(|(_, pod)| going(pod) && selector.matches(pod));
    seen && wanted == there && wanted == new && wanted == well && !leaving
}
