//! Controller revisions: the templates that a stateful set or a daemon set had.

use serde_json::{Value, json};

use super::pods::controller;
use crate::json::{number, set, text};
use crate::resource::Kind;
use crate::state::State;
use crate::store::{Key, hash};
use crate::write::create;

/// The name of the revision that a workload's template is; made where it is new, and made the
/// newest where it is an old one.
pub fn current(state: &mut State, plural: &str, workload: &Value) -> String {
    let namespace = text(workload, "/metadata/namespace").to_owned();
    let uid = text(workload, "/metadata/uid");
    let mut template = workload["spec"]["template"].clone();
    set(&mut template, &["$patch"], json!("replace"));
    let data = json!({"spec": {"template": template}});
    let all = state.store.owned("controllerrevisions", &namespace, uid);
    let newest = all.iter().filter_map(|one| number(one, "/revision")).max();
    let newest = newest.unwrap_or(0);
    if let Some(same) = all.iter().find(|one| one["data"] == data) {
        let key = Key::of("controllerrevisions", same);
        if number(same, "/revision") != Some(newest) {
            state
                .store
                .modify(&key, |one| one["revision"] = json!(newest + 1));
        }
        return key.name;
    }
    let hash = hash(&workload["spec"]["template"]);
    let name = format!("{}-{hash}", text(workload, "/metadata/name"));
    let mut labels = workload["spec"]["template"]["metadata"]["labels"].clone();
    set(&mut labels, &["controller-revision-hash"], json!(hash));
    let revision = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": name, "labels": labels, "ownerReferences": [controller(plural, workload)],
            "annotations": workload["metadata"]["annotations"],
        },
        "data": data, "revision": newest + 1,
    });
    let kind = Kind::kept("controllerrevisions");
    create(
        state,
        kind,
        &namespace,
        revision,
        "kube-controller-manager",
        false,
    )
    .ok();
    name
}

/// The template of a revision; that of the workload where the revision is gone.
pub fn template(state: &State, workload: &Value, revision: &str) -> Value {
    let namespace = text(workload, "/metadata/namespace");
    let key = Key::new("controllerrevisions", namespace, revision);
    let found = state.store.get(&key);
    let template = found.map(|one| one["data"]["spec"]["template"].clone());
    let mut template = template.unwrap_or_else(|| workload["spec"]["template"].clone());
    set(&mut template, &["$patch"], Value::Null);
    template
}

/// The label by which a pod tells its revision: a whole name for stateful sets, a hash for daemon
/// sets.
pub fn of(pod: &Value) -> &str {
    text(pod, "/metadata/labels/controller-revision-hash")
}
