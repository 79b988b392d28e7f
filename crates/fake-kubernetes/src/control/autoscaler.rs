//! Horizontal pod autoscalers: without metrics of their own they only keep the bounds.

use serde_json::{Value, json};

use super::object::set_status;
use crate::json::{number, set, text};
use crate::resource::Kind;
use crate::state::State;
use crate::store::Key;

pub fn sync(state: &mut State, key: &Key) {
    let Some(scaler) = state.store.get(key).cloned() else {
        return;
    };
    let target = &scaler["spec"]["scaleTargetRef"];
    let kind = Kind::named(text(target, "/apiVersion"), text(target, "/kind"));
    let Some(kind) = kind.filter(|kind| kind.scale) else {
        return;
    };
    let workload = Key::new(kind.plural, &key.namespace, text(target, "/name"));
    let Some(object) = state.store.get(&workload).cloned() else {
        return;
    };
    let present = number(&object, "/spec/replicas").unwrap_or(1);
    let least = number(&scaler, "/spec/minReplicas").unwrap_or(1);
    let most = number(&scaler, "/spec/maxReplicas").unwrap_or(least);
    // A workload of 0 replicas is switched off for the autoscaler.
    let wanted = if present == 0 {
        0
    } else {
        present.clamp(least, most)
    };
    if wanted != present {
        state.store.modify(&workload, |one| {
            set(one, &["spec", "replicas"], json!(wanted));
        });
    }
    let there = number(&object, "/status/replicas").unwrap_or(0);
    let mut status: Value = scaler["status"].clone();
    set(&mut status, &["currentReplicas"], json!(there));
    set(&mut status, &["desiredReplicas"], json!(wanted));
    set_status(state, key, status);
}
