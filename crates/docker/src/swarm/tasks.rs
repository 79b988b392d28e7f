//! Tasks: each slot of a service (a number, or a machine) has one that counts, and former ones.

use std::cmp::Reverse;

use bollard::models::{Task, TaskState};

use super::snapshot::Snapshot;
use super::spec::{image_of, shown};
use crate::engine::container::time;
use treasury_domain::service::{Health, Replica, ReplicaState, ServiceStatus};
use treasury_ports::text::by_name;

/// A slot of a service.
pub struct Slot<'t> {
    /// The number of the replica, or the id of the machine where there is one on each.
    pub key: String,
    /// Such as `treasury_web.2`.
    pub name: String,
    /// The newest first; never empty.
    pub tasks: Vec<&'t Task>,
}

impl<'t> Slot<'t> {
    /// The task that counts: the newest that is to run.
    pub fn current(&self) -> Option<&'t Task> {
        self.tasks.iter().copied().find(|task| is_wanted(task))
    }

    /// The tasks before one of them, and those after it; each the newest first.
    pub fn around(&self, task: &Task) -> (&[&'t Task], &[&'t Task]) {
        let mut tasks = self.tasks.iter();
        let at = tasks.position(|one| one.id == task.id).unwrap_or(0);
        let former = self.tasks.get(at + 1..).unwrap_or_default();
        (former, &self.tasks[..at])
    }
}

impl Snapshot<'_> {
    /// All slots that have or had a task, in the order of their names.
    pub fn slots(&self) -> Vec<Slot<'_>> {
        let mut slots: Vec<Slot<'_>> = Vec::new();
        for task in &self.tasks {
            let node = task.node_id.clone().unwrap_or_default();
            let (key, named) = match task.slot.filter(|slot| *slot > 0) {
                Some(slot) => (slot.to_string(), slot.to_string()),
                None => {
                    let named = self.nodes.get(&node).map(|node| node.name.clone());
                    (node.clone(), named.unwrap_or(node))
                }
            };
            match slots.iter_mut().find(|slot| slot.key == key) {
                Some(slot) => slot.tasks.push(task),
                None => slots.push(Slot {
                    name: format!("{}.{named}", self.service.name),
                    key,
                    tasks: vec![task],
                }),
            }
        }
        let created = |task: &&Task| Reverse(time(task.created_at.as_deref()));
        for slot in &mut slots {
            slot.tasks.sort_by_key(created);
        }
        slots.sort_by(|a, b| by_name(&a.name, &b.name));
        slots
    }

    /// The task that serves: while a new one is not running yet, that is the one before it, if
    /// Swarm lets it run on. Where none runs, the newest that is to run, or that has ended.
    pub fn serving<'t>(&self, slot: &Slot<'t>) -> Option<&'t Task> {
        let mut tasks = slot.tasks.iter().copied();
        let runs = tasks.find(|task| is_wanted(task) && self.runs(task));
        runs.or(slot.current()).or(slot.tasks.first().copied())
    }

    /// It runs, on a machine that answers.
    pub fn runs(&self, task: &Task) -> bool {
        is_running(task) && !self.is_lost(task)
    }

    /// The slots that count: those with a task that is to run, and, where these are too few, the
    /// newest of those whose tasks have ended for good.
    pub fn live_slots(&self) -> Vec<Slot<'_>> {
        let slots = self.slots().into_iter();
        let (mut live, mut ended): (Vec<_>, Vec<_>) =
            slots.partition(|slot| slot.current().is_some());
        let wanted = self.desired().unwrap_or(0) as usize;
        ended.sort_by_key(|slot| {
            let newest = slot.tasks.first().and_then(|task| task.created_at.clone());
            Reverse(newest)
        });
        ended.truncate(wanted.saturating_sub(live.len()));
        live.extend(ended);
        live.sort_by(|a, b| by_name(&a.name, &b.name));
        live
    }

    /// The service in the words of every platform.
    pub fn status(&self) -> ServiceStatus {
        let mut slots = self.live_slots();
        if self.desired().is_none() {
            // Of each machine that is lost, Swarm no longer wants a task.
            let lost = self.slots().into_iter().filter(|slot| {
                let newest = slot.tasks.first();
                slot.current().is_none() && newest.is_some_and(|task| self.is_left(task))
            });
            slots.extend(lost);
            slots.sort_by(|a, b| by_name(&a.name, &b.name));
        }
        let replicas: Vec<Replica> = slots.iter().filter_map(|slot| self.replica(slot)).collect();
        let runs = |replica: &&Replica| replica.state == ReplicaState::Running;
        let running = replicas.iter().filter(runs).count();
        let mut facts = vec![match self.desired() {
            Some(wanted) => format!("desired {wanted}, running {running}"),
            None => format!("one on each node, running {running} of {}", slots.len()),
        }];
        facts.extend(self.rollout_fact());
        facts.extend(self.closed_nodes());
        ServiceStatus {
            scaled_to_none: replicas.is_empty() && self.desired() == Some(0),
            replicas,
            facts,
            warnings: self.lost_nodes(),
        }
    }

    /// The description that the task was made by has a health check; bollard's models know it by
    /// another name than the engine (20.10.24: `Healthcheck`).
    fn is_checked(&self, task: &Task) -> bool {
        let spec = if self.is_fresh(task) {
            &self.spec
        } else {
            &self.previous
        };
        let check = &spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"];
        check["Test"]
            .as_array()
            .is_some_and(|test| test.first().is_some_and(|first| first != "NONE"))
    }

    fn replica(&self, slot: &Slot<'_>) -> Option<Replica> {
        let task = self.serving(slot)?;
        let status = task.status.clone().unwrap_or_default();
        let at = time(status.timestamp.as_deref());
        let state = if self.is_left(task) {
            ReplicaState::Unknown
        } else {
            state(task)
        };
        let ended = matches!(state, ReplicaState::Exited | ReplicaState::Dead);
        let health = match (state, status.state) {
            (ReplicaState::Running, Some(TaskState::STARTING)) => Health::Starting,
            // A task whose check fails is ended by Swarm.
            (ReplicaState::Running, _) if self.is_checked(task) => Health::Healthy,
            _ => Health::Unchecked,
        };
        let (former, newer) = slot.around(task);
        // A newer one of another description was called off.
        let is_new = |task: &&Task| is_wanted(task) || (has_failed(task) && self.is_fresh(task));
        let new = newer.iter().copied().find(is_new);
        let others = newer.iter().chain(former).copied();
        let failed = || others.clone().filter(|task| has_failed(task));
        let restarts = failed().count() as u64;
        let before = failed().find(|task| new.is_none_or(|new| new.id != task.id));
        let last = if ended { Some(task) } else { before };
        let exit_code = last.and_then(exit_code);
        let mut notes = Vec::new();
        if let Some(new) = new {
            notes.push(format!("new task {}", self.described(new)));
        }
        match (state, self.node(task)) {
            (ReplicaState::Running, _) => {}
            (ReplicaState::Unknown, Some(node)) => {
                let lost = node.lost().unwrap_or_default();
                notes.push(format!("{} is {lost}", node.name));
            }
            _ => notes.push(describe(task)),
        }
        if let Some(before) = before.filter(|_| !ended) {
            notes.push(format!("before: {}", describe(before)));
        }
        let node = self.node(task).map(|node| node.name.clone());
        let node = node.or(task.node_id.clone());
        Some(Replica {
            id: format!("{}.{}", self.id, slot.key),
            name: slot.name.clone(),
            state,
            health,
            started_at: at.filter(|_| state == ReplicaState::Running),
            finished_at: at.filter(|_| ended),
            restarts,
            exit_code: exit_code.filter(|_| state != ReplicaState::Running),
            // Swarm does not tell.
            oom_killed: false,
            memory_limit_bytes: task_memory_limit(task),
            image: shown(task_image(task).unwrap_or(image_of(&self.spec)), &self.spec),
            node,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        })
    }
}

fn task_memory_limit(task: &Task) -> Option<u64> {
    let resources = task.spec.as_ref()?.resources.as_ref()?;
    resources.limits.as_ref()?.memory_bytes?.try_into().ok()
}

/// The image that a task is made of.
pub fn task_image(task: &Task) -> Option<&str> {
    let spec = task.spec.as_ref()?.container_spec.as_ref()?;
    spec.image.as_deref()
}

/// Swarm wants it to run.
pub fn is_wanted(task: &Task) -> bool {
    !is_end(task.desired_state)
}

/// Nothing comes after it.
fn is_end(state: Option<TaskState>) -> bool {
    use TaskState as S;
    matches!(
        state,
        Some(S::SHUTDOWN | S::REMOVE | S::COMPLETE | S::FAILED | S::REJECTED | S::ORPHANED)
    )
}

pub fn task_state(task: &Task) -> Option<TaskState> {
    task.status.as_ref().and_then(|status| status.state)
}

pub fn is_running(task: &Task) -> bool {
    task_state(task) == Some(TaskState::RUNNING)
}

/// It ended badly or could not be started.
pub fn has_failed(task: &Task) -> bool {
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

/// It has come to its end, and its machine has said so.
pub fn is_over(task: &Task) -> bool {
    is_end(task_state(task))
}

/// What Swarm complains of.
pub fn error(task: &Task) -> Option<&str> {
    let error = task.status.as_ref()?.err.as_deref();
    error.filter(|error| !error.is_empty())
}

/// Why it does not come to run, where Swarm names a reason: no machine fits, no image.
pub fn hindered(task: &Task) -> bool {
    use TaskState as S;
    let starts = matches!(
        task_state(task),
        Some(S::NEW | S::ALLOCATED | S::PENDING | S::ASSIGNED | S::ACCEPTED | S::PREPARING)
    );
    starts && error(task).is_some()
}

/// Its exit code; none of a task that never had a container.
pub fn exit_code(task: &Task) -> Option<i64> {
    container(task)?;
    let status = task.status.as_ref()?.container_status.as_ref()?;
    status.exit_code
}

/// The container that a task has or had.
pub fn container(task: &Task) -> Option<&str> {
    let status = task.status.as_ref()?.container_status.as_ref()?;
    status.container_id.as_deref().filter(|id| !id.is_empty())
}

/// What a task is and why: `failed: task: non-zero exit (1)`.
pub fn describe(task: &Task) -> String {
    let status = task.status.clone().unwrap_or_default();
    let state = status.state.map(|state| state.to_string());
    let state = state.unwrap_or_else(|| "new".to_owned());
    let why = status.err.filter(|err| !err.is_empty()).or(status.message);
    match why {
        Some(why) if !why.is_empty() && why != state => {
            let why: String = why.chars().take(200).collect();
            format!("{state}: {why}")
        }
        _ => state,
    }
}

/// Its exit code, to be put behind a sentence; nothing where there is none or it is 0.
pub fn exit_code_words(task: &Task) -> String {
    match exit_code(task) {
        None | Some(0) => String::new(),
        Some(code) => format!(", exit code {code}"),
    }
}
