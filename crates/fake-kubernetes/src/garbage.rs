//! What belongs to something that is gone goes too.

use serde_json::{Value, json};

use crate::json::{going, list, number, set, text};
use crate::state::State;
use crate::store::Key;
use crate::write::ask_to_go;

/// The kinds that belong to others.
const OWNED: [&str; 4] = ["replicasets", "pods", "controllerrevisions", "deployments"];

/// The keys of what refers to this uid as an owner.
fn dependents(state: &State, namespace: &str, uid: &str) -> Vec<Key> {
    let mut found = Vec::new();
    for plural in OWNED {
        let all = state.store.list(plural, namespace);
        let own = all.filter(|(_, object)| {
            let owners = list(object, "/metadata/ownerReferences");
            owners.iter().any(|one| one["uid"] == uid)
        });
        found.extend(own.map(|(key, _)| key.clone()));
    }
    found
}

fn end(state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).cloned() else {
        return;
    };
    if key.plural == "pods" && !text(&object, "/spec/nodeName").is_empty() {
        let grace = number(&object, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
        ask_to_go(state, key, grace);
    } else {
        state.store.remove(key);
    }
}

/// Ends what belonged to an object that is gone.
pub fn collect(state: &mut State, object: &Value) {
    let namespace = text(object, "/metadata/namespace");
    let uid = text(object, "/metadata/uid");
    for key in dependents(state, namespace, uid) {
        end(state, &key);
    }
}

/// Goes on with a deletion that waits for what belongs to the object.
pub fn foreground(state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).cloned() else {
        return;
    };
    let waits = list(&object, "/metadata/finalizers").contains(&json!("foregroundDeletion"));
    if !going(&object) || !waits {
        return;
    }
    let dependents = dependents(state, &key.namespace, text(&object, "/metadata/uid"));
    for key in &dependents {
        end(state, key);
    }
    if dependents.is_empty() {
        state.store.remove(key);
    }
}

/// Lets what belongs to an object stay without it.
pub fn orphan(state: &mut State, object: &Value) {
    let namespace = text(object, "/metadata/namespace");
    let uid = text(object, "/metadata/uid").to_owned();
    for key in dependents(state, namespace, &uid) {
        state.store.modify(&key, |object| {
            let owners = list(object, "/metadata/ownerReferences").iter();
            let owners: Vec<Value> = owners.filter(|one| one["uid"] != uid).cloned().collect();
            let owners = if owners.is_empty() {
                Value::Null
            } else {
                json!(owners)
            };
            set(object, &["metadata", "ownerReferences"], owners);
        });
    }
}
