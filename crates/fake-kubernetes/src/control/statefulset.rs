//! Stateful sets: numbered pods, one after another.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::object::set_status;
use super::pods::{available, claim, end, make};
use super::revision;
use crate::json::{count, going, number, ready, text};
use crate::state::State;
use crate::store::Key;

/// The number of a pod.
fn ordinal(pod: &Value) -> Option<i64> {
    text(pod, "/metadata/name").rsplit_once('-')?.1.parse().ok()
}

pub fn sync(state: &mut State, key: &Key) {
    let Some(set) = state.store.get(key).cloned() else {
        return;
    };
    if going(&set) {
        return;
    }
    let newest = revision::current(state, "statefulsets", &set);
    let present = match text(&set, "/status/currentRevision") {
        "" => newest.clone(),
        present => present.to_owned(),
    };
    let pods: BTreeMap<i64, Arc<Value>> = claim(state, "statefulsets", &set)
        .into_iter()
        .filter_map(|pod| Some((ordinal(&pod)?, pod)))
        .collect();
    let wanted = number(&set, "/spec/replicas").unwrap_or(1);
    let status = status(&set, &pods, wanted, &present, &newest);
    advance(state, &set, &pods, wanted, (&present, &newest));
    set_status(state, key, status);
}

fn status(
    set: &Value,
    pods: &BTreeMap<i64, Arc<Value>>,
    wanted: i64,
    present: &str,
    newest: &str,
) -> Value {
    let of = |what: &dyn Fn(&Value) -> bool| pods.values().filter(|pod| what(pod)).count();
    let new = of(&|pod| revision::of(pod) == newest && !going(pod));
    let well = of(&|pod| ready(pod) && !going(pod));
    let done = new as i64 == wanted && well as i64 == wanted && pods.len() as i64 == wanted;
    let present = if done { newest } else { present };
    json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": pods.len(),
        "readyReplicas": count(well),
        "availableReplicas": of(&|pod| available(pod, set) && !going(pod)),
        "currentReplicas": count(of(&|pod| revision::of(pod) == present && !going(pod))),
        "updatedReplicas": count(new),
        "currentRevision": present,
        "updateRevision": newest,
        "collisionCount": 0,
    })
}

/// One step: what is missing is made, what is too much goes, what is old is made anew.
fn advance(
    state: &mut State,
    set: &Value,
    pods: &BTreeMap<i64, Arc<Value>>,
    wanted: i64,
    (present, newest): (&str, &str),
) {
    let ordered = text(set, "/spec/podManagementPolicy") == "OrderedReady";
    let rolling = text(set, "/spec/updateStrategy/type") == "RollingUpdate";
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    for number in 0..wanted {
        match pods.get(&number) {
            None => {
                let new = rolling && number >= partition;
                let revision = if new { newest } else { present };
                create(state, set, number, revision);
                if ordered {
                    return;
                }
            }
            // An ill pod holds up all others, even where the template is mended: the known trap.
            Some(pod) if ordered && (going(pod) || !ready(pod)) => return,
            Some(_) => {}
        }
    }
    let mut more = pods.iter().rev().filter(|(number, _)| **number >= wanted);
    if let Some((_, pod)) = more.next() {
        if !going(pod) {
            end(state, "statefulsets", set, pod);
        }
        return;
    }
    if !rolling {
        return;
    }
    for (_, pod) in pods.range(partition..).rev() {
        if going(pod) || (revision::of(pod) == newest && !ready(pod)) {
            return;
        }
        if revision::of(pod) != newest {
            end(state, "statefulsets", set, pod);
            return;
        }
    }
}

fn create(state: &mut State, set: &Value, number: i64, revision: &str) {
    let name = format!("{}-{number}", text(set, "/metadata/name"));
    let template = revision::template(state, set, revision);
    let extra = json!({
        "metadata": {
            "name": name, "generateName": null,
            "labels": {
                "controller-revision-hash": revision,
                "statefulset.kubernetes.io/pod-name": name,
                "apps.kubernetes.io/pod-index": number.to_string(),
            },
        },
        "spec": {"hostname": name, "subdomain": set["spec"]["serviceName"]},
    });
    make(state, "statefulsets", set, &template, &extra);
}
