//! The driver for Kubernetes against the emulated cluster: what only this platform has.

mod change;
mod isolate;
mod look;
mod rights;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use treasury_bot::domain::ServiceName;
use treasury_bot::domain::service::{Patience, Service, Target, WorkloadKind};
use treasury_bot::platform::kubernetes::{Config, Kubernetes, Server};

use crate::kubernetes::{Cluster, TOKEN};

/// Enough for the emulated machines.
const SOON: Patience = Patience {
    stop: Duration::from_secs(1),
    healthy: Duration::from_secs(8),
};

async fn driver(cluster: &Cluster) -> Kubernetes {
    let config = Config {
        server: Server::Url {
            url: cluster.url(),
            token: Some(TOKEN.into()),
        },
        timeout: Duration::from_secs(5),
    };
    Kubernetes::connect(config).await.unwrap()
}

/// The catalogue's entry for a workload in the namespace `shop`.
fn entry(kind: WorkloadKind, name: &str) -> Service {
    Service {
        name: ServiceName::parse(name).unwrap(),
        target: Target::Kubernetes {
            cluster: None,
            namespace: "shop".to_owned(),
            kind,
            name: name.to_owned(),
        },
        min_replicas: 0,
        max_replicas: 9,
        health_url: None,
        check: Vec::new(),
        depends_on: Vec::new(),
        metrics: std::collections::BTreeMap::new(),
        metrics_page: None,
    }
}

/// A workload in the namespace `shop`.
fn workload(kind: &str, name: &str, replicas: u32, image: &str) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"namespace": "shop", "name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name, "tier": "front"}},
                "spec": {"containers": [{
                    "name": name, "image": image,
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                }]},
            },
        },
    });
    if kind != "DaemonSet" {
        object["spec"]["replicas"] = replicas.into();
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = name.into();
    }
    object
}

/// A settled Deployment `web` of this many replicas.
async fn web(replicas: u32) -> (Cluster, Kubernetes, Service) {
    let cluster = Cluster::start();
    cluster.create(&workload("Deployment", "web", replicas, "web:1"));
    cluster.settled("deployments", "shop", "web").await;
    let driver = driver(&cluster).await;
    (cluster, driver, entry(WorkloadKind::Deployment, "web"))
}

/// Patches the Deployment `web` as `kubectl patch` does, and waits until that is rolled out.
async fn patch(cluster: &Cluster, patch: &Value) {
    let path = "apis/apps/v1/namespaces/shop/deployments/web";
    let request = reqwest::Client::new().patch(format!("{}/{path}", cluster.url()));
    let request = request
        .bearer_auth(TOKEN)
        .header("content-type", "application/strategic-merge-patch+json")
        .body(patch.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    cluster.settled("deployments", "shop", "web").await;
}

/// Another image and a variable with a value.
fn with_variable() -> Value {
    let env = json!([{"name": "TOKEN", "value": "hunter2"}]);
    let container = json!({"name": "web", "image": "web:2", "env": env});
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

fn now() -> Timestamp {
    Timestamp::now()
}
