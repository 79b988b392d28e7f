//! The status of a service, from what was seen.

use std::time::Duration;

use jiff::Timestamp;

use crate::object::Condition;
use crate::{Snapshot, WorkloadRef};
use treasury_domain::duration;
use treasury_domain::service::ServiceStatus;

/// A watch that is begun anew is no news.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// The replicas and what its controller says.
pub(crate) fn status(seen: &Snapshot, target: WorkloadRef<'_>, now: Timestamp) -> ServiceStatus {
    // A pod that came to its end and has been replaced is no replica any more.
    let replaced = seen.living().count() >= seen.desired() as usize;
    let replicas = seen
        .pods
        .iter()
        .filter(|pod| !pod.is_leaving() && (!replaced || !pod.is_over()))
        .map(|pod| pod.replica(&target.names(), now));
    let replicas: Vec<_> = replicas.collect();
    ServiceStatus {
        scaled_to_none: replicas.is_empty() && seen.desired() == 0,
        replicas,
        facts: facts(seen),
        warnings: Vec::new(),
    }
}

fn facts(seen: &Snapshot) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(age) = seen.age.filter(|age| *age >= WORTH_TELLING) {
        facts.push(format!(
            "as it was {} ago: the API server does not answer",
            duration::text(age)
        ));
    }
    let counts = seen.workload.counts();
    facts.push(format!(
        "desired {}, ready {}, updated {}, available {}",
        counts.desired, counts.ready, counts.updated, counts.available
    ));
    if let Some(scaler) = &seen.scaler {
        facts.push(format!(
            "autoscaled by {} between {} and {}",
            scaler.name, scaler.min, scaler.max
        ));
    }
    facts.extend(seen.workload.conditions().iter().filter_map(trouble));
    facts.extend(seen.workload.holds_back());
    let leaving = seen.pods.iter().filter(|pod| pod.is_leaving()).count();
    if leaving > 0 {
        facts.push(format!("{leaving} more terminating"));
    }
    facts
}

/// What a condition says that is not as it should be.
fn trouble(condition: &Condition) -> Option<String> {
    let kind = condition.kind.as_str();
    let bad = match kind {
        "Available" | "Progressing" => !condition.holds(),
        // ReplicaFailure: pods that can't even be made.
        _ => condition.holds() && kind.ends_with("Failure"),
    };
    bad.then(|| condition.words(kind, 200))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::snapshot::Scaler;
    use crate::workload::Workload;
    use treasury_domain::service::WorkloadKind;

    #[test]
    fn the_facts_are_what_the_controllers_say() {
        let object = json!({"metadata": {"name": "web", "uid": "w"}, "spec": {"replicas": 2},
            "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2,
                       "availableReplicas": 1, "conditions": [
                {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
                 "message": "Deployment does not have minimum availability."},
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]}});
        let pod = |name: &str, more: serde_json::Value| {
            let mut meta = json!({"name": name, "uid": name});
            meta.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            Arc::new(serde_json::from_value(json!({ "metadata": meta })).unwrap())
        };
        let workload = Workload {
            kind: WorkloadKind::Deployment,
            object: serde_json::from_value(object).unwrap(),
        };
        let seen = Snapshot::new(
            workload,
            vec![
                pod("a", json!({})),
                pod("b", json!({})),
                pod("c", json!({"deletionTimestamp": "2026-11-27T10:00:00Z"})),
            ],
            Some(Scaler {
                name: "web".into(),
                min: 2,
                max: 5,
            }),
        );
        let target = WorkloadRef {
            namespace: "shop",
            kind: WorkloadKind::Deployment,
            name: "web",
            service: "web",
        };
        let status = status(&seen, target, Timestamp::UNIX_EPOCH);
        assert_eq!(status.replicas.len(), 2, "what is leaving is no replica");
        assert_eq!(
            status.facts,
            [
                "desired 2, ready 1, updated 2, available 1",
                "autoscaled by web between 2 and 5",
                "MinimumReplicasUnavailable: Deployment does not have minimum availability.",
                "1 more terminating",
            ]
        );
    }
}
