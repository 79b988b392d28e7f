//! From a pod to a replica.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod,
};

use treasury_domain::service::{Health, Replica, ReplicaState};

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

/// The pod's name.
pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The pod's identifier.
pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// It is being removed.
pub(super) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// It came to its end and is only remembered, as after an eviction by its node.
pub(super) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Failed" | "Succeeded")
}

/// Its condition `Ready` is true.
pub(super) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    let all = pod.status.as_ref()?.conditions.as_deref()?;
    all.iter().find(|condition| condition.type_ == kind)
}

/// The containers that it is made of.
pub(super) fn containers(pod: &Pod) -> &[Container] {
    pod.spec
        .as_ref()
        .map_or(&[], |spec| spec.containers.as_slice())
}

fn statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default()
}

fn init_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default()
}

/// The container that the service is: the one that the pod names, else the one called like the
/// service or its workload, else the first.
pub(super) fn main_container<'a>(pod: &'a Pod, names: &[&str]) -> Option<&'a Container> {
    let all = containers(pod);
    let annotations = pod.metadata.annotations.as_ref();
    let named = annotations.and_then(|all| all.get(DEFAULT_CONTAINER));
    let mut wanted = named
        .map(String::as_str)
        .into_iter()
        .chain(names.iter().copied());
    wanted
        .find_map(|name| all.iter().find(|one| one.name == name))
        .or_else(|| all.first())
}

/// The replica that a pod is; `names` are the service's and the workload's.
pub(super) fn replica(pod: &Pod, names: &[&str], now: Timestamp) -> Replica {
    let main = main_container(pod, names);
    let status = main.and_then(|main| statuses(pod).iter().find(|one| one.name == main.name));
    let state = status.and_then(|status| status.state.as_ref());
    let last = status.and_then(|status| status.last_state.as_ref());
    let running = state.and_then(|state| state.running.as_ref());
    let ended = terminated(state).or_else(|| terminated(last));
    let doing = doing(pod, state);
    let is_running = doing == ReplicaState::Running;
    Replica {
        id: uid(pod).to_owned(),
        name: name(pod).to_owned(),
        state: doing,
        health: health(pod, main, status, now),
        started_at: running
            .and_then(|running| running.started_at.as_ref())
            .or_else(|| ended.and_then(|ended| ended.started_at.as_ref()))
            .map(|time| time.0),
        finished_at: ended
            .filter(|_| !is_running)
            .and_then(|ended| ended.finished_at.as_ref())
            .map(|time| time.0),
        restarts: statuses(pod)
            .iter()
            .map(|one| u64::try_from(one.restart_count).unwrap_or(0))
            .sum(),
        exit_code: ended
            .filter(|_| !is_running)
            .map(|ended| i64::from(ended.exit_code)),
        oom_killed: ended.is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled")),
        image: main
            .and_then(|main| main.image.clone())
            .or_else(|| status.map(|status| status.image.clone()))
            .unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        note: note(pod, now),
    }
}

fn terminated(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref()
}

fn doing(pod: &Pod, state: Option<&ContainerState>) -> ReplicaState {
    match phase(pod) {
        "Failed" | "Succeeded" => return ReplicaState::Exited,
        "Unknown" => return ReplicaState::Dead,
        _ => {}
    }
    let Some(state) = state else {
        return ReplicaState::Created;
    };
    let never = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref())
        == Some("Never");
    if state.running.is_some() {
        ReplicaState::Running
    } else if state.terminated.is_some() {
        if never {
            ReplicaState::Exited
        } else {
            ReplicaState::Restarting
        }
    } else {
        let reason = state
            .waiting
            .as_ref()
            .and_then(|waiting| waiting.reason.as_deref());
        match reason {
            Some("CrashLoopBackOff") => ReplicaState::Restarting,
            _ => ReplicaState::Created,
        }
    }
}

fn health(
    pod: &Pod,
    main: Option<&Container>,
    status: Option<&ContainerStatus>,
    now: Timestamp,
) -> Health {
    let probed = containers(pod)
        .iter()
        .any(|one| one.readiness_probe.is_some() || one.startup_probe.is_some());
    if is_ready(pod) {
        return if probed {
            Health::Healthy
        } else {
            Health::Unchecked
        };
    }
    let running = status
        .and_then(|status| status.state.as_ref())
        .and_then(|state| state.running.as_ref());
    let Some(running) = running else {
        return Health::Starting;
    };
    if status.and_then(|status| status.started) == Some(false) {
        return Health::Starting;
    }
    let probe = main.and_then(|main| main.readiness_probe.as_ref());
    let grace = probe.map_or(STARTING, |probe| {
        let delay = i64::from(probe.initial_delay_seconds.unwrap_or(0));
        let period = i64::from(probe.period_seconds.unwrap_or(10));
        delay + period * i64::from(probe.failure_threshold.unwrap_or(3))
    });
    let age = running
        .started_at
        .as_ref()
        .map(|start| now.duration_since(start.0));
    if age.is_some_and(|age| age < SignedDuration::from_secs(grace)) {
        Health::Starting
    } else {
        Health::Unhealthy
    }
}

/// What keeps a pod from running that will not pass by itself soon, with what is known of it.
pub(super) fn stuck(pod: &Pod) -> Option<String> {
    let mut all = init_statuses(pod).iter().chain(statuses(pod));
    all.find_map(|one| {
        let waiting = one.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if !STUCK.contains(&reason) {
            return None;
        }
        let mut text = reason.to_owned();
        if let Some(ended) = terminated(one.last_state.as_ref()) {
            text.push_str(&format!(", last end: {}", end_text(ended)));
        } else if let Some(message) = &waiting.message {
            text.push_str(&format!(": {}", clipped(message)));
        }
        if containers(pod).len() > 1 {
            text.push_str(&format!(" (container {})", one.name));
        }
        Some(text)
    })
}

/// How often the container that ended most often did.
pub(super) fn crashes(pod: &Pod) -> i32 {
    let all = init_statuses(pod).iter().chain(statuses(pod));
    all.map(|one| one.restart_count).max().unwrap_or(0)
}

/// What ails a pod, or ailed it lately; `None` where there is nothing to say.
fn note(pod: &Pod, now: Timestamp) -> Option<String> {
    if is_leaving(pod) {
        return Some("terminating".to_owned());
    }
    if let Some(stuck) = stuck(pod) {
        return Some(stuck);
    }
    let status = pod.status.as_ref();
    if is_over(pod) {
        let reason = status.and_then(|status| status.reason.clone());
        return Some(reason.unwrap_or_else(|| phase(pod).to_owned()));
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|one| one.status == "False");
    if let Some(condition) = unscheduled {
        let reason = condition.reason.as_deref().unwrap_or("not scheduled");
        let message = condition.message.as_deref().unwrap_or_default();
        return Some(clipped(&format!("{reason}: {message}")));
    }
    let mut unready = statuses(pod).iter().filter(|one| !one.ready);
    let ended = statuses(pod)
        .iter()
        .find_map(|one| terminated(one.last_state.as_ref()));
    let last = ended.and_then(|ended| {
        let at = ended.finished_at.as_ref()?;
        let ago = now.duration_since(at.0);
        // What is long over explains nothing now; the count of restarts still tells of it.
        (ago < SignedDuration::from_hours(1)).then(|| {
            let ago = treasury_domain::duration::between(at.0, now);
            format!(
                "last end: {} {} ago",
                end_text(ended),
                treasury_domain::duration::text(ago)
            )
        })
    });
    if last.is_none() && containers(pod).len() > 1 && phase(pod) == "Running" {
        return unready
            .next()
            .map(|one| format!("container {} is not ready", one.name));
    }
    last
}

/// `OOMKilled (exit code 137)`.
fn end_text(ended: &ContainerStateTerminated) -> String {
    match ended.reason.as_deref() {
        Some("Error" | "") | None => format!("exit code {}", ended.exit_code),
        Some("Completed") => "completed".to_owned(),
        Some(reason) => format!("{reason} (exit code {})", ended.exit_code),
    }
}

fn clipped(text: &str) -> String {
    treasury_domain::timeline::cut(&treasury_ports::text::clean(text), 200)
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
        replica(&pod(state, last, more), &["shop", "web"], now())
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
