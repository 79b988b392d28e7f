//! A Deployment at the emulated API server.

use std::time::Duration;

use serde_json::{Value, json};
use treasury_bot::domain::Service;
use treasury_bot::domain::service::{Target, WorkloadKind};
use treasury_bot::platform::Platform;
use treasury_bot::platform::kubernetes::{Config, Kubernetes, Server};

use crate::contract::World;
use crate::kubernetes::json::{going, list, ready, text};
use crate::kubernetes::{Behaviour, Cluster, End, Fault, TOKEN};
use crate::support::engine::entry;

const SPACE: &str = "shop";

pub struct Emulated {
    cluster: Cluster,
    driver: Kubernetes,
}

/// A driver for a cluster, with questions of at most a second.
pub async fn driver(cluster: &Cluster) -> Kubernetes {
    let config = Config {
        server: Server::Url {
            url: cluster.url(),
            token: Some(TOKEN.to_owned().into()),
        },
        timeout: Duration::from_secs(1),
    };
    Kubernetes::connect(config).await.unwrap()
}

/// A workload in the namespace.
fn workload(kind: WorkloadKind, name: &str) -> Service {
    entry(Target::Kubernetes {
        cluster: None,
        namespace: SPACE.to_owned(),
        kind,
        name: name.to_owned(),
    })
}

/// A Deployment of the namespace.
pub fn named(name: &str) -> Service {
    workload(WorkloadKind::Deployment, name)
}

/// A workload of one container, which has a secret in its environment.
pub(super) fn object(space: &str, kind: &str, name: &str, image: &str, replicas: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"namespace": space, "name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "web", "image": image,
                    "env": [{"name": "DB_PASSWORD", "value": "hunter2"}],
                    "ports": [{"containerPort": 80}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                }]},
            },
        },
    })
}

impl Emulated {
    fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.cluster.with(|state| {
            let mut behaviour = usual();
            change(&mut behaviour);
            state.kubelet.images.insert("web:1".to_owned(), behaviour);
        });
    }

    /// The pods of the service that stay.
    fn pods(&self) -> Vec<Value> {
        let mut pods = self.cluster.list("pods", SPACE);
        pods.retain(|pod| text(pod, "/metadata/labels/app") == "web" && !going(pod));
        pods
    }
}

/// What a process of the service does.
pub(super) fn usual() -> Behaviour {
    Behaviour {
        words: vec!["hello from web".to_owned(), "ready to serve".to_owned()],
        last_words: vec!["boom".to_owned()],
        ..Behaviour::default()
    }
}

impl World for Emulated {
    const NAME: &'static str = "Kubernetes";
    const MARKS: bool = true;
    // A controller does, by readiness, node and age.
    const CHOOSES: bool = false;

    async fn new() -> Self {
        let cluster = Cluster::start();
        cluster.with(|state| {
            state.kubelet.usual = usual();
            state.kubelet.backoff = Some(Duration::from_millis(100));
        });
        cluster.create(&object(SPACE, "Deployment", "web", "web:1", json!(2)));
        cluster.create(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": SPACE, "name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        }));
        cluster.settled("deployments", SPACE, "web").await;
        let driver = driver(&cluster).await;
        Self { cluster, driver }
    }

    fn driver(&self) -> &dyn Platform {
        &self.driver
    }

    fn service(&self) -> Service {
        named("web")
    }

    fn absent(&self) -> Service {
        named("nowhere")
    }

    async fn starts(&self) -> usize {
        self.cluster.with(|state| state.kubelet.started)
    }

    async fn crash_new(&self) {
        self.behave(|one| {
            one.ready = None;
            one.ends = Some(End {
                after: Duration::from_millis(30),
                code: 3,
                oom: false,
            });
        });
    }

    async fn ail_new(&self) {
        self.behave(|one| one.ready = None);
    }

    async fn end_one(&self) {
        let uid = text(&self.pods()[0], "/metadata/uid").to_owned();
        let end = End {
            after: Duration::ZERO,
            code: 1,
            oom: false,
        };
        self.cluster.with(|state| state.kubelet.kill(&uid, end));
        let again = |store: &crate::kubernetes::Store| {
            let mut pods = store.list("pods", SPACE);
            let back = pods.any(|(_, pod)| {
                let status = &pod["status"]["containerStatuses"][0];
                status["restartCount"].as_u64() > Some(0) && ready(pod)
            });
            back.then_some(())
        };
        self.cluster.eventually("it is back", again).await;
    }

    async fn remove_one(&self) -> String {
        let pod = self.pods()[1].clone();
        self.cluster
            .delete("pods", SPACE, text(&pod, "/metadata/name"));
        text(&pod, "/metadata/uid").to_owned()
    }

    async fn remove_all(&self) {
        self.cluster.delete("deployments", SPACE, "web");
    }

    async fn forbid(&self) {
        for verb in ["create", "update", "patch", "delete"] {
            self.cluster.forbid(verb, "*");
        }
    }

    async fn hang(&self) {
        let slow = Fault::Slow(Duration::from_secs(600));
        self.cluster
            .fault(slow, &["create", "update", "patch", "delete"], &[], None);
    }

    async fn reach(&self, open: bool) {
        if open {
            self.cluster.reopen();
        } else {
            self.cluster.close();
        }
    }

    async fn interfere(&self) {
        self.cluster.conflicts(2);
        let note = json!({"metadata": {"annotations": {"note": "by hand"}}});
        self.cluster.merge("deployments", SPACE, "web", &note);
    }

    async fn kept(&self) -> bool {
        let now = self.cluster.get("deployments", SPACE, "web").unwrap();
        text(&now, "/metadata/annotations/note") == "by hand"
    }

    async fn say(&self, replica: &str, lines: &[&str]) {
        // The driver shows short names: the whole one ends so.
        let pods = self.pods();
        let named = |pod: &&Value| text(pod, "/metadata/name").ends_with(replica);
        let pod = pods
            .iter()
            .find(named)
            .unwrap_or_else(|| panic!("no pod {replica}"));
        let now = jiff::Timestamp::now();
        let lines: Vec<_> = lines.iter().map(|line| (now, *line)).collect();
        self.cluster.log(SPACE, text(pod, "/metadata/name"), &lines);
    }

    async fn blind(&self) {
        self.cluster.with(|state| state.metrics = false);
    }

    async fn images(&self) -> [String; 2] {
        ["web:2", "web:3-crash"].map(str::to_owned)
    }

    async fn unscalable(&self) -> (Service, u32) {
        self.cluster
            .create(&object(SPACE, "DaemonSet", "agent", "web:1", Value::Null));
        self.cluster.settled("daemonsets", SPACE, "agent").await;
        (workload(WorkloadKind::DaemonSet, "agent"), 3)
    }

    async fn reached(&self) -> bool {
        self.cluster.reaches(SPACE, "web")
    }

    async fn bonds(&self) -> Value {
        self.cluster.idle().await;
        let pods = self.pods().into_iter().map(|pod| {
            let own = |field: &str| pod["metadata"][field].clone();
            json!([own("name"), own("labels"), own("ownerReferences")])
        });
        let part = |plural: &str| {
            let all = self.cluster.list(plural, SPACE).into_iter();
            let all = all.map(|one| json!([one["metadata"]["name"], one["spec"]]));
            all.collect::<Vec<_>>()
        };
        let endpoints = self
            .cluster
            .get("endpoints", SPACE, "web")
            .unwrap_or_default();
        let addresses = list(&endpoints, "/subsets/0/addresses").iter();
        let mut addresses: Vec<&str> = addresses.map(|one| text(one, "/ip")).collect();
        addresses.sort_unstable();
        json!({
            "pods": pods.collect::<Vec<_>>(), "policies": part("networkpolicies"),
            "services": part("services"), "addresses": addresses,
            "deployments": part("deployments"),
        })
    }
}
