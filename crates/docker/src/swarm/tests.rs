//! What is told of a service and its tasks, from what managers answered.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::nodes::Node;
use super::rollout::{Hold, Rollout};
use super::snapshot::{Snapshot, SwarmService};
use crate::engine::{Engine, EngineConfig};
use treasury_domain::service::{ReplicaState, well_text};

const BEGAN: &str = "2026-11-20T07:10:00Z";

/// A service of so many replicas that is being updated since [`BEGAN`], with these tasks, and a
/// machine `b` in this state since then.
fn told(replicas: u64, tasks: &[Value], b: (&str, &str), tell: impl FnOnce(&Snapshot<'_>)) {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let spec = json!({"Name": "web", "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {"ContainerSpec": {"Image": "kit:2"}}});
    let model = json!({"ID": "s", "Spec": spec, "UpdateStatus": {
        "State": "updating", "StartedAt": BEGAN, "Message": "update in progress"}});
    let node = |id: &str, state: &str, at: &str| {
        let node = json!({"ID": id, "UpdatedAt": at, "Status": {"State": state},
            "Spec": {"Availability": "active"}, "Description": {"Hostname": format!("node-{id}")}});
        Node::new(serde_json::from_value(node).unwrap()).unwrap()
    };
    tell(&Snapshot {
        service: SwarmService {
            engine: &engine,
            name: "web",
        },
        id: "s".to_owned(),
        model: serde_json::from_value(model).unwrap(),
        spec,
        previous: Value::Null,
        tasks: serde_json::from_value(json!(tasks)).unwrap(),
        nodes: HashMap::from([node("a", "ready", BEGAN), node("b", b.0, b.1)]),
    });
}

/// A task of slot, machine, image; its wanted state and its state with the error beside it; made so
/// many seconds after the update began.
fn task(slot: u64, node: &str, kit: u64, wanted: &str, state: (&str, &str), after: i64) -> Value {
    let began: jiff::Timestamp = BEGAN.parse().unwrap();
    let made = began + jiff::SignedDuration::from_secs(after);
    let container = match state.0 {
        "pending" | "preparing" | "rejected" => "",
        _ => "c",
    };
    json!({"ID": format!("{slot}-{after}"), "Slot": slot, "NodeID": node, "DesiredState": wanted,
        "CreatedAt": made, "Spec": {"ContainerSpec": {"Image": format!("kit:{kit}")}},
        "Status": {"State": state.0, "Err": state.1, "Timestamp": made,
            "ContainerStatus": {"ContainerID": container, "ExitCode": 0}}})
}

const RUNS: (&str, &str) = ("running", "");
const READY: (&str, &str) = ("ready", BEGAN);

#[test]
fn a_place_counts_by_what_runs_and_its_new_task_is_told() {
    let full = "no suitable node (host-mode port already in use on 1 node)";
    let gone = "No such image: kit:2";
    for (new, told_of_it) in [
        (
            ("pending", full),
            "new task pending: no suitable node (host-mode port already in use on 1 node)",
        ),
        (
            ("rejected", gone),
            "new task rejected: No such image: kit:2 on node-a",
        ),
        (("starting", ""), "new task starting on node-a"),
    ] {
        let node = if new.0 == "pending" { "" } else { "a" };
        let tasks = [
            task(1, "a", 1, "running", RUNS, -60),
            task(1, node, 2, "running", new, 1),
        ];
        told(1, &tasks, READY, |seen| {
            let status = seen.status();
            assert_eq!(well_text(&status), "running 1/1", "{status:?}");
            let replica = &status.replicas[0];
            assert_eq!(replica.note.as_deref(), Some(told_of_it));
            assert_eq!((replica.image.as_str(), replica.exit_code), ("kit:1", None));
        });
    }
    // What was put back is no news: it is what failed before.
    let tasks = [
        task(1, "a", 2, "running", RUNS, -60),
        task(
            1,
            "a",
            3,
            "shutdown",
            ("failed", "task: non-zero exit (3)"),
            -30,
        ),
    ];
    told(1, &tasks, READY, |seen| {
        let note = seen.status().replicas[0].note.clone();
        assert_eq!(
            note.as_deref(),
            Some("before: failed: task: non-zero exit (3)")
        );
    });
    // One that never ran has no exit code.
    let tasks = [task(1, "a", 2, "ready", ("rejected", gone), 1)];
    told(1, &tasks, READY, |seen| {
        let replica = &seen.status().replicas[0];
        assert_eq!(
            (replica.state, replica.exit_code),
            (ReplicaState::Dead, None)
        );
    });
}

#[test]
fn what_can_not_come_to_run_holds_the_rollout_unless_a_former_task_is_to_end_first() {
    // As Docker Engine 29.7.2 tells of an image that no registry gives.
    let err = "failed to resolve reference docker.io/library/kit:2: not found";
    let held = |tasks: &[Value], by: &str| {
        told(2, tasks, READY, |seen| {
            let by = Hold::Task(by.to_owned());
            assert_eq!(seen.rollout(), Rollout::Held { done: 0, by });
        });
    };
    let other = task(1, "a", 1, "running", RUNS, -60);
    let preparing = task(2, "b", 2, "running", ("preparing", err), 1);
    held(
        &[other.clone(), preparing.clone()],
        &format!("web.2: preparing: {err} on node-b"),
    );
    let leaves = task(2, "b", 1, "shutdown", RUNS, -60);
    told(2, &[other, preparing, leaves], READY, |seen| {
        let line = "web.2: the former task is being stopped on node-b".to_owned();
        assert_eq!(seen.rollout(), Rollout::Going { done: 0, line });
    });
}

#[test]
fn a_rollout_waits_in_vain_for_a_machine_that_was_lost_since_it_began() {
    let tasks = [
        task(1, "a", 2, "running", RUNS, 4),
        task(1, "b", 1, "shutdown", RUNS, -60),
        task(2, "a", 1, "running", RUNS, -60),
    ];
    told(2, &tasks, ("down", "2026-11-20T07:10:03Z"), |seen| {
        let Rollout::Held { done: 1, by } = seen.rollout() else {
            panic!("{:?}", seen.rollout());
        };
        let text = by.text();
        assert!(
            text.starts_with(
                "Swarm waits for a former task of web.1 on node-b, and node-b is Down"
            )
        );
        let status = seen.status();
        assert!(
            status.facts[1].contains("1 of 2 done; does not go on: Swarm waits"),
            "{status:?}"
        );
        assert!(
            status.warnings[0].starts_with("node-b is Down since "),
            "{status:?}"
        );
    });
    // Lost before that, it is not waited for: the other place is next.
    told(2, &tasks, ("down", "2026-11-20T07:09:00Z"), |seen| {
        let line = "web.2 is next".to_owned();
        assert_eq!(seen.rollout(), Rollout::Going { done: 1, line });
    });
}

#[test]
fn nothing_is_said_to_run_on_a_machine_that_does_not_answer() {
    let tasks = [
        task(1, "a", 2, "running", RUNS, 1),
        task(2, "b", 2, "running", RUNS, 1),
    ];
    told(2, &tasks, ("unknown", BEGAN), |seen| {
        let status = seen.status();
        assert_eq!(well_text(&status), "running 1/2");
        let replica = &status.replicas[1];
        assert_eq!(replica.state, ReplicaState::Unknown);
        let note = replica.note.as_deref().unwrap();
        assert!(
            note.starts_with("node-b is unknown since 2026-11-20"),
            "{note}"
        );
    });
}

#[test]
fn a_service_of_no_replicas_is_scaled_to_none() {
    told(0, &[], READY, |seen| {
        assert!(seen.status().scaled_to_none);
    });
    told(1, &[], READY, |seen| {
        assert!(
            !seen.status().scaled_to_none,
            "its task is still to be made"
        );
    });
}
