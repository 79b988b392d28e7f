//! A Swarm of two machines, one of which is lost, drained or silent.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use treasury_bot::domain::service::{
    LogQuery, Logs, Patience, ReplicaState, ServiceStatus, well_text,
};
use treasury_bot::platform::Platform;
use treasury_bot::platform::docker::{EngineConfig, Swarm};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use super::swarm::service;
use crate::support::engine::{OBEYS, eventually};
use crate::support::process::Setup;
use crate::support::two_nodes::{B, TwoNodes};

/// What nothing in these stories may come near to: what is known at once is told at once.
pub(super) const PATIENCE: Patience = Patience {
    stop: Duration::from_secs(20),
    healthy: Duration::from_secs(60),
};

/// Longer than an answer may take, whatever a machine does.
const SOON: Duration = Duration::from_secs(7);

pub(super) async fn rig(image: &str) -> (TwoNodes, Swarm) {
    let rig = TwoNodes::start().await;
    let driver = Swarm::with(EngineConfig::at(Some(&rig.a.host()))).unwrap();
    let script = format!("echo hello; {OBEYS}");
    rig.import(image, &script).await;
    (rig, driver)
}

pub(super) async fn status(driver: &Swarm, name: &str) -> ServiceStatus {
    driver.status(&service(name)).await.unwrap()
}

/// Waits until the status is so, and gives it.
pub(super) async fn until(
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

pub(super) async fn well(driver: &Swarm, name: &str, replicas: usize) -> ServiceStatus {
    let is_so = |now: &ServiceStatus| now.is_well() && now.replicas.len() == replicas;
    until(driver, name, "is well", is_so).await
}

pub(super) async fn logs(driver: &Swarm, name: &str, previous: bool) -> Logs {
    let query = LogQuery {
        lines: 50,
        since: None,
        grep: None,
        previous,
        container: None,
    };
    driver.logs(&service(name), &query).await.unwrap()
}

pub(super) fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no “{part}” in: {text}");
    }
}

pub(super) fn note(status: &ServiceStatus, replica: usize) -> &str {
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
    while_all_is_well(&driver, &before, began).await;

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

    told_in_the_terminal(&rig.a.host()).await;

    rig.b.signal("CONT");
    rig.until("ready").await;
    well(&driver, "agent", 2).await;
    let back = until(&driver, "web", "has no warning", |now| {
        now.warnings.is_empty()
    })
    .await;
    assert!(back.is_well());

    rig.available("drain").await;
    drained(&driver).await;
}

/// What is asked in a terminal is answered so.
async fn told_in_the_terminal(host: &str) {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let catalogue = ["web", "agent"]
        .map(|name| format!("[[service]]\nname = \"{name}\"\nswarm_service = \"{name}\"\n\n"));
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
}

/// Nothing is missing but what only the worker's engine knows.
async fn while_all_is_well(driver: &Swarm, before: &ServiceStatus, began: Timestamp) {
    let on_b = before
        .replicas
        .iter()
        .filter(|one| one.node.as_deref() == Some(B));
    assert_eq!(on_b.count(), 8, "{before:?}");
    let said = eventually("all have said hello", || async {
        let logs = logs(driver, "web", false).await;
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
}

/// Whatever had a task on the machine is told why it has none.
async fn drained(driver: &Swarm) {
    let drained = until(driver, "agent", "has one task", |now| {
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
