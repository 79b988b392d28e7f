//! What the server has told by its watches, so that a status is answered from memory.
//!
//! A namespace is watched from the first question about it on. A watch that breaks is begun anew
//! with a list; so is one whose place in history the server has forgotten (410). A connection that
//! is dead without a word is noticed after [`WATCH`] and some seconds.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::api::Line;
use super::find::{self, Place, Seen, controller, owners, replica_set, scales};
use super::pod;
use super::workload::{Workload, resource};
use crate::domain::service::WorkloadKind;
use crate::platform::PlatformError;
use crate::platform::text::by_name;

/// How long one watch lasts, seconds; then it goes on from where it was.
const WATCH: u32 = 30;

/// So long the memory is good while the server does not answer.
const GRACE: Duration = Duration::from_secs(15);

/// After a change of ours the server itself is asked for so long: its watches tell a little later.
const TOUCHED: Duration = Duration::from_secs(3);

/// Pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// The objects of one resource in one namespace.
#[derive(Debug)]
struct Watched<K> {
    state: RwLock<State<K>>,
    /// It was complete once, or can't be had.
    settled: watch::Sender<bool>,
}

#[derive(Debug)]
struct State<K> {
    /// By name.
    objects: HashMap<String, Arc<K>>,
    /// Names by the identifier of their controller.
    owned: HashMap<String, HashSet<String>>,
    /// A list that is being read.
    incoming: Option<HashMap<String, Arc<K>>>,
    complete: bool,
    broken: Option<Instant>,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            owned: HashMap::new(),
            incoming: None,
            complete: false,
            broken: None,
        }
    }
}

impl<K: Resource> State<K> {
    fn take(&mut self, event: watcher::Event<K>) {
        self.broken = None;
        match event {
            watcher::Event::Init => self.incoming = Some(HashMap::new()),
            watcher::Event::InitApply(object) => {
                let name = named(&object);
                let incoming = self.incoming.get_or_insert_default();
                incoming.insert(name, Arc::new(object));
            }
            watcher::Event::InitDone => {
                self.objects = self.incoming.take().unwrap_or_default();
                self.owned.clear();
                for (name, object) in &self.objects {
                    if let Some(owner) = controller(object.meta()) {
                        let names = self.owned.entry(owner.to_owned()).or_default();
                        names.insert(name.clone());
                    }
                }
                self.complete = true;
            }
            watcher::Event::Apply(object) => {
                let name = named(&object);
                self.forget(&name);
                if let Some(owner) = controller(object.meta()) {
                    let names = self.owned.entry(owner.to_owned()).or_default();
                    names.insert(name.clone());
                }
                self.objects.insert(name, Arc::new(object));
            }
            watcher::Event::Delete(object) => self.forget(&named(&object)),
        }
    }

    fn forget(&mut self, name: &str) {
        let Some(old) = self.objects.remove(name) else {
            return;
        };
        let Some(owner) = controller(old.meta()) else {
            return;
        };
        if let Some(names) = self.owned.get_mut(owner) {
            names.remove(name);
            if names.is_empty() {
                self.owned.remove(owner);
            }
        }
    }

    /// All that this owner controls.
    fn of<'a>(&'a self, owner: &str) -> impl Iterator<Item = &'a Arc<K>> {
        let names = self.owned.get(owner).into_iter().flatten();
        names.filter_map(|name| self.objects.get(name))
    }

    /// How long the server has not answered; the outer `None` where this can't be relied upon.
    #[expect(clippy::option_option, reason = "unusable, good, or good so far")]
    fn good(&self) -> Option<Option<Duration>> {
        let age = self.broken.map(|since| since.elapsed());
        (self.complete && age.is_none_or(|age| age < GRACE)).then_some(age)
    }
}

fn named<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

impl<K> Watched<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    fn begin(api: Api<K>, lean: fn(&mut K), tasks: &Tasks) -> Arc<Self> {
        let watched = Arc::new(Self {
            state: RwLock::default(),
            settled: watch::Sender::new(false),
        });
        let task = tokio::spawn(watched.clone().follow(api, lean));
        tasks.add(task.abort_handle());
        watched
    }

    async fn follow(self: Arc<Self>, api: Api<K>, lean: fn(&mut K)) {
        let config = watcher::Config::default().timeout(WATCH);
        let mut pause = PAUSES.0;
        loop {
            let mut stream = pin!(watcher(api.clone(), config.clone()));
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        let event = event.modify(lean);
                        let done = matches!(event, watcher::Event::InitDone);
                        self.write().take(event);
                        if done {
                            pause = PAUSES.0;
                            self.settled.send_replace(true);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(resource = api.resource_url(), %error, "a watch broke");
                        break;
                    }
                }
            }
            self.write().broken.get_or_insert_with(Instant::now);
            self.settled.send_replace(true);
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is complete or known not to be to be had.
    async fn settle(&self) {
        // The sender is here: it can't be gone.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }
}

/// Tasks that end with what they work for.
#[derive(Debug, Default)]
struct Tasks(Mutex<Vec<AbortHandle>>);

impl Tasks {
    fn add(&self, task: AbortHandle) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(task);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let all = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(AbortHandle::abort);
    }
}

type Key = (String, &'static str);

/// All that is watched of a cluster.
#[derive(Debug, Default)]
pub(super) struct Cache {
    objects: Mutex<HashMap<Key, Arc<Watched<DynamicObject>>>>,
    pods: Mutex<HashMap<String, Arc<Watched<Pod>>>>,
    scalers: Mutex<HashMap<String, Arc<Watched<HorizontalPodAutoscaler>>>>,
    touched: Mutex<HashMap<(String, WorkloadKind, String), Instant>>,
    tasks: Tasks,
}

impl Cache {
    /// Notes that this place is being changed: for a little while the server itself is asked.
    pub(super) fn touch(&self, place: Place<'_>) {
        let mut touched = locked(&self.touched);
        touched.retain(|_, at| at.elapsed() < TOUCHED);
        touched.insert(key(place), Instant::now());
    }

    /// What is known of a place; asks the server where the memory can't be relied upon.
    pub(super) async fn look(&self, line: &Line, place: Place<'_>) -> Result<Seen, PlatformError> {
        let touched = locked(&self.touched)
            .get(&key(place))
            .is_some_and(|at| at.elapsed() < TOUCHED);
        let known = if touched {
            None
        } else {
            self.known(line, place).await?
        };
        match known {
            Some(seen) => Ok(seen),
            None => find::look(line, place).await,
        }
    }

    async fn known(&self, line: &Line, place: Place<'_>) -> Result<Option<Seen>, PlatformError> {
        let client = line.client().await?;
        let space = place.namespace;
        let kind = place.kind;
        let workloads = self.objects(client, space, &resource(kind), lean_workload);
        let sets = (kind == WorkloadKind::Deployment)
            .then(|| self.objects(client, space, &replica_set(), lean_set));
        let pods = locked(&self.pods)
            .entry(space.to_owned())
            .or_insert_with(|| {
                Watched::begin(
                    Api::namespaced(client.clone(), space),
                    lean_pod,
                    &self.tasks,
                )
            })
            .clone();
        let scalers = locked(&self.scalers)
            .entry(space.to_owned())
            .or_insert_with(|| {
                Watched::begin(Api::namespaced(client.clone(), space), lean, &self.tasks)
            })
            .clone();
        let settled = async {
            workloads.settle().await;
            pods.settle().await;
            scalers.settle().await;
            if let Some(sets) = &sets {
                sets.settle().await;
            }
        };
        if tokio::time::timeout(line.ask(), settled).await.is_err() {
            return Ok(None);
        }
        let (workloads, pods, scalers) = (workloads.read(), pods.read(), scalers.read());
        let sets = sets.as_ref().map(|sets| sets.read());
        let ages = [
            workloads.good(),
            pods.good(),
            sets.as_ref().map_or(Some(None), |sets| sets.good()),
        ];
        let mut oldest = None;
        for age in ages {
            let Some(age) = age else {
                return Ok(None);
            };
            oldest = oldest.max(age);
        }
        let Some(object) = workloads.objects.get(place.name) else {
            // The server tells what there is instead.
            return Ok(None);
        };
        let workload = Workload {
            kind,
            object: (**object).clone(),
        };
        let own_sets = sets.iter().flat_map(|sets| sets.of(workload.uid()));
        let owners = owners(&workload, own_sets.map(|set| &set.metadata));
        let mut own: Vec<Arc<Pod>> = owners
            .iter()
            .flat_map(|owner| pods.of(owner))
            .cloned()
            .collect();
        drop(owners);
        own.sort_by(|a, b| by_name(pod::name(a), pod::name(b)));
        let scaler = scalers.objects.values().find_map(|one| scales(one, place));
        Ok(Some(Seen {
            workload,
            pods: own,
            scaler,
            age: oldest,
        }))
    }

    fn objects(
        &self,
        client: &kube::Client,
        space: &str,
        resource: &kube::core::ApiResource,
        lean: fn(&mut DynamicObject),
    ) -> Arc<Watched<DynamicObject>> {
        let plural = match resource.plural.as_str() {
            "deployments" => "deployments",
            "statefulsets" => "statefulsets",
            "daemonsets" => "daemonsets",
            _ => "replicasets",
        };
        locked(&self.objects)
            .entry((space.to_owned(), plural))
            .or_insert_with(|| {
                let api = Api::namespaced_with(client.clone(), space, resource);
                Watched::begin(api, lean, &self.tasks)
            })
            .clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(place: Place<'_>) -> (String, WorkloadKind, String) {
    (
        place.namespace.to_owned(),
        place.kind,
        place.name.to_owned(),
    )
}

/// Leaves out what nobody asks for and takes much room.
fn lean<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

fn lean_workload(object: &mut DynamicObject) {
    lean(object);
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    // Only what is told in a status; a change reads the server's own.
    if let Some(spec) = object.data.get_mut("spec").and_then(|s| s.as_object_mut()) {
        spec.remove("template");
    }
}

fn lean_set(object: &mut DynamicObject) {
    lean(object);
    object.data = serde_json::Value::Null;
    object.metadata.annotations = None;
}

fn lean_pod(pod: &mut Pod) {
    lean(pod);
    let Some(spec) = &mut pod.spec else {
        return;
    };
    spec.volumes = None;
    spec.tolerations = None;
    for container in &mut spec.containers {
        container.env = None;
        container.env_from = None;
        container.volume_mounts = None;
        container.args = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, owner: &str) -> Pod {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner,
                            "uid": owner, "controller": true}]);
        let meta = json!({"name": name, "ownerReferences": owner});
        serde_json::from_value(json!({ "metadata": meta })).unwrap()
    }

    fn of(state: &State<Pod>, owner: &str) -> Vec<String> {
        let mut names: Vec<String> = state.of(owner).map(|pod| named(&**pod)).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one_only_when_it_is_complete() {
        let mut state = State::default();
        assert_eq!(state.good(), None);
        state.take(watcher::Event::Init);
        state.take(watcher::Event::InitApply(pod("a", "x")));
        assert_eq!(state.good(), None, "the list is not complete");
        state.take(watcher::Event::InitDone);
        assert_eq!(state.good(), Some(None));
        assert_eq!(of(&state, "x"), ["a"]);

        state.take(watcher::Event::Init);
        state.take(watcher::Event::InitApply(pod("b", "x")));
        assert_eq!(of(&state, "x"), ["a"]);
        state.take(watcher::Event::InitDone);
        assert_eq!(of(&state, "x"), ["b"], "what is not listed is gone");
    }

    #[test]
    fn pods_are_found_by_their_owner_whatever_becomes_of_them() {
        let mut state = State::default();
        state.take(watcher::Event::Apply(pod("a", "x")));
        state.take(watcher::Event::Apply(pod("b", "x")));
        state.take(watcher::Event::Apply(pod("b", "y")));
        assert_eq!(
            (of(&state, "x"), of(&state, "y")),
            (vec!["a".into()], vec!["b".into()])
        );
        state.take(watcher::Event::Delete(pod("b", "y")));
        assert!(of(&state, "y").is_empty() && state.owned.len() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_good_for_a_while_when_the_server_is_away() {
        let mut state: State<Pod> = State::default();
        state.take(watcher::Event::Init);
        state.take(watcher::Event::InitDone);
        state.broken = Some(Instant::now());
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(state.good(), Some(Some(Duration::from_secs(8))));
        tokio::time::advance(GRACE).await;
        assert_eq!(state.good(), None);
        state.take(watcher::Event::Apply(pod("a", "x")));
        assert_eq!(state.good(), Some(None), "it is back");
    }
}
