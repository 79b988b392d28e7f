//! The status of a deployment.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::object::set_status;
use super::rollout;
use super::sets::Sets;
use crate::json::{age, condition, count, number, text};
use crate::state::State;
use crate::store::Key;

fn status(object: &Value, field: &str) -> i64 {
    number(object, &format!("/status/{field}")).unwrap_or(0)
}

/// All that is wanted is new and available.
pub fn complete(sets: &Sets) -> bool {
    let wanted = number(&sets.deployment, "/spec/replicas").unwrap_or(1);
    let total: i64 = sets.all().map(|one| status(one, "replicas")).sum();
    let new = sets.new.as_ref();
    let of = |field: &str| new.map_or(0, |new| status(new, field));
    new.is_some()
        && total == wanted
        && of("replicas") == wanted
        && of("availableReplicas") == wanted
}

/// Writes the status. `fresh` is the name of a replica set that was just made.
pub fn tell(state: &mut State, key: &Key, sets: &Sets, fresh: Option<String>, now: Instant) {
    let deployment = &sets.deployment;
    let sum = |field: &str| -> i64 { sets.all().map(|one| status(one, field)).sum() };
    let asked: i64 = sets
        .all()
        .map(|one| number(one, "/spec/replicas").unwrap_or(0))
        .sum();
    let well = sum("availableReplicas");
    let updated = sets.new.as_ref().map_or(0, |new| status(new, "replicas"));
    let mut next = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": count(sum("replicas") as usize),
        "updatedReplicas": count(updated as usize),
        "readyReplicas": count(sum("readyReplicas") as usize),
        "availableReplicas": count(well as usize),
        "unavailableReplicas": count((asked - well).max(0) as usize),
    });
    let wanted = number(deployment, "/spec/replicas").unwrap_or(1);
    let enough = well >= wanted - rollout::missing(deployment);
    let (word, reason, message) = if enough {
        let message = "Deployment has minimum availability.";
        ("True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        ("False", "MinimumReplicasUnavailable", message)
    };
    let mut conditions = Vec::new();
    conditions.push(changed(
        deployment,
        "Available",
        word,
        reason,
        message,
        false,
    ));
    if number(deployment, "/spec/progressDeadlineSeconds").is_some() {
        let progress = progress(sets, &next, fresh);
        conditions.extend(progress.or_else(|| condition(deployment, "Progressing").cloned()));
    }
    next["conditions"] = json!(conditions);
    set_status(state, key, next);
    if !complete(sets) {
        let limit = number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
        if limit < 600 {
            let soon = now + std::time::Duration::from_millis(250);
            state.kubelet.due(soon, key.clone());
        }
    }
    if number(deployment, "/spec/minReadySeconds").is_some_and(|least| least > 0) && !complete(sets)
    {
        let soon = now + std::time::Duration::from_millis(250);
        for one in sets.all() {
            state.kubelet.due(soon, Key::of("replicasets", one));
        }
    }
}

/// The condition, new where it is another one or where `again` says that it holds anew.
fn changed(
    deployment: &Value,
    kind: &str,
    word: &str,
    reason: &str,
    message: &str,
    again: bool,
) -> Value {
    let before = condition(deployment, kind);
    let now = crate::json::now();
    let same = before.is_some_and(|one| one["status"] == word);
    if let Some(before) = before
        && same
        && !again
        && before["reason"] == reason
        && before["message"] == message
    {
        return before.clone();
    }
    let since = before
        .filter(|_| same)
        .map(|one| one["lastTransitionTime"].clone());
    json!({
        "type": kind, "status": word, "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": since.unwrap_or_else(|| json!(now)),
    })
}

/// What is to be told of the progress, where that changes.
fn progress(sets: &Sets, next: &Value, fresh: Option<String>) -> Option<Value> {
    let deployment = &sets.deployment;
    let tell = |word: &str, reason: &str, message: &str, again: bool| {
        Some(changed(
            deployment,
            "Progressing",
            word,
            reason,
            message,
            again,
        ))
    };
    if let Some(name) = fresh {
        let message = format!("Created new replica set \"{name}\"");
        return tell("True", "NewReplicaSetCreated", &message, true);
    }
    let name = sets.new.as_ref().map_or_else(
        || "?".to_owned(),
        |new| text(new, "/metadata/name").to_owned(),
    );
    let before = condition(deployment, "Progressing");
    let Some(before) = before else {
        let message = format!("Found new replica set \"{name}\"");
        return tell("True", "FoundNewReplicaSet", &message, true);
    };
    let of = |field: &str| number(next, &format!("/{field}")).unwrap_or(0);
    let done = text(before, "/reason") == "NewReplicaSetAvailable";
    if done && of("replicas") == of("updatedReplicas") {
        return None;
    }
    if complete(sets) {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return tell("True", "NewReplicaSetAvailable", &message, false);
    }
    let was = |field: &str| status(deployment, field);
    let old = |replicas: i64, updated: i64| replicas - updated;
    let on = of("updatedReplicas") > was("updatedReplicas")
        || old(of("replicas"), of("updatedReplicas"))
            < old(was("replicas"), was("updatedReplicas"))
        || of("readyReplicas") > was("readyReplicas")
        || of("availableReplicas") > was("availableReplicas");
    if on {
        let message = format!("ReplicaSet \"{name}\" is progressing.");
        return tell("True", "ReplicaSetUpdated", &message, true);
    }
    let limit = number(deployment, "/spec/progressDeadlineSeconds")? as f64;
    let late = text(before, "/reason") == "ProgressDeadlineExceeded"
        || age(text(before, "/lastUpdateTime")) > limit;
    if late && !done {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        return tell("False", "ProgressDeadlineExceeded", &message, false);
    }
    None
}
