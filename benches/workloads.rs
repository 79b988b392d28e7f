//! The status of 500 deployments of a Kubernetes cluster, answered from memory.
//!
//! `cargo bench --bench workloads` needs nothing: the cluster is the emulated one of the tests.
//! Prints medians in ms and exits 1 where all 500 take longer than 50 ms or the API server is asked.
//! `tests/kubernetes/real-cluster --bench` does the same at a real control plane, where it can't be
//! seen whether it is asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench fails by panicking"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use treasury_bot::domain::ServiceName;
use treasury_bot::domain::service::{Service, Target, WorkloadKind};
use treasury_bot::platform::Platform;
use treasury_bot::platform::kubernetes::{Config, Kubernetes, Server};
use treasury_fake_kubernetes::json::ready;
use treasury_fake_kubernetes::{Cluster, Store, TOKEN};

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
        metrics_page: None,
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
    #[cfg(feature = "real-cluster")]
    if std::env::var_os("TREASURY_BOT_TEST_KUBECONFIG").is_some() {
        return real().await;
    }
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
    let services = services();
    println!(
        "first, while memory fills: {:.1} ms",
        millis(ask(&driver, &services).await)
    );
    tokio::time::sleep(Duration::from_secs(1)).await;

    cluster.clear_access();
    let median = median(&driver, &services).await;
    let asked = cluster.access().len();
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
    judge(median <= LIMIT && asked == 0)
}

/// The same at a real API server.
#[cfg(feature = "real-cluster")]
async fn real() -> ExitCode {
    use treasury_fake_kubernetes::real;
    real::nodes();
    let admin = real::client("test").await;
    for space in 0..SPACES {
        let space = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": format!("shop-{space}")},
        });
        real::ask(&admin, "POST", "/api/v1/namespaces", Some(space)).await;
    }
    for (space, name) in (0..DEPLOYMENTS).map(place) {
        let path = format!("/apis/apps/v1/namespaces/{space}/deployments");
        real::ask(&admin, "POST", &path, Some(deployment(&space, &name))).await;
    }
    let config = Config {
        server: Server::Kubeconfig {
            path: Some(real::kubeconfig()),
            context: Some("test".to_owned()),
        },
        timeout: Duration::from_secs(10),
    };
    let driver = Kubernetes::connect(config).await.unwrap();
    let services = services();
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let all = services.iter().map(|service| driver.status(service));
        let all = futures_util::future::join_all(all).await;
        let well = all.into_iter().filter(|one| {
            let one = one.as_ref();
            one.is_ok_and(|status| status.well() == REPLICAS)
        });
        if well.count() == DEPLOYMENTS {
            break;
        }
        assert!(Instant::now() < deadline, "the pods don't get ready");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let median = median(&driver, &services).await;
    println!(
        "{DEPLOYMENTS} statuses at a real API server: {:.1} ms",
        millis(median)
    );
    judge(median <= LIMIT)
}

fn services() -> Vec<Service> {
    let places = (0..DEPLOYMENTS).map(place);
    places.map(|(space, name)| service(&space, &name)).collect()
}

async fn median(driver: &Kubernetes, services: &[Service]) -> Duration {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(ask(driver, services).await);
    }
    rounds.sort();
    rounds[ROUNDS / 2]
}

fn judge(good: bool) -> ExitCode {
    if good {
        return ExitCode::SUCCESS;
    }
    println!("slower than {} ms, or not from memory", LIMIT.as_millis());
    ExitCode::FAILURE
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
