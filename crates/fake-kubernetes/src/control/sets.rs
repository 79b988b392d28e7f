//! A deployment's replica sets.

use std::sync::Arc;

use serde_json::Value;

use crate::json::{map, text};
use crate::state::State;
use crate::store::Key;

/// A deployment with its replica sets, the old ones by age.
pub struct Sets {
    pub deployment: Arc<Value>,
    pub new: Option<Arc<Value>>,
    pub old: Vec<Arc<Value>>,
}

impl Sets {
    pub fn of(state: &State, key: &Key) -> Option<Self> {
        let deployment = state.store.get(key).cloned()?;
        let uid = text(&deployment, "/metadata/uid");
        let mut all = state.store.owned("replicasets", &key.namespace, uid);
        all.sort_by_key(|one| {
            let made = text(one, "/metadata/creationTimestamp").to_owned();
            (made, revision(one))
        });
        let template = &deployment["spec"]["template"];
        let at = all.iter().position(|one| template_of(one) == *template);
        let new = at.map(|at| all.remove(at));
        Some(Self {
            deployment,
            new,
            old: all,
        })
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }
}

/// The template that a replica set was made of.
fn template_of(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    map(&mut template, &["metadata", "labels"]).remove("pod-template-hash");
    template
}

pub fn revision(object: &Value) -> i64 {
    let annotations = &object["metadata"]["annotations"];
    let revision = &annotations["deployment.kubernetes.io/revision"];
    revision
        .as_str()
        .and_then(|one| one.parse().ok())
        .unwrap_or(0)
}

/// How many pods these replica sets still have, those on their way out too.
pub fn pods_of(state: &State, sets: &[Arc<Value>]) -> usize {
    let pods = sets.iter().map(|set| {
        let namespace = text(set, "/metadata/namespace");
        let uid = text(set, "/metadata/uid");
        state.store.owned("pods", namespace, uid).len()
    });
    pods.sum()
}
