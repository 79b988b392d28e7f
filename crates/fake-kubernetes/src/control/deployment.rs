//! Deployments: which replica set is the new one, and what is told of the rollout.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::object::tell;
use super::pods::controller;
use super::sets::{Sets, revision};
use super::{progress, rollout};
use crate::json::{going, list, map, number, set, text};
use crate::resource::Kind;
use crate::state::State;
use crate::store::{Key, hash};
use crate::write::create;

/// Annotations that a replica set does not take over from its deployment.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

pub fn sync(state: &mut State, key: &Key, now: Instant) {
    let Some(mut sets) = Sets::of(state, key) else {
        return;
    };
    if going(&sets.deployment) {
        return;
    }
    let paused = sets.deployment["spec"]["paused"] == true;
    let fresh = renew(state, key, &sets, paused);
    if let Some(again) = Sets::of(state, key) {
        sets = again;
    }
    if rollout::scaled(&sets) || paused {
        rollout::scale(state, &sets);
    } else {
        rollout::advance(state, &sets);
    }
    // The statuses of the replica sets are those from before this round.
    let Some(sets) = Sets::of(state, key) else {
        return;
    };
    progress::tell(state, key, &sets, fresh, now);
    if progress::complete(&sets) {
        clean(state, &sets);
    }
}

/// Makes the new replica set, or brings the revision of the one there up to date. Returns its name
/// where it was made.
fn renew(state: &mut State, key: &Key, sets: &Sets, paused: bool) -> Option<String> {
    let deployment = &sets.deployment;
    let newest = sets.old.iter().map(|one| revision(one)).max().unwrap_or(0);
    let next = newest + 1;
    let (name, next) = match &sets.new {
        Some(new) => {
            let next = revision(new).max(next);
            let key = Key::of("replicasets", new);
            state
                .store
                .modify(&key, |set| annotate(set, deployment, next));
            (None, next)
        }
        None if paused => return None,
        None => (Some(make(state, sets, next)), next),
    };
    let revision = json!(next.to_string());
    state.store.modify(key, |one| {
        let path = [
            "metadata",
            "annotations",
            "deployment.kubernetes.io/revision",
        ];
        set(one, &path, revision);
    });
    name
}

fn make(state: &mut State, sets: &Sets, revision: i64) -> String {
    let deployment = &sets.deployment;
    let template = &deployment["spec"]["template"];
    let hash = hash(template);
    let name = format!("{}-{hash}", text(deployment, "/metadata/name"));
    let mut new = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "labels": template["metadata"]["labels"],
            "ownerReferences": [controller("deployments", deployment)],
        },
        "spec": {
            "replicas": 0, "selector": deployment["spec"]["selector"], "template": template,
            "minReadySeconds": deployment["spec"]["minReadySeconds"],
        },
    });
    for path in [
        &["metadata", "labels", "pod-template-hash"][..],
        &["spec", "selector", "matchLabels", "pod-template-hash"],
        &[
            "spec",
            "template",
            "metadata",
            "labels",
            "pod-template-hash",
        ],
    ] {
        set(&mut new, path, json!(hash));
    }
    annotate(&mut new, deployment, revision);
    let replicas = rollout::new_replicas(sets, 0);
    set(&mut new, &["spec", "replicas"], json!(replicas));
    let namespace = text(deployment, "/metadata/namespace");
    let kind = Kind::kept("replicasets");
    create(
        state,
        kind,
        namespace,
        new,
        "kube-controller-manager",
        false,
    )
    .ok();
    if replicas > 0 {
        let message = format!("Scaled up replica set {name} from 0 to {replicas}");
        tell(
            state,
            "deployments",
            deployment,
            "ScalingReplicaSet",
            &message,
        );
    }
    name
}

/// The annotations that a replica set has of its deployment.
fn annotate(target: &mut Value, deployment: &Value, revision: i64) {
    let wanted = number(deployment, "/spec/replicas").unwrap_or(1);
    let most = wanted + rollout::surge(deployment) as i64;
    let from = deployment["metadata"]["annotations"].as_object();
    let annotations = map(target, &["metadata", "annotations"]);
    for (key, value) in from.into_iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let before = annotations
        .get("deployment.kubernetes.io/revision")
        .cloned();
    if let Some(before) = before.as_ref().and_then(Value::as_str)
        && before != revision.to_string()
    {
        let history = annotations
            .get("deployment.kubernetes.io/revision-history")
            .and_then(Value::as_str);
        let history = history.map_or_else(|| before.to_owned(), |old| format!("{old},{before}"));
        let key = "deployment.kubernetes.io/revision-history";
        annotations.insert(key.to_owned(), json!(history));
    }
    for (key, value) in [
        ("revision", revision),
        ("desired-replicas", wanted),
        ("max-replicas", most),
    ] {
        let key = format!("deployment.kubernetes.io/{key}");
        // How many were wanted is noted when the set is scaled.
        let late = key.ends_with("replicas") && annotations.contains_key(&key);
        if !late {
            annotations.insert(key, json!(value.to_string()));
        }
    }
}

/// Removes the oldest empty replica sets beyond the limit.
fn clean(state: &mut State, sets: &Sets) {
    let limit = number(&sets.deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
    let mut empty: Vec<&Arc<Value>> = sets
        .old
        .iter()
        .filter(|one| {
            number(one, "/spec/replicas") == Some(0)
                && number(one, "/status/replicas").unwrap_or(0) == 0
                && list(one, "/metadata/finalizers").is_empty()
        })
        .collect();
    empty.sort_by_key(|one| revision(one));
    let more = empty.len().saturating_sub(limit as usize);
    for one in &empty[..more] {
        state.store.remove(&Key::of("replicasets", one));
    }
}
