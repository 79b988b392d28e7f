//! A Deployment at a real control plane; `tests/kubernetes/real-cluster` starts it.
//!
//! Each test has a namespace of its own. The driver acts as the user `bot`, who has the rights that
//! `treasury-bot rbac` prints and no others. Between it and the API server is a door of ours, which
//! a test can close, and behind which somebody else can write first.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use treasury_bot::domain::Service;
use treasury_bot::domain::service::{Target, WorkloadKind};
use treasury_bot::platform::Platform;
use treasury_bot::platform::kubernetes::rbac::{self, Rule};
use treasury_bot::platform::kubernetes::{Config, Kubernetes, Server};

use super::gate::{Gate, Mode};
use super::kubernetes::{object, usual};
use crate::contract::World;
use crate::kubernetes::json::{going, list, number, ready, text};
use crate::kubernetes::real::{ask, client, leave, nodes, try_ask};
use crate::kubernetes::{Behaviour, End, TOKEN, reached};
use crate::support::engine::{entry, eventually};

pub struct Real {
    admin: Client,
    space: String,
    /// The image of the service; each test has its own, since nodes are told by image what to do.
    image: String,
    driver: Kubernetes,
    gate: Gate,
    door: Arc<Door>,
    _folder: tempfile::TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        leave(&self.space);
    }
}

/// Between the driver and the API server.
struct Door {
    bot: Client,
    admin: Client,
    /// The metrics API is there, which the nodes' own server plays.
    metrics: AtomicBool,
    /// So often somebody else writes to the Deployment first.
    others: AtomicU32,
    deployment: String,
}

impl Real {
    /// The path of a resource in the namespace.
    fn path(&self, api: &str, rest: &str) -> String {
        format!("{api}/namespaces/{}/{rest}", self.space)
    }

    async fn get(&self, api: &str, rest: &str) -> Value {
        ask(&self.admin, "GET", &self.path(api, rest), None).await
    }

    async fn create(&self, api: &str, plural: &str, object: Value) {
        ask(&self.admin, "POST", &self.path(api, plural), Some(object)).await;
    }

    /// All objects of a resource, with those that go.
    async fn all(&self, api: &str, plural: &str) -> Vec<Value> {
        list(&self.get(api, plural).await, "/items").to_vec()
    }

    /// The pods of the service that stay.
    async fn pods(&self) -> Vec<Value> {
        let mut pods = self.all("/api/v1", "pods").await;
        pods.retain(|pod| text(pod, "/metadata/labels/app") == "web" && !going(pod));
        pods
    }

    fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = usual();
        change(&mut behaviour);
        let image = self.image.clone();
        nodes().with(|state| state.kubelet.images.insert(image, behaviour));
    }

    fn workload(&self, kind: WorkloadKind, name: &str) -> Service {
        entry(Target::Kubernetes {
            cluster: None,
            namespace: self.space.clone(),
            kind,
            name: name.to_owned(),
        })
    }

    /// Gives the bot these rights and no others.
    async fn grant(&self, rules: &[Rule]) {
        let rules: Vec<Value> = rules.iter().map(rule).collect();
        let api = "/apis/rbac.authorization.k8s.io/v1";
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "treasury-bot"}, "rules": rules,
        });
        let path = self.path(api, "roles/treasury-bot");
        if try_ask(&self.admin, "PATCH", &path, Some(role.clone()))
            .await
            .is_err()
        {
            self.create(api, "roles", role).await;
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "treasury-bot"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                    "name": "treasury-bot"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                    "name": "bot"}],
            });
            self.create(api, "rolebindings", binding).await;
        }
        // The authorizer learns of it by a watch of its own.
        let writes = rules
            .iter()
            .any(|rule| list(rule, "/verbs").contains(&json!("patch")));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": self.space, "verb": "patch",
                "group": "apps", "resource": "deployments", "name": "web"}},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let known = async || {
            let answer = ask(&self.door.bot, "POST", path, Some(review.clone())).await;
            (answer["status"]["allowed"] == writes).then_some(())
        };
        eventually("the bot has its rights", known).await;
    }

    /// Waits until the workload is as it is wanted.
    async fn settled(&self, plural: &str, name: &str) {
        let settled = async || {
            let now = self.get("/apis/apps/v1", &format!("{plural}/{name}")).await;
            let status = |field: &str| number(&now, &format!("/status/{field}")).unwrap_or(0);
            let seen = status("observedGeneration") == number(&now, "/metadata/generation")?;
            let well = match plural {
                "daemonsets" => {
                    let wanted = status("desiredNumberScheduled");
                    wanted > 0 && status("numberAvailable") == wanted
                }
                _ => number(&now, "/spec/replicas")? == status("availableReplicas"),
            };
            (seen && well).then_some(())
        };
        eventually(&format!("{name} settles"), settled).await;
    }
}

/// A rule as the API server takes it.
fn rule(rule: &Rule) -> Value {
    let mut value = json!({
        "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs,
    });
    if !rule.names.is_empty() {
        value["resourceNames"] = json!(rule.names);
    }
    value
}

/// Passes a request on, as the bot.
async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().map(ToString::to_string);
    let path = path.unwrap_or_default();
    if path.starts_with("/apis/metrics.k8s.io/") && door.metrics.load(Ordering::Relaxed) {
        let url = format!("{}{path}", nodes().url());
        let answer = reqwest::Client::new()
            .get(url)
            .bearer_auth(TOKEN)
            .send()
            .await;
        let answer = answer.unwrap();
        let status = answer.status();
        let body = Body::from(answer.bytes().await.unwrap());
        let whole = Response::builder().header("content-type", "application/json");
        return whole.status(status).body(body).unwrap();
    }
    let writes = request.method() == Method::PATCH || request.method() == Method::PUT;
    let left = door.others.load(Ordering::Relaxed);
    if writes && left > 0 {
        door.others.store(left - 1, Ordering::Relaxed);
        let note =
            json!({"metadata": {"annotations": {"note": "by hand", "left": left.to_string()}}});
        ask(&door.admin, "PATCH", &door.deployment, Some(note)).await;
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove("host");
    parts.headers.remove("authorization");
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let request = axum::http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    match door.bot.send(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => Response::builder()
            .status(StatusCode::BAD_GATEWAY)
            .body(Body::from(error.to_string()))
            .unwrap(),
    }
}

impl World for Real {
    const NAME: &'static str = "Kubernetes";
    const MARKS: bool = true;
    // A controller does, by readiness, node and age.
    const CHOOSES: bool = false;

    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        nodes().with(|state| {
            state.kubelet.usual = usual();
            state.kubelet.backoff = Some(Duration::from_millis(100));
        });
        let (admin, bot) = (client("test").await, client("bot").await);
        let space = format!("shop-{}-{number}", std::process::id());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}
        });
        ask(&admin, "POST", "/api/v1/namespaces", Some(namespace)).await;
        let door = Arc::new(Door {
            bot,
            admin: admin.clone(),
            metrics: AtomicBool::new(true),
            others: AtomicU32::new(0),
            deployment: format!("/apis/apps/v1/namespaces/{space}/deployments/web"),
        });
        let folder = tempfile::tempdir().unwrap();
        let socket: PathBuf = folder.path().join("door.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let router = Router::new().fallback(pass).with_state(Arc::clone(&door));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        // It lives as long as the test's process.
        let gate = Gate::new(socket.display().to_string().leak()).await;
        let config = Config {
            server: Server::Url {
                url: format!("http://{}", gate.address),
                token: None,
            },
            timeout: Duration::from_secs(1),
        };
        let driver = Kubernetes::connect(config).await.unwrap();
        let image = format!("{space}:1");
        let world = Self {
            admin,
            space,
            image,
            driver,
            gate,
            door,
            _folder: folder,
        };
        // Pods need the account that a controller makes.
        let account = world.path("/api/v1", "serviceaccounts/default");
        let made = async || try_ask(&world.admin, "GET", &account, None).await.ok();
        eventually("the namespace has its account", made).await;
        let services = [
            world.service(),
            world.absent(),
            world.workload(WorkloadKind::DaemonSet, "agent"),
        ];
        let roles = rbac::roles(&services, None);
        world.grant(&roles[0].rules).await;
        let web = object(&world.space, "Deployment", "web", &world.image, json!(2));
        world.create("/apis/apps/v1", "deployments", web).await;
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        });
        world.create("/api/v1", "services", service).await;
        world.settled("deployments", "web").await;
        world
    }

    fn driver(&self) -> &dyn Platform {
        &self.driver
    }

    fn service(&self) -> Service {
        self.workload(WorkloadKind::Deployment, "web")
    }

    fn absent(&self) -> Service {
        self.workload(WorkloadKind::Deployment, "nowhere")
    }

    async fn starts(&self) -> usize {
        let events = nodes().list("events", &self.space);
        let started = events
            .iter()
            .filter(|event| text(event, "/reason") == "Started");
        let counts = started.map(|event| number(event, "/count").unwrap_or(1));
        counts.sum::<i64>() as usize
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
        let uid = text(&self.pods().await[0], "/metadata/uid").to_owned();
        let end = End {
            after: Duration::ZERO,
            code: 1,
            oom: false,
        };
        nodes().with(|state| state.kubelet.kill(&uid, end));
        let again = async || {
            let back = self.pods().await.into_iter().any(|pod| {
                let status = &pod["status"]["containerStatuses"][0];
                status["restartCount"].as_u64() > Some(0) && ready(&pod)
            });
            back.then_some(())
        };
        eventually("it is back", again).await;
    }

    async fn remove_one(&self) -> String {
        let pod = self.pods().await[1].clone();
        let path = format!("pods/{}", text(&pod, "/metadata/name"));
        let now = json!({"gracePeriodSeconds": 0});
        ask(
            &self.admin,
            "DELETE",
            &self.path("/api/v1", &path),
            Some(now),
        )
        .await;
        text(&pod, "/metadata/uid").to_owned()
    }

    async fn remove_all(&self) {
        let path = self.path("/apis/apps/v1", "deployments/web");
        let now = json!({"propagationPolicy": "Background", "gracePeriodSeconds": 0});
        ask(&self.admin, "DELETE", &path, Some(now)).await;
    }

    async fn forbid(&self) {
        let services = [self.service()];
        let mut rules = rbac::roles(&services, None)[0].rules.clone();
        for rule in &mut rules {
            rule.verbs
                .retain(|verb| matches!(*verb, "get" | "list" | "watch"));
        }
        rules.retain(|rule| !rule.verbs.is_empty());
        self.grant(&rules).await;
    }

    async fn hang(&self) {
        self.gate.set(Mode::Hang).await;
    }

    async fn reach(&self, open: bool) {
        let mode = if open { Mode::Open } else { Mode::Closed };
        self.gate.set(mode).await;
    }

    async fn interfere(&self) {
        self.door.others.store(2, Ordering::Relaxed);
    }

    async fn kept(&self) -> bool {
        let now = self.get("/apis/apps/v1", "deployments/web").await;
        text(&now, "/metadata/annotations/note") == "by hand"
    }

    async fn say(&self, replica: &str, lines: &[&str]) {
        let pods = self.pods().await;
        let mut named = pods.iter().map(|pod| text(pod, "/metadata/name"));
        let pod = named.find(|name| name.ends_with(replica)).unwrap();
        let now = jiff::Timestamp::now();
        let lines: Vec<_> = lines.iter().map(|line| (now, *line)).collect();
        nodes().log(&self.space, pod, &lines);
    }

    async fn blind(&self) {
        self.door.metrics.store(false, Ordering::Relaxed);
    }

    async fn images(&self) -> [String; 2] {
        [
            format!("{}:2", self.space),
            format!("{}:3-crash", self.space),
        ]
    }

    async fn unscalable(&self) -> (Service, u32) {
        let agent = object(&self.space, "DaemonSet", "agent", &self.image, Value::Null);
        self.create("/apis/apps/v1", "daemonsets", agent).await;
        self.settled("daemonsets", "agent").await;
        (self.workload(WorkloadKind::DaemonSet, "agent"), 3)
    }

    async fn reached(&self) -> bool {
        let endpoints = self.get("/api/v1", "endpoints/web").await;
        let policies = self
            .all("/apis/networking.k8s.io/v1", "networkpolicies")
            .await;
        let pods = self.all("/api/v1", "pods").await;
        reached(&endpoints, &policies, &pods)
    }

    async fn bonds(&self) -> Value {
        let pods = self.pods().await.into_iter().map(|pod| {
            let own = |field: &str| pod["metadata"][field].clone();
            json!([own("name"), own("labels"), own("ownerReferences")])
        });
        let part = async |api: &str, plural: &str| {
            let all = self.all(api, plural).await.into_iter();
            let all = all.map(|one| json!([one["metadata"]["name"], one["spec"]]));
            all.collect::<Vec<_>>()
        };
        let endpoints = self.get("/api/v1", "endpoints/web").await;
        let addresses = list(&endpoints, "/subsets/0/addresses").iter();
        let mut addresses: Vec<&str> = addresses.map(|one| text(one, "/ip")).collect();
        addresses.sort_unstable();
        json!({
            "pods": pods.collect::<Vec<_>>(),
            "policies": part("/apis/networking.k8s.io/v1", "networkpolicies").await,
            "services": part("/api/v1", "services").await, "addresses": addresses,
            "deployments": part("/apis/apps/v1", "deployments").await,
        })
    }
}
