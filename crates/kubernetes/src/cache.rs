//! What the server has told by its watches, so that a status is answered from memory.
//!
//! A namespace is watched from the first question about it on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::snapshot::{Autoscaler, owners, scales};
use crate::watched::{Watchable, Watched};
use crate::{Kind, Pod, Resource, Result, Scope, Snapshot, Workload, WorkloadObject, snapshot};
use treasury_domain::service::WorkloadKind;

/// After a change of ours the server itself is asked for so long: its watches tell a little later.
const TOUCHED: Duration = Duration::from_secs(3);

/// All that is watched of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// ReplicaSets too.
    workloads: Watches<WorkloadObject>,
    pods: Watches<Pod>,
    autoscalers: Watches<Autoscaler>,
    touched: Mutex<HashMap<String, Instant>>,
}

impl Cache {
    /// Notes that this workload is being changed: for a little while the server itself is asked.
    pub(crate) fn touch(&self, scope: Scope<'_>) {
        let mut touched = locked(&self.touched);
        touched.retain(|_, at| at.elapsed() < TOUCHED);
        touched.insert(key(scope), Instant::now());
    }

    /// What is known of a workload; asks the server where the memory can't be relied upon.
    pub(crate) async fn look(&self, scope: Scope<'_>) -> Result<Snapshot> {
        let touched = locked(&self.touched)
            .get(&key(scope))
            .is_some_and(|at| at.elapsed() < TOUCHED);
        if !touched && let Some(seen) = self.known(scope).await? {
            return Ok(seen);
        }
        snapshot::take(scope).await
    }

    async fn known(&self, scope: Scope<'_>) -> Result<Option<Snapshot>> {
        let kind = scope.target.kind;
        let workloads = self.workloads.of(scope.workloads());
        let sets = (kind == WorkloadKind::Deployment)
            .then(|| self.workloads.of(scope.all(Kind::REPLICA_SET)));
        let pods = self.pods.of(scope.all(Kind::POD));
        let autoscalers = self.autoscalers.of(scope.autoscalers().await?);
        let settled = async {
            workloads.settle().await;
            pods.settle().await;
            autoscalers.settle().await;
            if let Some(sets) = &sets {
                sets.settle().await;
            }
        };
        let limit = scope.server.limit();
        if tokio::time::timeout(limit, settled).await.is_err() {
            return Ok(None);
        }
        let (workloads, pods, autoscalers) = (workloads.read(), pods.read(), autoscalers.read());
        let sets = sets.as_ref().map(|sets| sets.read());
        let now = Instant::now();
        let ages = [
            workloads.good(now),
            pods.good(now),
            sets.as_ref().map_or(Some(None), |sets| sets.good(now)),
        ];
        let Some(ages) = ages.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        // Where there is none the server tells what there is instead.
        let Some(object) = workloads.objects.get(scope.target.name) else {
            return Ok(None);
        };
        let workload = Workload {
            kind,
            object: (**object).clone(),
        };
        let own_sets = sets.iter().flat_map(|sets| sets.owned_by(workload.uid()));
        let owners = owners(&workload, own_sets.map(|set| &set.metadata));
        let own = owners.iter().flat_map(|owner| pods.owned_by(owner));
        let own = own.cloned().collect();
        drop(owners);
        let mut scalers = autoscalers.objects.values();
        let scaler = scalers.find_map(|one| scales(one, scope.target));
        let mut seen = Snapshot::new(workload, own, scaler);
        seen.age = ages.into_iter().max().flatten();
        Ok(Some(seen))
    }
}

/// What is watched of one type.
#[derive(Debug, Default)]
struct Watches<K> {
    /// By its address.
    known: Mutex<HashMap<String, Arc<Watched<K>>>>,
    /// They end with this.
    tasks: Mutex<JoinSet<()>>,
}

impl<K: Watchable> Watches<K> {
    fn of(&self, resource: Resource) -> Arc<Watched<K>> {
        locked(&self.known)
            .entry(resource.path().to_owned())
            .or_insert_with(|| {
                let watched = Arc::new(Watched::default());
                locked(&self.tasks).spawn(watched.clone().follow(resource));
                watched
            })
            .clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The workload's address.
fn key(scope: Scope<'_>) -> String {
    format!("{}/{}", scope.workloads().path(), scope.target.name)
}

impl Watchable for Pod {}

impl Watchable for Autoscaler {}

impl Watchable for WorkloadObject {
    // Only what is told in a status; a change reads the server's own.
    fn slim(&mut self) {
        self.spec.template = Value::Null;
        self.metadata.annotations.clear();
    }
}
