//! What the server has told by its watches, so that a status is answered from memory.
//!
//! A namespace is watched from the first question about it on. A watch that breaks is begun anew
//! with a list; so is one whose place in history the server has forgotten (410). A connection that
//! is dead without a word is noticed when a watch should have ended, after half a minute.

mod watched;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use tokio::time::Instant;

use super::api::Line;
use super::find::{self, Place, Seen, owners, replica_set, scales};
use super::pod;
use super::workload::{Workload, resource};
use treasury_domain::service::WorkloadKind;
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;
use watched::{Tasks, Watched};

/// After a change of ours the server itself is asked for so long: its watches tell a little later.
const TOUCHED: Duration = Duration::from_secs(3);

/// Namespace and resource.
type Key = (String, String);

/// All that is watched of a cluster.
#[derive(Debug, Default)]
pub(super) struct Cache {
    objects: Mutex<HashMap<Key, Arc<Watched<DynamicObject>>>>,
    pods: Mutex<HashMap<String, Arc<Watched<Pod>>>>,
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
        let autoscaler = find::autoscaler(line, place).await?;
        let scalers = self.objects(client, space, &autoscaler, lean);
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
        let now = Instant::now();
        let ages = [
            workloads.good(now),
            pods.good(now),
            sets.as_ref().map_or(Some(None), |sets| sets.good(now)),
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
        client: &Client,
        space: &str,
        resource: &ApiResource,
        lean: fn(&mut DynamicObject),
    ) -> Arc<Watched<DynamicObject>> {
        locked(&self.objects)
            .entry((space.to_owned(), resource.plural.clone()))
            .or_insert_with(|| {
                let api = Api::namespaced_with(client.clone(), space, resource);
                Watched::begin(api, lean, &self.tasks)
            })
            .clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
