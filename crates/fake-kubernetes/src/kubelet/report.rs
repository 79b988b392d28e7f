//! The status of a pod, as its kubelet writes it.

use serde_json::{Value, json};

use super::life::{Container, Ended, Life, Stage};
use crate::json::{condition, dense, now, seconds, text};

pub fn status(pod: &Value, life: &Life) -> Value {
    let unready: Vec<&str> = life
        .containers
        .iter()
        .filter(|one| !one.ready)
        .map(|one| one.name.as_str())
        .collect();
    let begun = life.containers.iter().all(|one| one.started.is_some());
    let why = format!("containers with unready status: [{}]", unready.join(" "));
    let whole = |kind: &str| {
        if unready.is_empty() {
            part(pod, kind, true, None)
        } else {
            part(pod, kind, false, Some(&why))
        }
    };
    let place = json!(life.address);
    let begun_at = seconds(life.began);
    let host = "192.168.0.10";
    dense(json!({
        "phase": if begun { "Running" } else { "Pending" },
        "qosClass": pod["status"]["qosClass"],
        "hostIP": host, "hostIPs": [{"ip": host}],
        "podIP": if begun { place.clone() } else { Value::Null },
        "podIPs": if begun { json!([{"ip": place}]) } else { Value::Null },
        "startTime": begun_at,
        "conditions": [
            part(pod, "PodReadyToStartContainers", begun, None),
            part(pod, "Initialized", true, None),
            whole("Ready"),
            whole("ContainersReady"),
            part(pod, "PodScheduled", true, None),
        ],
        "containerStatuses": life
            .containers
            .iter()
            .map(|one| container(pod, one))
            .collect::<Vec<_>>(),
    }))
}

fn part(pod: &Value, kind: &str, good: bool, why: Option<&str>) -> Value {
    let word = if good { "True" } else { "False" };
    let before = condition(pod, kind).filter(|one| one["status"] == word);
    let since = before.map_or_else(|| json!(now()), |one| one["lastTransitionTime"].clone());
    let mut part = json!({
        "type": kind, "status": word, "lastProbeTime": null, "lastTransitionTime": since,
    });
    if let Some(why) = why {
        part["reason"] = json!("ContainersNotReady");
        part["message"] = json!(why);
    }
    part
}

fn ended(ended: &Ended) -> Value {
    let reason = match ended.code {
        _ if ended.oom => "OOMKilled",
        0 => "Completed",
        _ => "Error",
    };
    json!({"terminated": {
        "exitCode": ended.code, "reason": reason, "containerID": ended.id,
        "startedAt": seconds(ended.started), "finishedAt": seconds(ended.finished),
    }})
}

fn container(pod: &Value, one: &Container) -> Value {
    let waiting = |reason: &str, message: Option<String>| {
        let mut waiting = json!({"reason": reason});
        if let Some(message) = message {
            waiting["message"] = json!(message);
        }
        json!({"waiting": waiting})
    };
    let last = one.last.as_ref().map(ended);
    let state = match one.stage {
        Stage::Creating => waiting("ContainerCreating", None),
        Stage::Pulling(false) => {
            let message = format!(
                "failed to pull and unpack image \"{}\": not found",
                one.image
            );
            waiting("ErrImagePull", Some(message))
        }
        Stage::Pulling(true) => {
            let message = format!("Back-off pulling image \"{}\"", one.image);
            waiting("ImagePullBackOff", Some(message))
        }
        Stage::Running => json!({"running": {"startedAt": one.started.map(seconds)}}),
        Stage::Ended => last.clone().unwrap_or_default(),
        Stage::BackingOff => {
            let (name, space) = (
                text(pod, "/metadata/name"),
                text(pod, "/metadata/namespace"),
            );
            let message = format!(
                "back-off {}s restarting failed container={} pod={name}_{space}({})",
                one.pause.as_secs().max(1),
                one.name,
                text(pod, "/metadata/uid")
            );
            waiting("CrashLoopBackOff", Some(message))
        }
    };
    // The run that ended is the last one only when there is another one, or a pause.
    let before = last.filter(|_| one.stage != Stage::Ended);
    json!({
        "name": one.name, "image": one.image, "imageID": format!("sha256:{}", digest(&one.image)),
        "ready": one.ready, "started": one.stage == Stage::Running,
        "restartCount": one.restarts, "state": state,
        "lastState": before.unwrap_or_else(|| json!({})),
        "containerID": one.id,
    })
}

fn digest(image: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(image);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
