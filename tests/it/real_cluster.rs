//! The driver against a real control plane; `tests/kubernetes/real-cluster` runs these.

use std::time::Duration;

use serde_json::{Value, json};
use treasury_bot::domain::service::{
    Intent, LogQuery, Patience, Service, ServiceName, Target, WorkloadKind,
};
use treasury_bot::platform::kubernetes::{Config, Kubernetes, Server};
use treasury_bot::platform::{Platform, ProgressSink};

use crate::kubernetes::real::{ask, client, kubeconfig, nodes};

const PATIENCE: Patience = Patience {
    stop: Duration::from_secs(1),
    healthy: Duration::from_secs(20),
};

#[tokio::test]
async fn real_cluster_is_restarted_scaled_deployed_cut_off_and_joined_again() {
    nodes();
    let client = client("test").await;
    ask(
        &client,
        "POST",
        "/api/v1/namespaces",
        Some(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "smoke"}
        })),
    )
    .await;
    ask(
        &client,
        "POST",
        "/apis/apps/v1/namespaces/smoke/deployments",
        Some(deployment("web", 2)),
    )
    .await;
    let driver = Kubernetes::connect(Config {
        server: Server::Kubeconfig {
            path: Some(kubeconfig()),
            context: None,
        },
        timeout: Duration::from_secs(10),
    })
    .await
    .unwrap();
    let service = service("smoke", "web");
    for _ in 0..100 {
        if let Ok(status) = driver.status(&service).await
            && status.is_well()
            && status.replicas.len() == 2
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    looks_on(&driver, &service).await;
    restarts_and_scales(&client, &driver, &service).await;
    deploys(&driver, &service).await;
    cuts_off_and_joins_again(&driver, &service).await;
}

async fn looks_on(driver: &Kubernetes, service: &Service) {
    let status = driver.status(service).await.unwrap();
    assert!(status.is_well());
    let logs = driver
        .logs(
            service,
            &LogQuery {
                lines: 10,
                since: None,
                grep: None,
                previous: false,
                container: None,
            },
        )
        .await
        .unwrap();
    let events = driver
        .events(
            service,
            jiff::Timestamp::now() - jiff::SignedDuration::from_secs(600),
        )
        .await
        .unwrap();
    assert!(!logs.lines.is_empty());
    assert!(
        events.iter().any(|event| event.what == "ScalingReplicaSet"),
        "{events:?}"
    );
}

async fn restarts_and_scales(client: &kube::Client, driver: &Kubernetes, service: &Service) {
    let intent = Intent::new("smoke-1", jiff::Timestamp::now());
    let none = ProgressSink::none();
    let after = driver
        .restart(service, None, &intent, PATIENCE, &none)
        .await
        .unwrap();
    assert!(after.is_well(), "{after:#?}");
    let again = driver
        .restart(service, None, &intent, PATIENCE, &none)
        .await
        .unwrap();
    assert_eq!(
        generation(client).await,
        2,
        "the same intent restarts once: {again:#?}"
    );
    let after = driver.scale(service, 3, PATIENCE, &none).await.unwrap();
    assert_eq!(after.replicas.len(), 3);
    assert_eq!(
        driver.versions(service).await.unwrap().len(),
        1,
        "restarts are no versions"
    );
}

async fn deploys(driver: &Kubernetes, service: &Service) {
    let none = ProgressSink::none();
    let bad = driver
        .deployable(service, "demo:never-ready")
        .await
        .unwrap();
    let short = Patience {
        stop: Duration::from_secs(1),
        healthy: Duration::from_secs(4),
    };
    let error = driver
        .deploy(service, &bad, short, &none)
        .await
        .unwrap_err();
    println!("bad: {error}");
    let good = driver.deployable(service, "demo:2").await.unwrap();
    let after = driver
        .deploy(service, &good, PATIENCE, &none)
        .await
        .unwrap();
    assert!(
        after.is_well() && after.replicas.iter().all(|one| one.image == "demo:2"),
        "{after:#?}"
    );
    println!("{:#?}", driver.versions(service).await.unwrap());
}

async fn cuts_off_and_joins_again(driver: &Kubernetes, service: &Service) {
    let none = ProgressSink::none();
    let attachments = driver.attachments(service).await.unwrap();
    println!(
        "{:#?}",
        driver
            .evidence(service)
            .await
            .unwrap()
            .iter()
            .map(|one| &one.name)
            .collect::<Vec<_>>()
    );
    driver.isolate(service, &attachments, &none).await.unwrap();
    assert!(driver.attachments(service).await.unwrap().is_empty());
    let back = driver.release(service, &attachments, &none).await.unwrap();
    assert!(back.is_well());
    assert_eq!(driver.attachments(service).await.unwrap(), attachments);
}

async fn generation(client: &kube::Client) -> i64 {
    let path = "/apis/apps/v1/namespaces/smoke/deployments/web";
    ask(client, "GET", path, None).await["metadata"]["generation"]
        .as_i64()
        .unwrap()
}

fn service(namespace: &str, name: &str) -> Service {
    Service {
        name: ServiceName::parse(name).unwrap(),
        target: Target::Kubernetes {
            cluster: None,
            namespace: namespace.into(),
            kind: WorkloadKind::Deployment,
            name: name.into(),
        },
        min_replicas: 1,
        max_replicas: 10,
        health_url: None,
        check: Vec::new(),
        depends_on: Vec::new(),
        metrics: std::collections::BTreeMap::new(),
        metrics_page: None,
    }
}

fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": "demo:1",
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}}]},
            },
        },
    })
}
