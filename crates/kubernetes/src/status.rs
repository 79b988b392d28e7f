//! The status of a service, from what was seen.

use std::time::Duration;

use jiff::Timestamp;

use super::find::{Place, Seen};
use super::pod;
use super::workload::Workload;
use treasury_domain::duration;
use treasury_domain::service::ServiceStatus;
use treasury_domain::timeline::cut;
use treasury_ports::text::clean;

/// A watch that is begun anew is no news.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// The replicas and what its controller says.
pub(super) fn status(seen: &Seen, place: Place<'_>, now: Timestamp) -> ServiceStatus {
    let names = [place.service, place.name];
    let replicas = seen
        .pods
        .iter()
        .filter(|pod| !pod::is_leaving(pod) && !is_remains(seen, pod))
        .map(|pod| pod::replica(pod, &names, now))
        .collect();
    ServiceStatus {
        replicas,
        facts: facts(seen),
    }
}

/// A pod that came to its end and has been replaced: it is no replica any more.
fn is_remains(seen: &Seen, pod: &k8s_openapi::api::core::v1::Pod) -> bool {
    pod::is_over(pod) && seen.living().count() >= seen.workload.counts().desired as usize
}

fn facts(seen: &Seen) -> Vec<String> {
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
    facts.extend(troubles(&seen.workload));
    let leaving = seen.pods.iter().filter(|pod| pod::is_leaving(pod)).count();
    if leaving > 0 {
        facts.push(format!("{leaving} more terminating"));
    }
    facts
}

/// The conditions that are not as they should be, and what stops a rollout.
fn troubles(workload: &Workload) -> Vec<String> {
    let bad = workload
        .conditions()
        .into_iter()
        .filter(|one| match one.kind {
            "Available" | "Progressing" => !one.holds,
            // ReplicaFailure: pods that can't even be made.
            _ => one.holds && one.kind.ends_with("Failure"),
        });
    let mut all: Vec<String> = bad
        .map(|one| {
            let what = if one.reason.is_empty() {
                one.kind
            } else {
                one.reason
            };
            cut(&clean(&format!("{what}: {}", one.message)), 200)
        })
        .collect();
    all.extend(workload.holds_back());
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::find::Scaler;
    use super::*;
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
        let seen = Seen {
            workload: Workload {
                kind: WorkloadKind::Deployment,
                object: serde_json::from_value(object).unwrap(),
            },
            pods: vec![
                pod("a", json!({})),
                pod("b", json!({})),
                pod("c", json!({"deletionTimestamp": "2026-11-27T10:00:00Z"})),
            ],
            scaler: Some(Scaler {
                name: "web".into(),
                min: 2,
                max: 5,
            }),
            age: None,
        };
        let place = Place {
            namespace: "shop",
            kind: WorkloadKind::Deployment,
            name: "web",
            service: "web",
        };
        let status = status(&seen, place, Timestamp::UNIX_EPOCH);
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
