//! A Swarm of two machines, one of which is lost, drained or silent.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use treasury_bot::domain::service::{
    Intent, LogQuery, Logs, Patience, ReplicaState, Service, ServiceStatus, Target, well_text,
};
use treasury_bot::platform::docker::{EngineConfig, Swarm};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::support::engine::{IGNORES, OBEYS, entry, eventually};
use crate::support::process::Setup;
use crate::support::two_nodes::{B, TwoNodes};

/// What nothing in these stories may come near to: what is known at once is told at once.
const PATIENCE: Patience = Patience {
    stop: Duration::from_secs(20),
    healthy: Duration::from_secs(60),
};

/// Longer than an answer may take, whatever a machine does.
const SOON: Duration = Duration::from_secs(7);

/// Longer than it may take to tell that a change does not go on.
const TOLD: Duration = Duration::from_secs(20);

const ONLY_B: &str = "node.hostname==node-b";

fn service(name: &str) -> Service {
    entry(Target::Swarm {
        engine: None,
        service: name.to_owned(),
    })
}

async fn rig(image: &str) -> (TwoNodes, Swarm) {
    let rig = TwoNodes::start().await;
    let driver = Swarm::with(EngineConfig::at(Some(&rig.a.host()))).unwrap();
    let script = format!("echo hello; {OBEYS}");
    rig.import(image, &script).await;
    (rig, driver)
}

async fn status(driver: &Swarm, name: &str) -> ServiceStatus {
    driver.status(&service(name)).await.unwrap()
}

/// Waits until the status is so, and gives it.
async fn until(
    driver: &Swarm,
    name: &str,
    what: &str,
    is_so: impl Fn(&ServiceStatus) -> bool,
) -> ServiceStatus {
    eventually(&format!("{name} {what}"), || async {
        let now = driver.status(&service(name)).await.ok()?;
        is_so(&now).then_some(now)
    })
    .await
}

async fn well(driver: &Swarm, name: &str, replicas: usize) -> ServiceStatus {
    let is_so = |now: &ServiceStatus| now.is_well() && now.replicas.len() == replicas;
    until(driver, name, "is well", is_so).await
}

async fn logs(driver: &Swarm, name: &str, previous: bool) -> Logs {
    let query = LogQuery {
        lines: 50,
        since: None,
        grep: None,
        previous,
        container: None,
    };
    driver.logs(&service(name), &query).await.unwrap()
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no “{part}” in: {text}");
    }
}

fn note(status: &ServiceStatus, replica: usize) -> &str {
    status.replicas[replica].note.as_deref().unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_node_that_is_lost_costs_the_others_nothing_and_is_named_everywhere() {
    let began = Timestamp::now();
    let (rig, driver) = rig("web:1").await;
    // More tasks on each machine than are commonly asked at a time.
    rig.a.serve("web", "web:1", Some(16)).await;
    rig.a.serve("agent", "web:1", None).await;
    let before = well(&driver, "web", 16).await;
    well(&driver, "agent", 2).await;
    let on_b = before
        .replicas
        .iter()
        .filter(|one| one.node.as_deref() == Some(B));
    assert_eq!(on_b.count(), 8, "{before:?}");
    let said = eventually("all have said hello", || async {
        let logs = logs(&driver, "web", false).await;
        (logs.lines.len() == 16).then_some(logs)
    })
    .await;
    assert_eq!(said.partial, None);
    assert_eq!(before.warnings, [] as [&str; 0]);
    let told = driver.events(&service("web"), began).await.unwrap();
    let made = told.list.iter().filter(|one| one.what == "task made");
    assert_eq!(
        made.count(),
        8,
        "those of node-b, which this engine does not see: {told:?}"
    );
    let note = told.note.unwrap();
    holds(
        &note,
        &[
            "of node-b Swarm remembers the last tasks only",
            "known to its own engine alone",
        ],
    );

    // It is silent, and the managers do not know it yet or have just noticed.
    rig.b.signal("STOP");
    let asked = Instant::now();
    let left = logs(&driver, "web", false).await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(left.lines.len(), 8, "those of node-a: {left:?}");
    holds(
        left.partial.as_deref().unwrap(),
        &["of 8 tasks on node-b, which "],
    );

    rig.until("down").await;
    let asked = Instant::now();
    let left = logs(&driver, "web", false).await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    let partial = left.partial.unwrap();
    holds(
        &partial,
        &[
            "of 8 tasks on node-b, which is Down since ",
            " UTC at the latest",
        ],
    );

    // Swarm has put the tasks to the machine that is left; what runs over there is not known.
    let moved = until(&driver, "web", "runs on node-a", |now| now.well() == 16).await;
    assert!(
        moved
            .replicas
            .iter()
            .all(|one| one.node.as_deref() != Some(B)),
        "{moved:?}"
    );
    let warning = &moved.warnings[0];
    holds(
        warning,
        &[
            "node-b is Down since ",
            "whether 8 tasks still run there is not known",
        ],
    );
    let agent = status(&driver, "agent").await;
    assert_eq!(well_text(&agent), "running 1/2");
    assert_eq!(agent.facts, ["one on each node, running 1 of 2"]);
    assert_eq!(agent.replicas[1].state, ReplicaState::Unknown);
    let note = agent.replicas[1].note.as_deref().unwrap();
    holds(note, &["node-b is Down since "]);
    for name in ["web", "agent"] {
        let stats = driver.stats(&service(name)).await.unwrap();
        holds(&stats.note.unwrap(), &["node-b is Down since "]);
        let events = driver.events(&service(name), began).await.unwrap();
        holds(&events.note.unwrap(), &["node-b is Down since "]);
    }

    // What is asked of it in a chat or terminal says the same.
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let catalogue = ["web", "agent"]
        .map(|name| format!("[[service]]\nname = \"{name}\"\nswarm_service = \"{name}\"\n\n"));
    let host = rig.a.host();
    let setup = Setup::new(
        false,
        &format!("[docker]\nhost = \"{host}\"\n\n{}", catalogue.concat()),
    );
    let exec = |words: &str| {
        let output = setup.command(&sandbox, "exec").arg(words).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, told) = exec("status web");
    assert_eq!(code, Some(1), "not all is well: {told}");
    holds(&told, &["! web running 16/16", "node-b is Down since "]);
    let (code, told) = exec("status agent");
    assert_eq!(code, Some(1), "{told}");
    holds(
        &told,
        &["✗ agent running 1/2", "agent.node-b", "state not known"],
    );
    let (_, told) = exec("status");
    holds(
        &told,
        &[
            "1 of 2 services is well, 1 with a warning",
            "🟡 web",
            "🟡 agent",
        ],
    );
    let (_, told) = exec("logs web");
    holds(
        &told,
        &["Lines are missing of 8 tasks on node-b, which is Down since "],
    );
    let (_, told) = exec("events web --since 1s");
    assert!(!told.contains("Nothing happened"), "{told}");
    sandbox.stop();

    rig.b.signal("CONT");
    rig.until("ready").await;
    well(&driver, "agent", 2).await;
    let back = until(&driver, "web", "has no warning", |now| {
        now.warnings.is_empty()
    })
    .await;
    assert!(back.is_well());

    // Drained: whatever had a task there is told why it has none.
    rig.available("drain").await;
    let drained = until(&driver, "agent", "has one task", |now| {
        now.replicas.len() == 1
    })
    .await;
    assert!(
        drained
            .facts
            .iter()
            .any(|fact| fact == "node-b is drained: no task is put there"),
        "{drained:?}"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_place_with_two_tasks_counts_by_what_runs_and_what_can_not_run_is_told_at_once() {
    let (rig, driver) = rig("web:1").await;
    let none = ProgressSink::none();
    let start_first = |spec: &mut bollard::models::ServiceSpec| {
        let update = spec.update_config.as_mut().unwrap();
        update.order = "start-first".parse().ok();
    };
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
    let events = driver
        .events(&service("two"), intent.since)
        .await
        .unwrap()
        .list;
    let of = |what: &str| events.iter().any(|event| event.what == what);
    assert!(of("task rejected") && of("update"), "{events:?}");

    // Slow to get healthy: the former one serves until then.
    rig.a.serve_as("api", "web:1", Some(1), |spec| {
        start_first(spec);
        let check = serde_json::json!({"Interval": 3_000_000_000_u64, "Timeout": 2_000_000_000_u64,
            "Retries": 3, "Test": ["CMD", "/bin/busybox", "true"]});
        let container = container_of(spec);
        container.health_check = serde_json::from_value(check).unwrap();
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
            place(spec, "node.hostname==node-c")
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
    let (mut rig, driver) = rig("web:1").await;
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
    let before = well(&driver, "slow", 2).await;
    let at_b = before
        .replicas
        .iter()
        .position(|one| one.node.as_deref() == Some(B))
        .unwrap();
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
    let _ = at_b;

    // The worker is lost while Swarm waits for the end of its task.
    let intent = Intent::new("1-1", Timestamp::now());
    let asked = Instant::now();
    let web = service("slow");
    let restarting = driver.restart(&web, None, &intent, PATIENCE, &none);
    let losing = async {
        until(&driver, "slow", "is at node-b", |now| {
            now.facts
                .iter()
                .any(|fact| fact.contains("the former task has to end") && fact.ends_with(B))
        })
        .await;
        rig.cut();
    };
    let (restarted, ()) = tokio::join!(restarting, losing);
    let told = restarted.unwrap_err().to_string();
    assert!(
        asked.elapsed() < Duration::from_secs(45),
        "{:?}",
        asked.elapsed()
    );
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
    let other = Intent::new("2-1", Timestamp::now());
    let after = driver
        .restart(&web, None, &other, PATIENCE, &none)
        .await
        .unwrap();
    assert_eq!(well_text(&after), "running 2/2");

    // What could only run there is told at once, and so is what becomes of the restart.
    rig.mend();
    rig.until("ready").await;
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
    rig.a
        .serve_as("web", "web:1", Some(1), |spec| {
            spec.update_config.as_mut().unwrap().order = "start-first".parse().ok();
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
    assert_eq!(texts(logs(&driver, "web", true).await), ["second"]);
    let now = status(&driver, "web").await;
    assert_eq!(now.replicas[0].image, "web:2");
    holds(note(&now, 0), &["before: failed: task: non-zero exit (3)"]);
}

fn container_of(
    spec: &mut bollard::models::ServiceSpec,
) -> &mut bollard::models::TaskSpecContainerSpec {
    let task = spec.task_template.as_mut().unwrap();
    task.container_spec.as_mut().unwrap()
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
