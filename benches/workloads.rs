//! The status of 500 deployments of a Kubernetes cluster, answered from memory.
//!
//! `cargo bench --bench workloads` needs nothing: the cluster is the emulated one of the tests.
//! Prints medians in ms and exits 1 where all 500 take longer than 50 ms or the API server is asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench fails by panicking"
)]

#[path = "../tests/it/kubernetes/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
mod kubernetes;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kubernetes::json::ready;
use kubernetes::{Cluster, Store, TOKEN};
use serde_json::{Value, json};
use treasury_bot::domain::ServiceName;
use treasury_bot::domain::service::{Service, Target, WorkloadKind};
use treasury_bot::platform::Platform;
use treasury_bot::platform::kubernetes::{Config, Kubernetes, Server};

const DEPLOYMENTS: usize = 500;
const REPLICAS: usize = 2;
/// The namespaces that they are in.
const SPACES: usize = 10;
const ROUNDS: usize = 9;
const LIMIT: Duration = Duration::from_millis(50);

/// The namespace and the name of a deployment.
fn place(number: usize) -> (String, String) {
    (format!("shop-{}", number % SPACES), format!("web-{number}"))
}

fn deployment(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "replicas": REPLICAS, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    })
}

fn service(namespace: &str, name: &str) -> Service {
    Service {
        name: ServiceName::parse(name).unwrap(),
        target: Target::Kubernetes {
            cluster: None,
            namespace: namespace.to_owned(),
            kind: WorkloadKind::Deployment,
            name: name.to_owned(),
        },
        min_replicas: 1,
        max_replicas: 9,
        health_url: None,
        check: Vec::new(),
        depends_on: Vec::new(),
        metrics: BTreeMap::new(),
    }
}

/// All statuses, and how long they took.
async fn ask(driver: &Kubernetes, services: &[Service]) -> Duration {
    let began = Instant::now();
    let all = services.iter().map(|service| driver.status(service));
    let all = futures_util::future::join_all(all).await;
    let took = began.elapsed();
    for status in all {
        assert_eq!(status.unwrap().well(), REPLICAS);
    }
    took
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run())
}

async fn run() -> ExitCode {
    let cluster = Cluster::start();
    let places: Vec<(String, String)> = (0..DEPLOYMENTS).map(place).collect();
    for (namespace, name) in &places {
        cluster.create(&deployment(namespace, name));
    }
    let all = |store: &Store| {
        let well = store.list("pods", "").filter(|(_, pod)| ready(pod)).count();
        (well == DEPLOYMENTS * REPLICAS).then_some(())
    };
    cluster.eventually("all pods are ready", all).await;
    let config = Config {
        server: Server::Url {
            url: cluster.url(),
            token: Some(TOKEN.to_owned().into()),
        },
        timeout: Duration::from_secs(5),
    };
    let driver = Kubernetes::connect(config).await.unwrap();
    let services: Vec<Service> = places
        .iter()
        .map(|(space, name)| service(space, name))
        .collect();
    println!(
        "first, while memory fills: {:.1} ms",
        millis(ask(&driver, &services).await)
    );
    tokio::time::sleep(Duration::from_secs(1)).await;

    cluster.clear_access();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(ask(&driver, &services).await);
    }
    rounds.sort();
    let (median, asked) = (rounds[ROUNDS / 2], cluster.access().len());
    println!(
        "{DEPLOYMENTS} statuses from memory: {:.1} ms, {asked} requests",
        millis(median)
    );

    cluster.restart_api();
    let after = ask(&driver, &services).await;
    println!(
        "just after the API server restarted: {:.1} ms",
        millis(after)
    );
    if median > LIMIT || asked > 0 {
        println!("slower than {} ms, or not from memory", LIMIT.as_millis());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
