//! The objects of one resource in one namespace, as its watch tells of them.
//!
//! A watch that breaks is begun anew with a list; so is one whose place in history the server has
//! forgotten (410). A connection that is dead without a word is noticed when a watch should have
//! ended, after half a minute.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures_util::TryStreamExt;
use kube::core::WatchEvent;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::{Metadata, Resource, Result};
use treasury_ports::platform::PlatformError;

/// How long one watch lasts, seconds; then it goes on from where it was.
const WATCH: u32 = 30;

/// Where nothing is heard for so long, the watch should have ended.
const SILENT: Duration = Duration::from_secs(WATCH as u64 + 10);

/// So long the memory is good while the server does not answer.
const GRACE: Duration = Duration::from_secs(15);

/// Pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What can be kept in memory.
pub(crate) trait Watchable:
    AsRef<Metadata> + Clone + Debug + Default + DeserializeOwned + Send + Sync + 'static
{
    /// Leaves out what nobody asks for and takes much room.
    fn slim(&mut self) {}
}

/// The objects of one resource in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Watched<K> {
    state: RwLock<State<K>>,
    /// It was complete once, or can't be had.
    settled: watch::Sender<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct State<K> {
    /// By name.
    pub(crate) objects: HashMap<String, Arc<K>>,
    /// Names by the identifier of their controller.
    owned: HashMap<String, HashSet<String>>,
    complete: bool,
    broken: Option<Instant>,
}

impl<K: Watchable> State<K> {
    /// These are all objects.
    fn replace(&mut self, all: Vec<K>) {
        *self = Self::default();
        for object in all {
            self.put(object);
        }
        self.complete = true;
    }

    fn put(&mut self, mut object: K) {
        object.slim();
        let name = object.as_ref().name.clone();
        self.remove(&name);
        if let Some(owner) = object.as_ref().controller() {
            let names = self.owned.entry(owner.to_owned()).or_default();
            names.insert(name.clone());
        }
        self.objects.insert(name, Arc::new(object));
    }

    fn remove(&mut self, name: &str) {
        let Some(old) = self.objects.remove(name) else {
            return;
        };
        let metadata: &Metadata = K::as_ref(&old);
        let owner = metadata.controller().unwrap_or_default();
        if let Some(names) = self.owned.get_mut(owner) {
            names.remove(name);
            if names.is_empty() {
                self.owned.remove(owner);
            }
        }
    }

    fn fail(&mut self, for_good: bool) {
        self.complete &= !for_good;
        self.broken.get_or_insert_with(Instant::now);
    }

    /// All that this owner controls.
    pub(crate) fn owned_by<'a>(&'a self, owner: &str) -> impl Iterator<Item = &'a Arc<K>> {
        let names = self.owned.get(owner).into_iter().flatten();
        names.filter_map(|name| self.objects.get(name))
    }

    /// How long the server has not answered; the outer `None` where this can't be relied upon.
    #[expect(clippy::option_option, reason = "unusable, good, or good so far")]
    pub(crate) fn good(&self, now: Instant) -> Option<Option<Duration>> {
        let age = self.broken.map(|since| now.duration_since(since));
        (self.complete && age.is_none_or(|age| age < GRACE)).then_some(age)
    }
}

impl<K: Watchable> Watched<K> {
    /// Watches for ever.
    pub(crate) async fn follow(self: Arc<Self>, resource: Resource) {
        let mut pause = PAUSES.0;
        loop {
            let Err(error) = self.list_and_watch(&resource, &mut pause).await;
            tracing::debug!(resource = resource.path(), %error, "a watch broke");
            // Lists alone would be old at once.
            let denied = matches!(error, PlatformError::Denied { .. });
            self.write().fail(denied);
            self.settled.send_replace(true);
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Reads the list and follows what happens to it until something fails.
    async fn list_and_watch(
        &self,
        resource: &Resource,
        pause: &mut Duration,
    ) -> Result<Infallible> {
        let (all, mut version) = resource.list_with_version(None).await?;
        self.write().replace(all);
        self.settled.send_replace(true);
        *pause = PAUSES.0;
        loop {
            let begun = timeout(SILENT, resource.watch::<K>(&version, WATCH));
            let Ok(events) = begun.await else {
                continue;
            };
            let mut events = pin!(events?);
            // Its end and silence are the same: on from where it was.
            while let Ok(next) = timeout(SILENT, events.try_next()).await
                && let Some(event) = next.map_err(|error| resource.error(error))?
            {
                version = match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        let version = object.as_ref().resource_version.clone();
                        self.write().put(object);
                        version
                    }
                    WatchEvent::Deleted(object) => {
                        self.write().remove(&object.as_ref().name);
                        object.as_ref().resource_version.clone()
                    }
                    WatchEvent::Bookmark(mark) => mark.metadata.resource_version,
                    WatchEvent::Error(status) => {
                        return Err(resource.error(kube::Error::Api(status)));
                    }
                };
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is complete or known not to be to be had.
    pub(crate) async fn settle(&self) {
        // The sender is here: it can't be gone.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::Pod;

    fn pod(name: &str, owner: &str) -> Pod {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner,
                            "uid": owner, "controller": true}]);
        let meta = json!({"name": name, "ownerReferences": owner});
        serde_json::from_value(json!({ "metadata": meta })).unwrap()
    }

    fn of(state: &State<Pod>, owner: &str) -> Vec<String> {
        let owned = state.owned_by(owner);
        let mut names: Vec<String> = owned.map(|pod| pod.name().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one() {
        let mut state = State::default();
        assert_eq!(state.good(Instant::now()), None);
        state.replace(vec![pod("a", "x")]);
        assert_eq!(state.good(Instant::now()), Some(None));
        assert_eq!(of(&state, "x"), ["a"]);

        state.replace(vec![pod("b", "x")]);
        assert_eq!(of(&state, "x"), ["b"], "what is not listed is gone");
    }

    #[test]
    fn pods_are_found_by_their_owner_whatever_becomes_of_them() {
        let mut state = State::default();
        state.put(pod("a", "x"));
        state.put(pod("b", "x"));
        state.put(pod("b", "y"));
        assert_eq!(
            (of(&state, "x"), of(&state, "y")),
            (vec!["a".into()], vec!["b".into()])
        );
        state.remove("b");
        assert!(of(&state, "y").is_empty() && state.owned.len() == 1);
    }

    #[test]
    fn memory_is_good_for_a_while_when_the_server_is_away() {
        let mut state: State<Pod> = State::default();
        state.replace(Vec::new());
        let now = Instant::now();
        state.broken = Some(now);
        let later = Duration::from_secs(8);
        assert_eq!(state.good(now + later), Some(Some(later)));
        assert_eq!(state.good(now + GRACE), None);
        state.replace(vec![pod("a", "x")]);
        assert_eq!(state.good(now + GRACE), Some(None), "it is back");
    }
}
