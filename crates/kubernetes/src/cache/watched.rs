//! The objects of one resource in one namespace, as its watch tells of them.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::api::status_of;
use crate::find::controller;

/// How long one watch lasts, seconds; then it goes on from where it was.
const WATCH: u32 = 30;

/// So long the memory is good while the server does not answer.
const GRACE: Duration = Duration::from_secs(15);

/// Pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// The objects of one resource in one namespace.
#[derive(Debug)]
pub(super) struct Watched<K> {
    state: RwLock<State<K>>,
    /// It was complete once, or can't be had.
    settled: watch::Sender<bool>,
}

#[derive(Debug)]
pub(super) struct State<K> {
    /// By name.
    pub(super) objects: HashMap<String, Arc<K>>,
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
    pub(super) fn of<'a>(&'a self, owner: &str) -> impl Iterator<Item = &'a Arc<K>> {
        let names = self.owned.get(owner).into_iter().flatten();
        names.filter_map(|name| self.objects.get(name))
    }

    /// How long the server has not answered; the outer `None` where this can't be relied upon.
    #[expect(clippy::option_option, reason = "unusable, good, or good so far")]
    pub(super) fn good(&self, now: Instant) -> Option<Option<Duration>> {
        let age = self.broken.map(|since| now.duration_since(since));
        (self.complete && age.is_none_or(|age| age < GRACE)).then_some(age)
    }
}

/// The bot may not list or watch this.
fn is_denied(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => status_of(error).map(|status| status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    };
    matches!(code, Some(401 | 403))
}

fn named<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

impl<K> Watched<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    pub(super) fn begin(api: Api<K>, lean: fn(&mut K), tasks: &Tasks) -> Arc<Self> {
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
                        if is_denied(&error) {
                            // Lists alone would be old at once.
                            self.write().complete = false;
                        }
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

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is complete or known not to be to be had.
    pub(super) async fn settle(&self) {
        // The sender is here: it can't be gone.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }
}

/// Tasks that end with what they work for.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<Vec<AbortHandle>>);

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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
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
        assert_eq!(state.good(Instant::now()), None);
        state.take(watcher::Event::Init);
        state.take(watcher::Event::InitApply(pod("a", "x")));
        assert_eq!(state.good(Instant::now()), None, "the list is not complete");
        state.take(watcher::Event::InitDone);
        assert_eq!(state.good(Instant::now()), Some(None));
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

    #[test]
    fn memory_is_good_for_a_while_when_the_server_is_away() {
        let mut state: State<Pod> = State::default();
        state.take(watcher::Event::Init);
        state.take(watcher::Event::InitDone);
        let now = Instant::now();
        state.broken = Some(now);
        let later = Duration::from_secs(8);
        assert_eq!(state.good(now + later), Some(Some(later)));
        assert_eq!(state.good(now + GRACE), None);
        state.take(watcher::Event::Apply(pod("a", "x")));
        assert_eq!(state.good(now + GRACE), Some(None), "it is back");
    }
}
