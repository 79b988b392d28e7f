//! From a pod to a replica.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Object;
use crate::object::{Condition, or_default};
use crate::stats::memory_limit;
use treasury_domain::duration;
use treasury_domain::service::{Health, Replica, ReplicaState};
use treasury_ports::text::shown;

/// The annotation by which a pod names its main container, for `kubectl logs` too.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Without a start-up time of its own a readiness probe may fail so long until it counts.
const STARTING: i64 = 30;

/// Why a container waits, where the platform will not get over it by itself soon.
const STUCK: [&str; 9] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ErrInvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
];

pub(crate) type Pod = Object<PodSpec, PodStatus>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    node_name: Option<String>,
    restart_policy: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) name: String,
    image: Option<String>,
    pub(crate) resources: Resources,
    readiness_probe: Option<Probe>,
    startup_probe: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    /// Quantities, such as `128Mi`.
    #[serde(deserialize_with = "or_default")]
    pub(crate) limits: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Probe {
    initial_delay_seconds: i64,
    period_seconds: Option<i64>,
    failure_threshold: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    phase: Option<String>,
    reason: Option<String>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    image: String,
    ready: bool,
    started: Option<bool>,
    restart_count: u32,
    state: ContainerState,
    last_state: ContainerState,
}

/// At most one of these is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    running: Option<StateDetail>,
    waiting: Option<StateDetail>,
    terminated: Option<StateDetail>,
}

/// What is told of a state; each tells a part of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StateDetail {
    reason: String,
    message: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    exit_code: i32,
}

impl Pod {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(crate) fn uid(&self) -> &str {
        &self.metadata.uid
    }

    /// It is being removed.
    pub(crate) fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// It came to its end and is only remembered, as after an eviction by its node.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase(), "Failed" | "Succeeded")
    }

    /// Its condition `Ready` is true.
    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(Condition::holds)
    }

    fn phase(&self) -> &str {
        self.status.phase.as_deref().unwrap_or("Pending")
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        let mut all = self.status.conditions.iter();
        all.find(|condition| condition.kind == kind)
    }

    /// The states of all containers, those first that run before the others.
    fn all_statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = &self.status;
        let first = status.init_container_statuses.iter();
        first.chain(&status.container_statuses)
    }

    /// The container that the service is: the one that the pod names, else the one called like the
    /// service or its workload, else the first.
    pub(crate) fn main_container(&self, names: &[&str]) -> Option<&Container> {
        let all = &self.spec.containers;
        let named = self.metadata.annotations.get(DEFAULT_CONTAINER);
        let named = named.map(String::as_str).into_iter();
        let mut wanted = named.chain(names.iter().copied());
        wanted
            .find_map(|name| all.iter().find(|one| one.name == name))
            .or_else(|| all.first())
    }

    /// The replica that a pod is; `names` are the service's and the workload's.
    pub(crate) fn replica(&self, names: &[&str], now: Timestamp) -> Replica {
        let main = self.main_container(names);
        let statuses = &self.status.container_statuses;
        let status = main.and_then(|main| statuses.iter().find(|one| one.name == main.name));
        let running = status.and_then(|status| status.state.running.as_ref());
        let ended = status.and_then(|status| {
            let now = status.state.terminated.as_ref();
            now.or(status.last_state.terminated.as_ref())
        });
        let state = self.replica_state(status.map(|status| &status.state));
        let over = ended.filter(|_| state != ReplicaState::Running);
        Replica {
            id: self.uid().to_owned(),
            name: self.name().to_owned(),
            state,
            health: self.health(main, status, now),
            started_at: running
                .and_then(|running| running.started_at)
                .or_else(|| ended.and_then(|ended| ended.started_at)),
            finished_at: over.and_then(|ended| ended.finished_at),
            restarts: statuses
                .iter()
                .map(|one| u64::from(one.restart_count))
                .sum(),
            exit_code: over.map(|ended| i64::from(ended.exit_code)),
            oom_killed: ended.is_some_and(|ended| ended.reason == "OOMKilled"),
            memory_limit_bytes: memory_limit(self),
            image: main
                .and_then(|main| main.image.clone())
                .or_else(|| status.map(|status| status.image.clone()))
                .unwrap_or_default(),
            node: self.spec.node_name.clone(),
            note: self.note(now),
        }
    }

    fn replica_state(&self, state: Option<&ContainerState>) -> ReplicaState {
        match self.phase() {
            "Failed" | "Succeeded" => return ReplicaState::Exited,
            "Unknown" => return ReplicaState::Unknown,
            _ => {}
        }
        let Some(state) = state else {
            return ReplicaState::Created;
        };
        let waits_for = state
            .waiting
            .as_ref()
            .map(|waiting| waiting.reason.as_str());
        if state.running.is_some() {
            ReplicaState::Running
        } else if state.terminated.is_some() && self.spec.restart_policy == "Never" {
            ReplicaState::Exited
        } else if state.terminated.is_some() || waits_for == Some("CrashLoopBackOff") {
            ReplicaState::Restarting
        } else {
            ReplicaState::Created
        }
    }

    fn health(
        &self,
        main: Option<&Container>,
        status: Option<&ContainerStatus>,
        now: Timestamp,
    ) -> Health {
        if self.is_ready() {
            let mut all = self.spec.containers.iter();
            let probed =
                all.any(|one| one.readiness_probe.is_some() || one.startup_probe.is_some());
            return if probed {
                Health::Healthy
            } else {
                Health::Unchecked
            };
        }
        let started = status.filter(|status| status.started != Some(false));
        let Some(running) = started.and_then(|status| status.state.running.as_ref()) else {
            return Health::Starting;
        };
        let probe = main.and_then(|main| main.readiness_probe.as_ref());
        let grace = probe.map_or(STARTING, |probe| {
            let period = probe.period_seconds.unwrap_or(10);
            probe.initial_delay_seconds + period * probe.failure_threshold.unwrap_or(3)
        });
        let age = running.started_at.map(|start| now.duration_since(start));
        if age.is_some_and(|age| age < SignedDuration::from_secs(grace)) {
            Health::Starting
        } else {
            Health::Unhealthy
        }
    }

    /// What keeps a pod from running that will not pass by itself soon, with what is known of it.
    pub(crate) fn stuck(&self) -> Option<String> {
        self.all_statuses().find_map(|one| {
            let waiting = one.state.waiting.as_ref()?;
            let reason = waiting.reason.as_str();
            if !STUCK.contains(&reason) {
                return None;
            }
            let mut text = reason.to_owned();
            if let Some(ended) = &one.last_state.terminated {
                text.push_str(&format!(", last end: {}", end_text(ended)));
            } else if let Some(message) = &waiting.message {
                text.push_str(&format!(": {}", shown(message, 200)));
            }
            if self.spec.containers.len() > 1 {
                text.push_str(&format!(" (container {})", one.name));
            }
            Some(text)
        })
    }

    /// How often the container that ended most often did.
    pub(crate) fn crashes(&self) -> u32 {
        let all = self.all_statuses().map(|one| one.restart_count);
        all.max().unwrap_or(0)
    }

    /// What ails a pod, or ailed it lately; `None` where there is nothing to say.
    fn note(&self, now: Timestamp) -> Option<String> {
        if self.is_leaving() {
            return Some("terminating".to_owned());
        }
        if let Some(stuck) = self.stuck() {
            return Some(stuck);
        }
        if self.is_over() {
            let reason = self.status.reason.clone();
            return Some(reason.unwrap_or_else(|| self.phase().to_owned()));
        }
        if let Some(condition) = self.condition("PodScheduled").filter(|one| one.fails()) {
            return Some(condition.words("not scheduled", 200));
        }
        let statuses = &self.status.container_statuses;
        let mut ended = statuses
            .iter()
            .filter_map(|one| one.last_state.terminated.as_ref());
        let last = ended.next().and_then(|ended| {
            let at = ended.finished_at?;
            // What is long over explains nothing now; the count of restarts still tells of it.
            (now.duration_since(at) < SignedDuration::from_hours(1)).then(|| {
                let ago = duration::text(duration::between(at, now));
                format!("last end: {} {ago} ago", end_text(ended))
            })
        });
        if last.is_none() && self.spec.containers.len() > 1 && self.phase() == "Running" {
            let unready = statuses.iter().find(|one| !one.ready);
            return unready.map(|one| format!("container {} is not ready", one.name));
        }
        last
    }
}

/// `OOMKilled (exit code 137)`.
fn end_text(ended: &StateDetail) -> String {
    match ended.reason.as_str() {
        "Error" | "" => format!("exit code {}", ended.exit_code),
        "Completed" => "completed".to_owned(),
        reason => format!("{reason} (exit code {})", ended.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-27T10:00:00Z".parse().unwrap()
    }

    fn pod(state: Value, last: Value, more: Value) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "web-1", "uid": "u1"},
            "spec": {"nodeName": "n1", "containers": [
                {"name": "proxy", "image": "envoy:1"},
                {"name": "web", "image": "web:2", "readinessProbe": {"periodSeconds": 10}}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "web", "ready": true, "restartCount": 3, "state": state, "lastState": last}]},
        });
        let status = pod["status"].as_object_mut().unwrap();
        status.extend(more.as_object().unwrap().clone());
        serde_json::from_value(pod).unwrap()
    }

    fn seen(state: Value, last: Value, more: Value) -> Replica {
        pod(state, last, more).replica(&["shop", "web"], now())
    }

    #[test]
    fn a_pod_that_is_ready_is_a_healthy_replica() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let started = json!({"running": {"startedAt": "2026-11-27T09:00:00Z"}});
        let one = seen(started, json!({}), ready);
        assert!(one.is_well());
        assert_eq!((one.health, one.restarts), (Health::Healthy, 3));
        assert_eq!(one.image, "web:2", "the container named like the workload");
        assert_eq!(one.node.as_deref(), Some("n1"));
        assert_eq!(one.note, None);
    }

    #[test]
    fn a_crash_loop_tells_how_the_last_run_ended() {
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let last = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled",
                                         "finishedAt": "2026-11-27T09:58:00Z"}});
        let one = seen(waiting, last, json!({}));
        assert_eq!(one.state, ReplicaState::Restarting);
        assert!(one.oom_killed && one.exit_code == Some(137));
        assert_eq!(
            one.note.as_deref(),
            Some("CrashLoopBackOff, last end: OOMKilled (exit code 137) (container web)")
        );
    }

    #[test]
    fn an_image_that_can_not_be_pulled_tells_why() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        let one = seen(waiting, json!({}), json!({"phase": "Pending"}));
        assert_eq!(one.state, ReplicaState::Created);
        assert!(one.note.unwrap().starts_with("ImagePullBackOff: not found"));
    }

    #[test]
    fn a_pod_that_is_not_ready_is_starting_and_then_unhealthy() {
        let health = |at: &str| {
            let state = json!({"running": {"startedAt": at}});
            seen(state, json!({}), json!({})).health
        };
        assert_eq!(health("2026-11-27T09:59:45Z"), Health::Starting);
        assert_eq!(health("2026-11-27T09:59:15Z"), Health::Unhealthy);
    }

    #[test]
    fn a_pod_without_a_machine_says_what_is_missing() {
        let more = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: memory"}]});
        let one = seen(json!({}), json!({}), more);
        assert_eq!(
            one.note.as_deref(),
            Some("Unschedulable: 0/3 nodes: memory")
        );
    }
}
