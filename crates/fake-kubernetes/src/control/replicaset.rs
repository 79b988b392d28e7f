//! Replica sets: so many pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::object::set_status;
use super::pods::{active, available, by_worth, claim, end, make};
use crate::json::{count, going, number, ready};
use crate::select::Labels;
use crate::state::State;
use crate::store::Key;

pub fn sync(state: &mut State, key: &Key) {
    let Some(set) = state.store.get(key).cloned() else {
        return;
    };
    let own = claim(state, "replicasets", &set);
    let mut pods: Vec<Arc<Value>> = own.into_iter().filter(|pod| active(pod)).collect();
    let wanted = number(&set, "/spec/replicas").unwrap_or(1) as usize;
    // What was just made or ended counts from the next round on.
    let status = status(&set, &pods);
    if !going(&set) {
        for _ in pods.len()..wanted {
            let template = &set["spec"]["template"];
            make(state, "replicasets", &set, template, &json!({}));
        }
        by_worth(&mut pods);
        let more = pods.len().saturating_sub(wanted);
        for pod in &pods[..more] {
            end(state, "replicasets", &set, pod);
        }
    }
    set_status(state, key, status);
}

fn status(set: &Value, pods: &[Arc<Value>]) -> Value {
    let labels = Labels::map(&set["spec"]["template"]["metadata"]["labels"]);
    let of = |what: &dyn Fn(&Value) -> bool| count(pods.iter().filter(|pod| what(pod)).count());
    json!({
        "replicas": pods.len(),
        "fullyLabeledReplicas": of(&|pod| labels.matches(pod)),
        "readyReplicas": of(&ready),
        "availableReplicas": of(&|pod| available(pod, set)),
        "observedGeneration": set["metadata"]["generation"],
    })
}
