//! Status, logs, use of resources, events.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use treasury_bot::domain::service::{LogQuery, ServiceStatus, WorkloadKind};
use treasury_bot::platform::{Platform, PlatformError};

use super::{driver, entry, now, web, workload};
use crate::kubernetes::{Cluster, Fault};

fn newest(lines: usize) -> LogQuery {
    LogQuery {
        lines,
        since: None,
        grep: None,
        previous: false,
        container: None,
    }
}

#[tokio::test]
async fn the_status_tells_what_kubectl_would() {
    let (cluster, driver, service) = web(2).await;
    let status = driver.status(&service).await.unwrap();
    assert!(status.is_well());
    assert_eq!(status.facts, ["desired 2, ready 2, updated 2, available 2"]);
    let one = &status.replicas[0];
    assert!(
        one.node
            .as_ref()
            .is_some_and(|node| node.starts_with("node-"))
    );
    assert_eq!((one.image.as_str(), one.note.as_deref()), ("web:1", None));

    cluster.merge(
        "deployments",
        "shop",
        "web",
        &json!({"spec": {"template": {"spec": {
        "containers": [{"name": "web", "image": "web:oom"}]}}}}),
    );
    let mut noted = None;
    for _ in 0..200 {
        let status = driver.status(&service).await.unwrap();
        noted = status.replicas.iter().find_map(|one| {
            let note = one.note.clone()?;
            (one.oom_killed && note.starts_with("CrashLoopBackOff")).then_some(note)
        });
        if noted.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        noted.as_deref(),
        Some("CrashLoopBackOff, last end: OOMKilled (exit code 137)")
    );

    let error = driver
        .status(&entry(WorkloadKind::Deployment, "wbe"))
        .await
        .unwrap_err();
    assert!(matches!(error, PlatformError::NotFound { .. }));
    assert!(
        error
            .to_string()
            .ends_with("the namespace has: web. Name one of them in the configuration")
    );
}

#[tokio::test]
async fn many_statuses_come_from_memory() {
    // `benches/workloads.rs` has 500, and how long they take.
    const MANY: usize = 100;
    let cluster = Cluster::start();
    let services: Vec<_> = (0..MANY)
        .map(|n| {
            let name = format!("web-{n}");
            cluster.create(&workload("Deployment", &name, 1, "web:1"));
            entry(WorkloadKind::Deployment, &name)
        })
        .collect();
    for n in 0..MANY {
        cluster
            .settled("deployments", "shop", &format!("web-{n}"))
            .await;
    }
    let driver = driver(&cluster).await;
    assert!(driver.status(&services[0]).await.unwrap().is_well());
    cluster.clear_access();
    let all = services.iter().map(|service| driver.status(service));
    let all = futures_util::future::join_all(all).await;
    let well = all
        .iter()
        .filter(|one| one.as_ref().is_ok_and(ServiceStatus::is_well));
    assert_eq!(well.count(), MANY);
    let asked: Vec<_> = cluster
        .access()
        .into_iter()
        .filter(|one| one.verb != "watch")
        .collect();
    assert_eq!(asked.len(), 0, "{:?}", asked.first());
}

#[tokio::test]
async fn the_memory_survives_a_restart_of_the_server_and_forgotten_versions() {
    let (cluster, driver, service) = web(1).await;
    driver.status(&service).await.unwrap();
    cluster.close();
    let mut facts = Vec::new();
    for _ in 0..200 {
        facts = driver.status(&service).await.unwrap().facts;
        if facts[0].contains("the API server does not answer") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        facts[0].contains("the API server does not answer"),
        "{facts:?}"
    );

    cluster.compact();
    cluster.reopen();
    cluster.merge(
        "deployments",
        "shop",
        "web",
        &json!({"spec": {"replicas": 3}}),
    );
    cluster.settled("deployments", "shop", "web").await;
    for _ in 0..400 {
        let status = driver.status(&service).await.unwrap();
        if status.replicas.len() == 3 && status.facts.len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.clear_access();
    let status = driver.status(&service).await.unwrap();
    assert_eq!(status.replicas.len(), 3);
    assert!(
        cluster.access().iter().all(|one| one.verb == "watch"),
        "from memory again"
    );

    // A watch that is told that its version is gone begins anew.
    cluster.fault(Fault::Gone, &["watch"], &["pods"], Some(1));
    cluster.cut();
    cluster.merge(
        "deployments",
        "shop",
        "web",
        &json!({"spec": {"replicas": 1}}),
    );
    cluster.settled("deployments", "shop", "web").await;
    let mut count = 0;
    for _ in 0..400 {
        count = driver.status(&service).await.unwrap().replicas.len();
        if count == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(count, 1);
}

#[tokio::test]
async fn logs_of_all_pods_are_merged_in_time_and_can_be_narrowed() {
    let (cluster, driver, service) = web(2).await;
    let status = driver.status(&service).await.unwrap();
    let names: Vec<String> = status.replicas.iter().map(|one| one.name.clone()).collect();
    let begun = now();
    let at = |n: i64| begun + SignedDuration::from_millis(n);
    cluster.log(
        "shop",
        &names[0],
        &[(at(0), "one"), (at(2000), "three: FAILED")],
    );
    cluster.log(
        "shop",
        &names[1],
        &[(at(1000), "two"), (at(3000), "\u{1b}[31mfour\u{1b}[0m")],
    );
    let text = |logs: treasury_bot::domain::service::Logs| -> Vec<String> {
        logs.lines.into_iter().map(|line| line.text).collect()
    };
    let all = driver.logs(&service, &newest(50)).await.unwrap();
    assert!(!all.truncated);
    assert_eq!(
        all.lines.iter().map(|line| &line.replica).next(),
        Some(&names[0])
    );
    assert_eq!(text(all), ["one", "two", "three: FAILED", "four"]);
    let last = driver.logs(&service, &newest(2)).await.unwrap();
    assert!(last.truncated);
    assert_eq!(text(last), ["three: FAILED", "four"]);
    let query = LogQuery {
        grep: Some("failed".to_owned()),
        ..newest(50)
    };
    assert_eq!(
        text(driver.logs(&service, &query).await.unwrap()),
        ["three: FAILED"]
    );
    let query = LogQuery {
        since: Some(at(1500)),
        ..newest(50)
    };
    assert_eq!(
        text(driver.logs(&service, &query).await.unwrap()),
        ["three: FAILED", "four"]
    );
    let query = LogQuery {
        previous: true,
        ..newest(50)
    };
    assert_eq!(
        driver.logs(&service, &query).await.unwrap().lines,
        [],
        "no run before"
    );
    let query = LogQuery {
        container: Some("nginx".to_owned()),
        ..newest(50)
    };
    let error = driver.logs(&service, &query).await.unwrap_err().to_string();
    assert!(error.ends_with("it has: web"), "{error}");
}

#[tokio::test]
async fn the_use_of_resources_is_told_where_the_cluster_measures_it() {
    let (cluster, driver, service) = web(2).await;
    let stats = driver.stats(&service).await.unwrap();
    assert_eq!(stats.replicas.len(), 2);
    assert!(
        stats
            .replicas
            .iter()
            .all(|one| one.memory_bytes == 64 << 20)
    );
    assert!((stats.replicas[0].cpu_percent - 1.2).abs() < 0.01);

    cluster.with(|state| state.metrics = false);
    let error = driver.stats(&service).await.unwrap_err();
    assert!(
        error.is_refusal() && error.to_string().contains("metrics-server"),
        "{error}"
    );
}

#[tokio::test]
async fn events_of_workload_sets_and_pods_are_told_once_and_in_order() {
    let (cluster, driver, service) = web(1).await;
    let pod = cluster.list("pods", "shop")[0]["metadata"]["name"].clone();
    let pod = pod.as_str().unwrap();
    for _ in 0..3 {
        cluster.event(
            "pods",
            "shop",
            pod,
            &json!({"type": "Warning", "reason": "Unhealthy",
            "message": "Readiness probe failed", "source": {"component": "kubelet"}}),
        );
    }
    let since = now() - SignedDuration::from_hours(1);
    let events = driver.events(&service, since).await.unwrap().list;
    let what: Vec<&str> = events.iter().map(|one| one.what.as_str()).collect();
    for one in ["ScalingReplicaSet", "SuccessfulCreate", "Started"] {
        assert_eq!(
            what.iter().filter(|what| **what == one).count(),
            1,
            "{one}: {what:?}"
        );
    }
    let ill = events.iter().find(|one| one.what == "Unhealthy").unwrap();
    let detail = ill.detail.as_deref().unwrap();
    assert!(detail.starts_with("Readiness probe failed (×3"), "{detail}");
    assert!(events.is_sorted_by_key(|one| one.at));
    let later = now() + SignedDuration::from_mins(1);
    assert_eq!(driver.events(&service, later).await.unwrap().list, []);
    // One of the two APIs is enough.
    cluster.fault(Fault::Code(404), &["list"], &["events.events.k8s.io"], None);
    assert!(
        !driver
            .events(&service, since)
            .await
            .unwrap()
            .list
            .is_empty()
    );
}
