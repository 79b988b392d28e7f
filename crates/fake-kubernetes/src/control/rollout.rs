//! How many pods each replica set of a deployment is to have.

use std::sync::Arc;

use serde_json::{Value, json};

use super::object::tell;
use super::sets::{Sets, pods_of};
use crate::json::{number, set, text};
use crate::state::State;
use crate::store::Key;

fn wanted(deployment: &Value) -> i64 {
    number(deployment, "/spec/replicas").unwrap_or(1)
}

fn replicas(set: &Value) -> i64 {
    number(set, "/spec/replicas").unwrap_or(0)
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").unwrap_or(0)
}

/// A limit of the rolling update in pods: percentages of the surge are rounded up, those of what
/// may be missing down.
fn limit(deployment: &Value, field: &str, up: bool) -> i64 {
    let value = &deployment["spec"]["strategy"]["rollingUpdate"][field];
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent = value.as_str().and_then(|text| text.strip_suffix('%'));
    let percent: i64 = percent.and_then(|text| text.parse().ok()).unwrap_or(0);
    let product = percent * wanted(deployment);
    if up {
        (product + 99) / 100
    } else {
        product / 100
    }
}

/// Recreate instead of a rolling update.
fn recreate(deployment: &Value) -> bool {
    text(deployment, "/spec/strategy/type") == "Recreate"
}

/// How many pods there may be above the number that is wanted.
pub fn surge(deployment: &Value) -> usize {
    if recreate(deployment) {
        return 0;
    }
    limit(deployment, "maxSurge", true).max(0) as usize
}

/// How many pods may be missing.
pub fn missing(deployment: &Value) -> i64 {
    if recreate(deployment) {
        return 0;
    }
    let missing = limit(deployment, "maxUnavailable", false);
    // Both 0 would never get on.
    if missing == 0 && surge(deployment) == 0 {
        1
    } else {
        missing.min(wanted(deployment))
    }
}

/// How many pods the new replica set, which has `present`, may have now.
pub fn new_replicas(sets: &Sets, present: i64) -> i64 {
    let wanted = wanted(&sets.deployment);
    if recreate(&sets.deployment) {
        let old = sets
            .old
            .iter()
            .any(|one| replicas(one) > 0 || number(one, "/status/replicas").unwrap_or(0) > 0);
        return if old { present } else { wanted };
    }
    let most = wanted + surge(&sets.deployment) as i64;
    let old: i64 = sets.old.iter().map(|one| replicas(one)).sum();
    let total = old + present;
    if total >= most {
        return present;
    }
    present + (most - total).min(wanted - present).max(0)
}

/// The number that is wanted has changed since the sets were scaled last.
pub fn scaled(sets: &Sets) -> bool {
    let wanted = wanted(&sets.deployment).to_string();
    sets.all().any(|one| {
        let noted = &one["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"];
        replicas(one) > 0 && noted.as_str().is_some_and(|noted| noted != wanted)
    })
}

/// Gives a replica set so many pods, and notes how many are wanted in all.
fn resize(state: &mut State, sets: &Sets, one: &Value, to: i64) {
    let from = replicas(one);
    let deployment = &sets.deployment;
    let wanted = wanted(deployment);
    let most = wanted + surge(deployment) as i64;
    state.store.modify(&Key::of("replicasets", one), |one| {
        set(one, &["spec", "replicas"], json!(to));
        for (name, value) in [("desired-replicas", wanted), ("max-replicas", most)] {
            let name = format!("deployment.kubernetes.io/{name}");
            set(
                one,
                &["metadata", "annotations", &name],
                json!(value.to_string()),
            );
        }
    });
    if from != to {
        let way = if to > from { "up" } else { "down" };
        let name = text(one, "/metadata/name");
        let message = format!("Scaled {way} replica set {name} from {from} to {to}");
        tell(
            state,
            "deployments",
            deployment,
            "ScalingReplicaSet",
            &message,
        );
    }
}

/// Scales the sets that are there to the number that is wanted, in proportion.
pub fn scale(state: &mut State, sets: &Sets) {
    let wanted = wanted(&sets.deployment);
    let active: Vec<&Arc<Value>> = sets.all().filter(|one| replicas(one) > 0).collect();
    match active.as_slice() {
        [] => {
            if let Some(new) = &sets.new {
                resize(state, sets, new, wanted);
            }
        }
        [one] => resize(state, sets, one, wanted),
        many => {
            let most = if wanted > 0 {
                wanted + surge(&sets.deployment) as i64
            } else {
                0
            };
            let total: i64 = many.iter().map(|one| replicas(one)).sum();
            let mut left = most - total;
            for (place, one) in many.iter().enumerate() {
                let share = if place + 1 == many.len() {
                    left
                } else {
                    (replicas(one) * (most - total)) / total.max(1)
                };
                left -= share;
                resize(state, sets, one, (replicas(one) + share).max(0));
            }
        }
    }
}

/// One step of the rollout.
pub fn advance(state: &mut State, sets: &Sets) {
    let Some(new) = &sets.new else { return };
    let wanted = wanted(&sets.deployment);
    if recreate(&sets.deployment) {
        let old: Vec<_> = sets.old.iter().filter(|one| replicas(one) > 0).collect();
        for one in &old {
            resize(state, sets, one, 0);
        }
        let left = pods_of(state, &sets.old);
        if old.is_empty() && left == 0 && replicas(new) != wanted {
            resize(state, sets, new, wanted);
        }
        return;
    }
    let to = if replicas(new) > wanted {
        wanted
    } else {
        new_replicas(sets, replicas(new))
    };
    if to != replicas(new) {
        resize(state, sets, new, to);
        return;
    }
    let old: i64 = sets.old.iter().map(|one| replicas(one)).sum();
    if old == 0 {
        return;
    }
    let total = old + replicas(new);
    let least = wanted - missing(&sets.deployment);
    let ill = replicas(new) - available(new);
    let mut spare = total - least - ill;
    if spare <= 0 {
        return;
    }
    // Old pods that are not well go first.
    let mut sizes: Vec<i64> = sets.old.iter().map(|one| replicas(one)).collect();
    for (size, one) in sizes.iter_mut().zip(&sets.old) {
        let down = (*size - available(one)).clamp(0, spare);
        *size -= down;
        spare -= down;
    }
    let well: i64 = sets.all().map(|one| available(one)).sum();
    let mut spare = (well - least).max(0);
    for size in &mut sizes {
        let down = spare.min(*size);
        *size -= down;
        spare -= down;
    }
    for (size, one) in sizes.into_iter().zip(&sets.old) {
        if size != replicas(one) {
            resize(state, sets, one, size);
        }
    }
}
