//! Changes on two machines: a place with two tasks, and what keeps a rollout from going on.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use treasury_bot::domain::service::{Intent, Logs, ReplicaState, ServiceStatus, well_text};
use treasury_bot::platform::docker::Swarm;
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::swarm::service;
use super::swarm_nodes::{PATIENCE, holds, logs, note, rig, status, until, well};
use crate::support::engine::{IGNORES, OBEYS};
use crate::support::two_nodes::{B, TwoNodes};

/// Longer than it may take to tell that a change does not go on.
const TOLD: Duration = Duration::from_secs(20);

const ONLY_B: &str = "node.hostname==node-b";

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_new_task_that_finds_no_place_is_told_at_once_and_the_former_one_counts() {
    let (rig, driver) = rig("web:1").await;
    let none = ProgressSink::none();
    let port = |spec: &mut bollard::models::ServiceSpec| {
        start_first(spec);
        let task = spec.task_template.as_mut().unwrap();
        task.placement = Some(on("node.hostname==node-a"));
        task.networks = Some(vec![bollard::models::NetworkAttachmentConfig {
            target: Some("host".to_owned()),
            ..Default::default()
        }]);
        let port = serde_json::json!({"Protocol": "tcp", "TargetPort": 8000,
            "PublishedPort": 28701, "PublishMode": "host"});
        spec.endpoint_spec = Some(bollard::models::EndpointSpec {
            ports: Some(vec![serde_json::from_value(port).unwrap()]),
            ..Default::default()
        });
    };
    rig.a.serve_as("edge", "web:1", Some(1), port).await;
    let before = well(&driver, "edge", 1).await;
    let asked = Instant::now();
    let intent = Intent::new("1-1", Timestamp::now());
    let error = driver
        .restart(&service("edge"), None, &intent, PATIENCE, &none)
        .await;
    assert!(asked.elapsed() < TOLD, "{:?}", asked.elapsed());
    let told = error.unwrap_err().to_string();
    holds(
        &told,
        &[
            "the rollout does not go on, 0 of 1 done: edge.1: pending: no suitable node",
            "host-mode port already in use",
            "Swarm keeps at it",
        ],
    );
    let now = status(&driver, "edge").await;
    assert_eq!(well_text(&now), "running 1/1");
    assert_eq!(now.replicas[0].started_at, before.replicas[0].started_at);
    holds(note(&now, 0), &["new task pending: no suitable node"]);
    let fact = now
        .facts
        .iter()
        .find(|fact| fact.starts_with("rollout updating since "));
    holds(
        fact.unwrap(),
        &["0 of 1 done; does not go on: edge.1: pending: no suitable node"],
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_place_with_two_tasks_counts_by_what_runs() {
    let (rig, driver) = rig("web:1").await;
    let none = ProgressSink::none();
    let began = Timestamp::now();
    // An image that no machine has: both go on by the former one.
    rig.a.serve_as("two", "web:1", Some(2), start_first).await;
    well(&driver, "two", 2).await;
    rig.a.change("two", |spec| set_image(spec, "none:9")).await;
    let is_told = |now: &ServiceStatus| {
        now.replicas.iter().any(|one| {
            one.note
                .as_ref()
                .is_some_and(|note| note.contains("rejected"))
        })
    };
    let now = until(&driver, "two", "tells of the new task", is_told).await;
    assert_eq!(well_text(&now), "running 2/2", "{now:?}");
    let told: String = now
        .replicas
        .iter()
        .filter_map(|one| one.note.clone())
        .collect();
    holds(&told, &["rejected: No such image: none:9"]);
    assert!(!told.contains("exit code"), "{told}");
    let events = driver.events(&service("two"), began).await.unwrap().list;
    let of = |what: &str| events.iter().any(|event| event.what == what);
    assert!(of("task rejected") && of("update"), "{events:?}");

    // Slow to get healthy: the former one serves until then.
    rig.a
        .serve_as("api", "web:1", Some(1), |spec| {
            start_first(spec);
            check(spec, 3);
        })
        .await;
    well(&driver, "api", 1).await;
    let restarting = async {
        let intent = Intent::new("2-1", Timestamp::now());
        driver
            .restart(&service("api"), None, &intent, PATIENCE, &none)
            .await
    };
    let watching = until(&driver, "api", "starts a new task", |now| {
        note(now, 0).starts_with("new task starting")
    });
    let (restarted, meanwhile) = tokio::join!(restarting, watching);
    assert_eq!(well_text(&meanwhile), "healthy 1/1");
    assert_eq!(well_text(&restarted.unwrap()), "healthy 1/1");
    assert_eq!(note(&status(&driver, "api").await, 0), "");

    // None at all: that is so by intent.
    let down = driver
        .scale(&service("api"), 0, PATIENCE, &none)
        .await
        .unwrap();
    assert_eq!(well_text(&down), "scaled to 0, nothing is to run");
    rig.a
        .serve_as("far", "web:1", Some(0), |spec| {
            place(spec, "node.hostname==node-c");
        })
        .await;
    let asked = Instant::now();
    let error = driver
        .scale(&service("far"), 1, PATIENCE, &none)
        .await
        .unwrap_err();
    assert!(asked.elapsed() < TOLD, "{:?}", asked.elapsed());
    holds(
        &error.to_string(),
        &["far.1 pending: no suitable node", "The number stays at 1"],
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_rollout_is_judged_by_its_own_tasks_and_what_holds_it_is_named() {
    let (rig, driver) = rig("web:1").await;
    let none = ProgressSink::none();
    // An old failure on node-b: only node-a has that image.
    rig.a.import("onlya:1", OBEYS).await;
    rig.import("slow:1", &format!("echo hello; {IGNORES}"))
        .await;
    rig.a
        .serve_as("slow", "slow:1", Some(2), |spec| {
            container_of(spec).stop_grace_period = Some(5_000_000_000);
        })
        .await;
    well(&driver, "slow", 2).await;
    rig.a
        .change("slow", |spec| set_image(spec, "onlya:1"))
        .await;
    let failed = |now: &ServiceStatus| {
        now.facts
            .iter()
            .any(|fact| fact.starts_with("rollout paused"))
    };
    until(&driver, "slow", "has a rollout that failed", failed).await;
    rig.a.change("slow", |spec| set_image(spec, "slow:1")).await;
    let again = |now: &ServiceStatus| now.is_well() && now.facts.len() == 1;
    until(&driver, "slow", "is put back", again).await;

    let told = lost_meanwhile(&rig, &driver).await;
    holds(
        &told,
        &[
            "the rollout does not go on, ",
            " of 2 done: Swarm waits for a former task of slow.",
            "on node-b, and node-b is Down since ",
            "another restart begins anew",
        ],
    );
    assert!(!told.contains("onlya"), "an old failure: {told}");
    let now = status(&driver, "slow").await;
    let fact = now
        .facts
        .iter()
        .find(|fact| fact.starts_with("rollout updating"));
    holds(
        fact.unwrap(),
        &["does not go on: Swarm waits for a former task"],
    );
    let other = Intent::new("2", Timestamp::now());
    let after = driver
        .restart(&service("slow"), None, &other, PATIENCE, &none)
        .await
        .unwrap();
    assert_eq!(well_text(&after), "running 2/2");
    rig.mend();
    until(&driver, "slow", "has no warning", |now| {
        now.warnings.is_empty()
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_can_run_on_a_lost_node_only_is_told_at_once() {
    let (mut rig, driver) = rig("web:1").await;
    let none = ProgressSink::none();
    rig.a
        .serve_as("back", "web:1", Some(2), |spec| place(spec, ONLY_B))
        .await;
    well(&driver, "back", 2).await;
    rig.b.kill();
    rig.until("down").await;
    let lost = until(&driver, "back", "waits for a machine", |now| {
        now.replicas
            .iter()
            .all(|one| one.state == ReplicaState::Created)
    })
    .await;
    assert_eq!(well_text(&lost), "running 0/2");
    holds(
        &lost.warnings[0],
        &["node-b is Down since ", "whether 2 tasks still run there"],
    );
    let asked = Instant::now();
    let back = service("back");
    let intent = Intent::new("1-1", Timestamp::now());
    let error = driver
        .restart(&back, None, &intent, PATIENCE, &none)
        .await
        .unwrap_err();
    assert!(asked.elapsed() < TOLD, "{:?}", asked.elapsed());
    holds(
        &error.to_string(),
        &[
            "the rollout does not go on, 0 of 2 done: back.",
            "no suitable node",
        ],
    );
    assert!(matches!(error, PlatformError::Unwell { .. }));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_run_before_is_the_one_before_what_runs_whatever_failed_since() {
    let (rig, driver) = rig("web:1").await;
    let none = ProgressSink::none();
    rig.import("web:2", &format!("echo second; {OBEYS}")).await;
    rig.import("web:3", "echo no ledger; exit 3").await;
    // With a check, one that ends at once has never run in Swarm's eyes: the former one is kept.
    rig.a
        .serve_as("web", "web:1", Some(1), |spec| {
            start_first(spec);
            check(spec, 1);
        })
        .await;
    well(&driver, "web", 1).await;
    let web = service("web");
    let two = driver.deployable(&web, "web:2").await.unwrap();
    assert_eq!(two.id, "web:2", "no registry gave it a digest");
    driver.deploy(&web, &two, PATIENCE, &none).await.unwrap();
    let three = driver.deployable(&web, "web:3").await.unwrap();
    let error = driver
        .deploy(&web, &three, PATIENCE, &none)
        .await
        .unwrap_err();
    holds(
        &error.to_string(),
        &[
            "web.1 failed: task: non-zero exit (3)",
            " on node-",
            "> no ledger",
        ],
    );
    let texts =
        |logs: Logs| -> Vec<String> { logs.lines.into_iter().map(|line| line.text).collect() };
    let now = status(&driver, "web").await;
    assert_eq!(now.replicas[0].image, "web:2");
    holds(note(&now, 0), &["before: failed: task: non-zero exit (3)"]);
    assert_eq!(texts(logs(&driver, "web", true).await), ["hello"]);

    let intent = Intent::new("3-1", Timestamp::now());
    let restarted = driver.restart(&web, None, &intent, PATIENCE, &none).await;
    assert_eq!(restarted.unwrap().replicas[0].image, "web:2");
    assert_eq!(texts(logs(&driver, "web", true).await), ["second"]);
}

/// Loses the worker while Swarm waits for the end of its task, and before the other one's turn;
/// gives what is told of the restart.
async fn lost_meanwhile(rig: &TwoNodes, driver: &Swarm) -> String {
    let (slow, none) = (service("slow"), ProgressSink::none());
    // Swarm chooses the order.
    for number in 1..9 {
        let intent = Intent::new(format!("1-{number}"), Timestamp::now());
        let mut restarting = driver.restart(&slow, None, &intent, PATIENCE, &none);
        let first = until(driver, "slow", "is at node-b first", |now| {
            now.facts.iter().any(|fact| {
                let first = fact.contains(", 0 of 2 done; slow.");
                first && fact.ends_with(": the former task is being stopped on node-b")
            })
        });
        tokio::select! {
            restarted = &mut restarting => {
                restarted.unwrap();
                continue;
            }
            _ = first => rig.cut(),
        }
        let asked = Instant::now();
        let Err(error) = restarting.await else {
            // The word of the former task's end was on its way already.
            rig.mend();
            rig.until("ready").await;
            spread(driver).await;
            continue;
        };
        assert!(asked.elapsed() < TOLD, "{:?}", asked.elapsed());
        return error.to_string();
    }
    panic!("Swarm never began at {B}");
}

/// Has the tasks of `slow` on both machines again.
async fn spread(driver: &Swarm) {
    let (slow, none) = (service("slow"), ProgressSink::none());
    for replicas in [0, 2] {
        let scaled = driver.scale(&slow, replicas, PATIENCE, &none).await;
        scaled.unwrap();
    }
    until(driver, "slow", "has no warning", |now| {
        now.warnings.is_empty()
    })
    .await;
}

fn container_of(
    spec: &mut bollard::models::ServiceSpec,
) -> &mut bollard::models::TaskSpecContainerSpec {
    let task = spec.task_template.as_mut().unwrap();
    task.container_spec.as_mut().unwrap()
}

fn start_first(spec: &mut bollard::models::ServiceSpec) {
    let update = spec.update_config.as_mut().unwrap();
    update.order = "start-first".parse().ok();
}

/// Has its tasks looked at every so many seconds.
fn check(spec: &mut bollard::models::ServiceSpec, seconds: u64) {
    let check = serde_json::json!({"Interval": seconds * 1_000_000_000,
        "Timeout": 2_000_000_000_u64, "Retries": 3, "Test": ["CMD", "/bin/busybox", "true"]});
    container_of(spec).health_check = serde_json::from_value(check).unwrap();
}

fn set_image(spec: &mut bollard::models::ServiceSpec, image: &str) {
    container_of(spec).image = Some(image.to_owned());
}

fn on(constraint: &str) -> bollard::models::TaskSpecPlacement {
    bollard::models::TaskSpecPlacement {
        constraints: Some(vec![constraint.to_owned()]),
        ..Default::default()
    }
}

fn place(spec: &mut bollard::models::ServiceSpec, constraint: &str) {
    spec.task_template.as_mut().unwrap().placement = Some(on(constraint));
}
