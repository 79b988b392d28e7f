//! Tasks: each place of a service (a number, or a machine) has one that counts, and former ones.

use bollard::models::{ServiceUpdateStatusStateEnum as Update, Task, TaskState};

use super::super::find;
use super::service::{Seen, image_of, shown};
use treasury_domain::service::{Health, Replica, ReplicaState, ServiceStatus};

/// A place of a service.
pub(super) struct Place<'t> {
    /// The number of the replica, or the id of the machine where there is one on each.
    pub(super) key: String,
    /// Such as `treasury_web.2`.
    pub(super) name: String,
    /// The newest first; never empty.
    pub(super) tasks: Vec<&'t Task>,
}

impl<'t> Place<'t> {
    /// The task that counts: the newest that is to run.
    pub(super) fn current(&self) -> Option<&'t Task> {
        self.tasks.iter().copied().find(|task| is_wanted(task))
    }

    /// Former tasks that failed, the newest first.
    pub(super) fn failed(&self) -> impl Iterator<Item = &'t Task> {
        let current = self.current().and_then(|task| task.id.as_deref());
        let former = self.tasks.iter().copied();
        former.filter(move |task| task.id.as_deref() != current && has_failed(task))
    }
}

impl Seen<'_> {
    /// All places that have or had a task, in the order of their names.
    pub(super) fn places(&self) -> Vec<Place<'_>> {
        let mut places: Vec<Place<'_>> = Vec::new();
        for task in &self.tasks {
            let node = task.node_id.clone().unwrap_or_default();
            let (key, named) = match task.slot.filter(|slot| *slot > 0) {
                Some(slot) => (slot.to_string(), slot.to_string()),
                None => (node.clone(), self.nodes.get(&node).cloned().unwrap_or(node)),
            };
            match places.iter_mut().find(|place| place.key == key) {
                Some(place) => place.tasks.push(task),
                None => places.push(Place {
                    name: format!("{}.{named}", self.swarm.name),
                    key,
                    tasks: vec![task],
                }),
            }
        }
        for place in &mut places {
            let created = |task: &&Task| find::time(task.created_at.as_deref());
            place
                .tasks
                .sort_by_key(|task| std::cmp::Reverse(created(task)));
        }
        places.sort_by(|a, b| find::by_name(&a.name, &b.name));
        places
    }

    /// The places that count: those with a task that is to run, and, where these are too few, the
    /// newest of those whose tasks have ended for good.
    pub(super) fn standing(&self) -> Vec<Place<'_>> {
        let (mut standing, mut ended): (Vec<_>, Vec<_>) = self
            .places()
            .into_iter()
            .partition(|place| place.current().is_some());
        let wanted = self.wanted().unwrap_or(0) as usize;
        ended.sort_by_key(|place| {
            let newest = place.tasks.first().and_then(|task| task.created_at.clone());
            std::cmp::Reverse(newest)
        });
        ended.truncate(wanted.saturating_sub(standing.len()));
        standing.extend(ended);
        standing.sort_by(|a, b| find::by_name(&a.name, &b.name));
        standing
    }

    /// The service in the words of every platform.
    pub(super) fn status(&self) -> ServiceStatus {
        let places = self.standing();
        let replicas: Vec<Replica> = places
            .iter()
            .filter_map(|place| self.replica(place))
            .collect();
        let running = replicas
            .iter()
            .filter(|replica| replica.state == ReplicaState::Running)
            .count();
        let mut facts = vec![match self.wanted() {
            Some(wanted) => format!("desired {wanted}, running {running}"),
            None => format!("one on each node, running {running} of {}", places.len()),
        }];
        let update = self.model.update_status.as_ref();
        let state = update.and_then(|update| update.state);
        if let (Some(state), Some(update)) = (state, update)
            && !matches!(state, Update::COMPLETED | Update::EMPTY)
        {
            let message = update.message.as_deref().unwrap_or_default();
            facts.push(format!("rollout {state}: {message}"));
        }
        ServiceStatus { replicas, facts }
    }

    fn replica(&self, place: &Place<'_>) -> Option<Replica> {
        let task = place.current().or(place.tasks.first().copied())?;
        let status = task.status.clone().unwrap_or_default();
        let at = find::time(status.timestamp.as_deref());
        let state = state(task);
        let ended = matches!(state, ReplicaState::Exited | ReplicaState::Dead);
        let spec = task
            .spec
            .as_ref()
            .and_then(|spec| spec.container_spec.as_ref());
        let health = match (state, status.state) {
            (ReplicaState::Running, Some(TaskState::STARTING)) => Health::Starting,
            // A task whose check fails is ended by Swarm.
            (ReplicaState::Running, _) if spec.is_some_and(|spec| spec.health_check.is_some()) => {
                Health::Healthy
            }
            _ => Health::Unchecked,
        };
        let failed: Vec<&Task> = place.failed().collect();
        let last = if ended {
            Some(task)
        } else {
            failed.first().copied()
        };
        let code = last.and_then(exit_code);
        let note = if state == ReplicaState::Running {
            failed
                .first()
                .map(|task| format!("before: {}", words(task)))
        } else {
            let before = failed.first().filter(|_| !ended);
            let before = before.map_or(String::new(), |task| format!("; before: {}", words(task)));
            Some(format!("{}{before}", words(task)))
        };
        let node = task.node_id.as_ref().map(|id| {
            let name = self.nodes.get(id);
            name.unwrap_or(id).clone()
        });
        let image = spec.and_then(|spec| spec.image.as_deref());
        Some(Replica {
            id: format!("{}.{}", self.id, place.key),
            name: place.name.clone(),
            state,
            health,
            started_at: at.filter(|_| state == ReplicaState::Running),
            finished_at: at.filter(|_| ended),
            restarts: failed.len() as u64,
            exit_code: code.filter(|_| state != ReplicaState::Running),
            // Swarm does not tell.
            oom_killed: false,
            image: shown(image.unwrap_or(image_of(&self.spec)), &self.spec),
            node,
            note,
        })
    }
}

/// Swarm wants it to run.
pub(super) fn is_wanted(task: &Task) -> bool {
    use TaskState as S;
    !matches!(
        task.desired_state,
        Some(S::SHUTDOWN | S::REMOVE | S::COMPLETE | S::FAILED | S::REJECTED | S::ORPHANED)
    )
}

pub(super) fn task_state(task: &Task) -> Option<TaskState> {
    task.status.as_ref().and_then(|status| status.state)
}

pub(super) fn is_running(task: &Task) -> bool {
    task_state(task) == Some(TaskState::RUNNING)
}

/// It ended badly or could not be started.
pub(super) fn has_failed(task: &Task) -> bool {
    matches!(
        task_state(task),
        Some(TaskState::FAILED | TaskState::REJECTED | TaskState::ORPHANED)
    )
}

fn state(task: &Task) -> ReplicaState {
    use TaskState as S;
    match task_state(task) {
        Some(S::RUNNING | S::STARTING) => ReplicaState::Running,
        Some(S::COMPLETE | S::SHUTDOWN | S::FAILED | S::REMOVE) => ReplicaState::Exited,
        Some(S::REJECTED | S::ORPHANED) => ReplicaState::Dead,
        _ => ReplicaState::Created,
    }
}

pub(super) fn exit_code(task: &Task) -> Option<i64> {
    let status = task.status.as_ref()?.container_status.as_ref()?;
    status.exit_code
}

/// What a task is and why: `failed: task: non-zero exit (1)`.
pub(super) fn words(task: &Task) -> String {
    let status = task.status.clone().unwrap_or_default();
    let state = status
        .state
        .as_ref()
        .map_or_else(|| "new".to_owned(), ToString::to_string);
    let why = status.err.filter(|err| !err.is_empty()).or(status.message);
    match why {
        Some(why) if !why.is_empty() && why != state => {
            let why: String = why.chars().take(200).collect();
            format!("{state}: {why}")
        }
        _ => state,
    }
}
