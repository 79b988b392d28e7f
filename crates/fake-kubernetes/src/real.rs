//! A real control plane whose nodes are played: the emulator's kubelet runs the pods that a real
//! scheduler has placed, and a small server answers for its logs.
//!
//! `tests/kubernetes/real-cluster` starts the control plane and says where it is.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::Cluster;
use crate::json::{going, number, set, text};
use crate::resource::Kind;
use crate::store::{Key, What};

/// Between two looks at what the played pods have come to.
const TICK: Duration = Duration::from_millis(20);

/// Where the control plane's kubeconfig is.
pub fn kubeconfig() -> std::path::PathBuf {
    std::env::var_os("TREASURY_BOT_TEST_KUBECONFIG")
        .expect("run tests/kubernetes/real-cluster: it says where the control plane is")
        .into()
}

/// A client of a context: `test` has all rights, `bot` those that it is given.
pub async fn client(context: &str) -> Client {
    let read = Kubeconfig::read_from(kubeconfig()).unwrap();
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(read, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// A test is over: its namespace can go.
pub fn leave(space: &str) {
    if let Some(over) = OVER.get() {
        over.send(space.to_owned()).ok();
    }
}

static OVER: OnceLock<UnboundedSender<String>> = OnceLock::new();

/// The nodes of the control plane. One for all tests: its behaviours are by image, its logs by pod.
pub fn nodes() -> &'static Cluster {
    static NODES: OnceLock<Cluster> = OnceLock::new();
    static BEGUN: OnceLock<()> = OnceLock::new();
    let played = NODES.get_or_init(Cluster::start);
    BEGUN.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (over, is_over) = unbounded_channel();
        OVER.set(over).unwrap();
        // Tests have runtimes of their own, which end with them.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = client("test").await;
                let port = serve_logs(played.url()).await;
                for name in ["node-1", "node-2"] {
                    join(&client, name, port).await;
                }
                ready.send(()).unwrap();
                play(played, client, is_over).await;
            });
        });
        is_ready.recv().expect("the nodes join");
    });
    played
}

/// Asks the API server; panics where it refuses.
pub async fn ask(client: &Client, method: &str, path: &str, body: Option<Value>) -> Value {
    let answer = try_ask(client, method, path, body).await;
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// Asks the API server.
pub async fn try_ask(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Result<Value, kube::Error> {
    let kind = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(
            body.map(|body| body.to_string().into_bytes())
                .unwrap_or_default(),
        )
        .unwrap();
    client.request(request).await
}

/// A node joins the cluster, ready and with room.
async fn join(client: &Client, name: &str, port: u16) {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    });
    let found = try_ask(client, "GET", &format!("/api/v1/nodes/{name}"), None).await;
    if found.is_err() {
        ask(client, "POST", "/api/v1/nodes", Some(node)).await;
    }
    let room = json!({"cpu": "1000", "memory": "1000Gi", "pods": "5000"});
    let now = crate::json::now();
    let ready = json!({"status": {
        "capacity": room, "allocatable": room,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
    }});
    let path = format!("/api/v1/nodes/{name}/status");
    ask(client, "PATCH", &path, Some(ready)).await;
}

/// Runs what is placed on the nodes, for ever.
async fn play(played: &'static Cluster, client: Client, mut over: UnboundedReceiver<String>) {
    let mut changes = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut tick = tokio::time::interval(TICK);
    let mut mirror = Mirror::default();
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) => {
                    placed(played, &serde_json::to_value(pod).unwrap());
                }
                Some(Ok(watcher::Event::Delete(pod))) => {
                    let pod = serde_json::to_value(pod).unwrap();
                    played.with(|state| state.store.remove(&Key::of("pods", &pod)));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => println!("the watch of the pods: {error}"),
                None => return,
            },
            Some(space) = over.recv() => {
                let path = format!("/api/v1/namespaces/{space}");
                try_ask(&client, "DELETE", &path, None).await.ok();
            }
            _ = tick.tick() => mirror.tell(played, &client).await,
        }
    }
}

/// The scheduler has placed a pod, or somebody wants it to end.
fn placed(played: &Cluster, pod: &Value) {
    if text(pod, "/spec/nodeName").is_empty() {
        return;
    }
    let key = Key::of("pods", pod);
    let uid = text(pod, "/metadata/uid").to_owned();
    played.with(|state| {
        let known = state.store.get(&key);
        let known = known.is_some_and(|one| text(one, "/metadata/uid") == uid);
        if !known && !going(pod) {
            state.store.remove(&key);
            let mut own = pod.clone();
            // Its owners are not here.
            set(&mut own, &["metadata", "ownerReferences"], Value::Null);
            set(&mut own, &["status"], Value::Null);
            state.store.insert(Kind::kept("pods"), own);
            state
                .store
                .modify(&key, |own| set(own, &["metadata", "uid"], json!(uid)));
        }
        if going(pod) {
            let grace = number(pod, "/metadata/deletionGracePeriodSeconds");
            let since = pod["metadata"]["deletionTimestamp"].clone();
            state.store.modify(&key, |own| {
                set(own, &["metadata", "deletionTimestamp"], since);
                set(
                    own,
                    &["metadata", "deletionGracePeriodSeconds"],
                    json!(grace),
                );
            });
        }
    });
}

/// What the API server has been told.
#[derive(Default)]
struct Mirror {
    /// The version up to which it was.
    seen: u64,
    events: HashSet<Key>,
}

impl Mirror {
    async fn tell(&mut self, played: &Cluster, client: &Client) {
        // The newest change of each object; the objects that are gone with their last state.
        let mut changes = BTreeMap::new();
        played.with(|state| {
            for change in state.store.changes_after(self.seen) {
                changes.insert(
                    change.key.clone(),
                    (change.what, Arc::clone(&change.object)),
                );
            }
            self.seen = state.store.version();
        });
        for (key, (what, object)) in changes {
            match (key.plural, what) {
                ("pods", What::Deleted) => gone(client, &key, &object).await,
                ("pods", _) => status(client, &key, &object).await,
                ("events", What::Added | What::Modified) => {
                    self.tell_event(client, key, &object).await;
                }
                _ => {}
            }
        }
    }

    async fn tell_event(&mut self, client: &Client, key: Key, event: &Value) {
        let path = format!("/api/v1/namespaces/{}/events", key.namespace);
        let told = if self.events.contains(&key) {
            let change = json!({
                "count": event["count"], "lastTimestamp": event["lastTimestamp"],
            });
            try_ask(
                client,
                "PATCH",
                &format!("{path}/{}", key.name),
                Some(change),
            )
            .await
        } else {
            let mut event = event.clone();
            event["metadata"] = json!({"name": key.name, "namespace": key.namespace});
            try_ask(client, "POST", &path, Some(event)).await
        };
        // The namespace of a test that is over takes none.
        if let Err(error) = told
            && !error.to_string().contains("being terminated")
        {
            println!("the event {}: {error}", key.name);
        }
        self.events.insert(key);
    }
}

/// Tells what a pod has come to.
async fn status(client: &Client, key: &Key, pod: &Value) {
    if pod["status"].is_null() {
        return;
    }
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/status",
        key.namespace, key.name
    );
    let patch = json!({"metadata": {"uid": pod["metadata"]["uid"]}, "status": pod["status"]});
    if let Err(error) = try_ask(client, "PATCH", &path, Some(patch)).await {
        println!("the status of {}: {error}", key.name);
    }
}

/// Tells that a pod has ended.
async fn gone(client: &Client, key: &Key, pod: &Value) {
    let path = format!("/api/v1/namespaces/{}/pods/{}", key.namespace, key.name);
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
        "preconditions": {"uid": pod["metadata"]["uid"]},
    });
    // Gone already is as good.
    try_ask(client, "DELETE", &path, Some(options)).await.ok();
}

/// What an API server asks a kubelet for: `pods/log`. Returns the port.
async fn serve_logs(played: String) -> u16 {
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs))
        .with_state(played);
    let listener = Tls(listener, TlsAcceptor::from(Arc::new(tls)));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

async fn logs(
    State(played): State<String>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = query.unwrap_or_default();
    let url = format!(
        "{played}/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&{query}"
    );
    let asked = reqwest::Client::new()
        .get(url)
        .bearer_auth(crate::TOKEN)
        .send()
        .await;
    let (status, body) = match asked {
        Ok(answer) => (answer.status(), answer.text().await.unwrap_or_default()),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    };
    Response::builder()
        .status(status)
        .body(Body::from(body))
        .unwrap()
}

/// A listener whose connections speak TLS.
struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.0.accept().await else {
                continue;
            };
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
