//! A cluster: the state, the server in a thread of its own, and what tests do to it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control;
use crate::event::reference;
use crate::fault::{Access, Fault, Faults, Grant, Rights, Rule};
use crate::json::{list, seconds, text};
use crate::kubelet::Kubelet;
use crate::resource::Kind;
use crate::select::Labels;
use crate::serve;
use crate::state::{Shared, State};
use crate::store::{Key, Store};
use crate::write::{self, Writer};

/// A running cluster; it ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    /// A cluster of two nodes with the namespaces `default` and `kube-system`.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let rights = Rights {
            user: "system:serviceaccount:treasury:treasury-bot".to_owned(),
            grants: None,
            forbidden: Vec::new(),
        };
        let mut state = State {
            store: Store::default(),
            faults: Faults::default(),
            rights,
            access: Vec::new(),
            kubelet: Kubelet::default(),
            lag: Duration::from_millis(20),
            bookmarks: Duration::from_secs(60),
            metrics: true,
        };
        for namespace in ["default", "kube-system"] {
            create(
                &mut state,
                &json!({
                    "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}
                }),
            );
        }
        for node in ["node-1", "node-2"] {
            create(
                &mut state,
                &json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}},
                }),
            );
        }
        let shared = Arc::new(Shared::new(state));
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut ended = inner.ended.subscribe();
                tokio::select! {
                    () = serve::serve(&inner, listener) => {}
                    () = control::run(&inner) => {}
                    _ = ended.wait_for(|ended| *ended) => {}
                }
            });
        });
        Self {
            shared,
            port,
            thread: Some(thread),
        }
    }

    /// The address of the API server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Looks at the state, or changes it; watches and controllers are told.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let done = self.shared.with(act);
        self.shared.wake.notify_one();
        done
    }

    /// Creates an object as an administrator does; its namespace is made where it is missing.
    pub fn create(&self, object: &Value) -> Value {
        self.with(|state| {
            let namespace = text(object, "/metadata/namespace");
            let key = Key::new("namespaces", "", namespace);
            if !namespace.is_empty() && state.store.get(&key).is_none() {
                create(
                    state,
                    &json!({
                        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}
                    }),
                );
            }
            create(state, object)
        })
    }

    /// The object as it is now.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.shared.lock();
        let found = state.store.get(&Key::new(plural, namespace, name));
        found.map(|object| (**object).clone())
    }

    /// All objects of a plural in a namespace (of all where it is empty), ordered by name.
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        let state = self.shared.lock();
        let all = state.store.list(plural, namespace);
        all.map(|(_, object)| (**object).clone()).collect()
    }

    /// Merges a patch into an object as an administrator does.
    pub fn merge(&self, plural: &str, namespace: &str, name: &str, patch: &Value) {
        let key = Key::new(plural, namespace, name);
        let writer = Writer {
            manager: "kubectl-edit".to_owned(),
            sub: String::new(),
            noted: false,
            dry_run: false,
        };
        self.with(|state| {
            let object = state.store.get(&key);
            let mut object = (**object.unwrap_or_else(|| panic!("no {key:?}"))).clone();
            crate::patch::merge(&mut object, patch);
            let done = write::update(state, Kind::kept(plural), &key, object, &writer);
            done.unwrap_or_else(|status| panic!("{}", status.message));
        });
    }

    /// Deletes an object, at once and with all that it owns.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let key = Key::new(plural, namespace, name);
        self.with(|state| state.store.remove(&key));
    }

    /// Puts a fault in for the next `times` requests (all where `None`) of these verbs and
    /// resources (all where empty).
    pub fn fault(&self, fault: Fault, verbs: &[&str], resources: &[&str], times: Option<u32>) {
        let words = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let rule = Rule {
            fault,
            verbs: words(verbs),
            resources: words(resources),
            left: times,
        };
        self.shared.lock().faults.0.push(rule);
    }

    /// The next writes find that somebody else wrote in between.
    pub fn conflicts(&self, times: u32) {
        self.fault(Fault::Code(409), &["update", "patch"], &[], Some(times));
    }

    /// Takes out all faults and gives back all rights.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.faults.0.clear();
        state.rights.forbidden.clear();
        state.rights.grants = None;
    }

    /// Takes a verb on a resource (such as `deployments/scale`) away; `*` for all.
    pub fn forbid(&self, verb: &str, resource: &str) {
        let pair = (verb.to_owned(), resource.to_owned());
        self.shared.lock().rights.forbidden.push(pair);
    }

    /// Allows only this.
    pub fn allow_only(&self, grants: Vec<Grant>) {
        self.shared.lock().rights.grants = Some(grants);
    }

    /// Cuts all connections and forgets old versions, as a restart of the API server does.
    pub fn restart_api(&self) {
        self.with(|state| state.store.forget());
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Cuts all connections, nothing else.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Forgets old versions, as etcd does after five minutes.
    pub fn compact(&self) {
        self.with(|state| state.store.forget());
    }

    /// Closes the port; [`Cluster::reopen`] opens it again.
    pub fn close(&self) {
        self.shared.open.send_replace(false);
        self.shared.cut.send_modify(|count| *count += 1);
    }

    pub fn reopen(&self) {
        self.shared.open.send_replace(true);
    }

    /// What was asked so far.
    pub fn access(&self) -> Vec<Access> {
        self.shared.lock().access.clone()
    }

    /// The writes so far that were not refused, of one resource (all where empty).
    pub fn writes(&self, resource: &str) -> Vec<Access> {
        let mut all = self.access();
        all.retain(|one| {
            one.is_write() && one.code < 400 && (resource.is_empty() || one.resource == resource)
        });
        all
    }

    /// Forgets what was asked.
    pub fn clear_access(&self) {
        self.shared.lock().access.clear();
    }

    /// Waits until a look at the state finds something, for at most 20 s.
    pub async fn eventually<T>(&self, what: &str, look: impl Fn(&Store) -> Option<T>) -> T {
        let looking = async {
            let mut changed = self.shared.changed.subscribe();
            loop {
                if let Some(found) = look(&self.shared.lock().store) {
                    return found;
                }
                // Times pass without a change too.
                let wait = Duration::from_millis(50);
                tokio::time::timeout(wait, changed.changed()).await.ok();
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(20), looking).await;
        looked.unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// Waits until the controllers have nothing to do with what was written so far.
    pub async fn idle(&self) {
        let looking = async {
            while self.with(|state| state.kubelet.seen != state.store.version()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(20), looking).await;
        assert!(looked.is_ok(), "the controllers never rest");
    }

    /// Waits until a workload's controller has done all: what is wanted is there, new and ready.
    pub async fn settled(&self, plural: &str, namespace: &str, name: &str) -> Value {
        let key = Key::new(plural, namespace, name);
        let look = |store: &Store| {
            let object = store.get(&key)?;
            control::is_settled(store, object).then(|| (**object).clone())
        };
        self.eventually(&format!("{name} settles"), look).await
    }

    /// Puts lines into the log of a container, each at its time.
    pub fn log(&self, namespace: &str, pod: &str, lines: &[(jiff::Timestamp, &str)]) {
        self.with(|state| {
            let key = Key::new("pods", namespace, pod);
            let object = state
                .store
                .get(&key)
                .unwrap_or_else(|| panic!("no pod {pod}"));
            let uid = text(object, "/metadata/uid").to_owned();
            let container = text(object, "/spec/containers/0/name").to_owned();
            state.kubelet.log(&uid, &container, lines);
        });
    }

    /// Others reach the service.
    pub fn reaches(&self, namespace: &str, service: &str) -> bool {
        let endpoints = self
            .get("endpoints", namespace, service)
            .unwrap_or_default();
        let policies = self.list("networkpolicies", namespace);
        reached(&endpoints, &policies, &self.list("pods", namespace))
    }

    /// An event of a pod or a workload, as its kubelet or controller writes it.
    pub fn event(&self, plural: &str, namespace: &str, name: &str, event: &Value) {
        let key = Key::new(plural, namespace, name);
        self.with(|state| {
            let about = state.store.get(&key).unwrap_or_else(|| panic!("no {name}"));
            let about = reference(Kind::kept(plural), about);
            let mut whole = json!({
                "apiVersion": "v1", "kind": "Event", "type": "Normal",
                "metadata": {"namespace": namespace,
                    "name": format!("{name}.{}", crate::store::suffix(16))},
                "involvedObject": about, "count": 1, "source": {"component": "test"},
                "firstTimestamp": seconds(jiff::Timestamp::now()),
                "lastTimestamp": seconds(jiff::Timestamp::now()),
            });
            crate::patch::merge(&mut whole, event);
            create(state, &whole);
        });
    }
}

/// Others reach a service: one of its endpoints is a pod that network policies let be reached. Of the
/// rules it only counts whether there are any.
pub fn reached(endpoints: &Value, policies: &[Value], pods: &[Value]) -> bool {
    list(endpoints, "/subsets/0/addresses").iter().any(|one| {
        let name = text(one, "/targetRef/name");
        let pod = pods.iter().find(|pod| text(pod, "/metadata/name") == name);
        let mut concern = policies.iter().filter(|policy| {
            let types = list(policy, "/spec/policyTypes");
            let selector = Labels::of(&policy["spec"]["podSelector"]);
            types.contains(&json!("Ingress")) && pod.is_some_and(|pod| selector.matches(pod))
        });
        let mut rules = concern.clone();
        concern.next().is_none() || rules.any(|policy| !list(policy, "/spec/ingress").is_empty())
    })
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.ended.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Creates an object without asking who may.
fn create(state: &mut State, object: &Value) -> Value {
    let kind = Kind::named(text(object, "/apiVersion"), text(object, "/kind"));
    let kind = kind.unwrap_or_else(|| panic!("unknown kind: {object}"));
    let namespace = text(object, "/metadata/namespace").to_owned();
    let made = write::create(
        state,
        kind,
        &namespace,
        object.clone(),
        "kubectl-create",
        false,
    );
    let made = made.unwrap_or_else(|status| panic!("{}", status.message));
    (*made).clone()
}
