//! Restarting: a rollout of the same, marked with the intent.
//!
//! `kubectl rollout restart` writes a time into the template; so does this, the time of the intent,
//! beside the intent's identity. Written twice it is still one rollout. The identity stands on the
//! workload itself too, where a rollback in between leaves it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::Line;
use super::edit::{edit, member};
use super::find::{self, Place, Seen};
use super::rollout::{self, Goal};
use super::workload::{Workload, resource};
use super::{PLATFORM, pod};
use treasury_domain::service::{Intent, Patience, ReplicaMark, ReplicaOutcome};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// The key of `kubectl rollout restart`.
pub(super) const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The intent that the last restart carried out.
pub(super) const RESTART_ID: &str = "treasury-bot/restart-id";

/// The run and step that it belonged to.
pub(super) const STEP: &str = "treasury-bot/step";

/// Between two requests for an eviction that the disruption budget does not allow yet.
const BUDGET: Duration = Duration::from_secs(1);

/// Restarts the pods in `only`, or rolls all of them out anew.
pub(super) async fn restart(
    line: &Line,
    place: Place<'_>,
    only: Option<&[String]>,
    intent: &Intent,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Seen, PlatformError> {
    let seen = find::look(line, place).await?;
    let goal = Goal {
        old: rollout::ids(&seen.pods),
        patience,
        progress,
        done: &rollout::is_complete,
    };
    let told = is_told(&seen.workload, intent);
    match only {
        Some([]) => {}
        Some(only) if !told && !covers(only, &seen, intent.since) => {
            return one_by_one(line, place, &seen, only, &goal).await;
        }
        _ if told => {}
        _ => roll(line, place, &seen.workload, intent).await?,
    }
    progress.report(0, seen.workload.counts().desired, "rolling out".to_owned());
    rollout::follow(line, place, &goal).await
}

/// The workload carries the mark of this intent.
fn is_told(workload: &Workload, intent: &Intent) -> bool {
    workload.annotation(RESTART_ID) == Some(&intent.id)
}

/// All pods that were there when the intent was recorded are meant.
fn covers(only: &[String], seen: &Seen, since: Timestamp) -> bool {
    seen.living().all(|pod| {
        let made = pod.metadata.creation_timestamp.as_ref();
        only.iter().any(|id| id == pod::uid(pod)) || made.is_some_and(|made| made.0 >= since)
    })
}

/// Tells the controller to make all pods anew.
async fn roll(
    line: &Line,
    place: Place<'_>,
    workload: &Workload,
    intent: &Intent,
) -> Result<(), PlatformError> {
    if let Some(why) = workload.holds_back() {
        return Err(PlatformError::Unsupported(why));
    }
    let api = find::objects(line, place, &resource(place.kind)).await?;
    edit(line, &api, place.name, |object| {
        mark(object, intent);
        Ok(())
    })
    .await?;
    Ok(())
}

/// Puts the marks on, unless they are there already.
fn mark(object: &mut Value, intent: &Intent) {
    let pointer = "/metadata/annotations/treasury-bot~1restart-id";
    if object.pointer(pointer).and_then(Value::as_str) == Some(&intent.id) {
        return;
    }
    let at = intent.since.strftime("%FT%TZ").to_string();
    for path in [
        ["metadata", "annotations"].as_slice(),
        ["spec", "template", "metadata", "annotations"].as_slice(),
    ] {
        let annotations = member(object, path);
        *member(annotations, &[RESTART_ID]) = json!(intent.id);
        match &intent.step {
            Some(step) => *member(annotations, &[STEP]) = json!(step),
            None => {
                if let Some(all) = annotations.as_object_mut() {
                    all.remove(STEP);
                }
            }
        }
    }
    let template = member(object, &["spec", "template", "metadata", "annotations"]);
    *member(template, &[RESTARTED_AT]) = json!(at);
}

/// Has pods removed one after another, as their disruption budget allows; each successor is
/// awaited.
async fn one_by_one(
    line: &Line,
    place: Place<'_>,
    seen: &Seen,
    only: &[String],
    goal: &Goal<'_>,
) -> Result<Seen, PlatformError> {
    let chosen = only.iter().map(|id| {
        let found = seen.living().find(|pod| pod::uid(pod) == id);
        found.ok_or_else(|| PlatformError::NotFound {
            platform: PLATFORM,
            what: format!(
                "the pod {} of {}",
                id.chars().take(13).collect::<String>(),
                place.name
            ),
            hint: "it was removed or replaced meanwhile: ask for the status and restart anew"
                .to_owned(),
        })
    });
    let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    let total = chosen.len() as u32;
    let quiet = ProgressSink::none();
    let mut last = seen.clone();
    for (done, pod) in (0..).zip(chosen) {
        let name = pod::name(pod);
        let tell = |step: &str| goal.progress.report(done, total, format!("{name}: {step}"));
        tell("being replaced");
        evict(line, place, pod, goal.patience, &tell).await?;
        let replaced = |seen: &Seen| {
            seen.living().all(|one| pod::uid(one) != pod::uid(pod))
                && seen.living().count() >= seen.workload.counts().desired as usize
                && seen.living().all(|one| pod::is_ready(one))
        };
        let replaced = Goal {
            old: goal.old.clone(),
            progress: &quiet,
            done: &replaced,
            patience: goal.patience,
        };
        last = rollout::follow(line, place, &replaced).await?;
        let line = format!("{name}: replaced");
        goal.progress.report(done + 1, total, line);
    }
    Ok(last)
}

/// Asks for the removal of exactly this pod until its disruption budget allows it.
async fn evict(
    line: &Line,
    place: Place<'_>,
    pod: &Pod,
    patience: Patience,
    tell: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), PlatformError> {
    let pods = find::pods(line, place).await?;
    let name = pod::name(pod);
    let body = json!({
        "metadata": { "name": name, "namespace": place.namespace },
        "deleteOptions": { "preconditions": { "uid": pod::uid(pod) } },
    });
    let begun = Instant::now();
    loop {
        let params = PostParams::default();
        let call = pods.create_subresource::<Value, Value>("eviction", name, &params, &body);
        let error = match line.call(&format!("the eviction of {name}"), call).await {
            Ok(_) | Err(PlatformError::NotFound { .. }) => return Ok(()),
            Err(error) => error,
        };
        let budget = super::api::code_of(&error) == Some(429);
        if !budget || begun.elapsed() > patience.healthy {
            return Err(error);
        }
        tell("its disruption budget does not allow it yet");
        tokio::time::sleep(BUDGET).await;
    }
}

/// The fate of each mark, in their order.
pub(super) async fn outcome(
    line: &Line,
    place: Place<'_>,
    marks: &[ReplicaMark],
    intent: &Intent,
) -> Result<Vec<ReplicaOutcome>, PlatformError> {
    match find::look(line, place).await {
        Ok(seen) => Ok(outcomes(&seen, marks, intent)),
        Err(PlatformError::NotFound { .. }) => Ok(vec![ReplicaOutcome::Gone; marks.len()]),
        Err(error) => Err(error),
    }
}

fn outcomes(seen: &Seen, marks: &[ReplicaMark], intent: &Intent) -> Vec<ReplicaOutcome> {
    let told = is_told(&seen.workload, intent);
    // What was given up has been told all the same: it is for the caller to hear why.
    let over = seen.workload.is_rolled_out() || rollout::is_given_up(&seen.workload);
    let outcome = |mark: &ReplicaMark| {
        let pod = seen.pods.iter().find(|pod| pod::uid(pod) == mark.id);
        match (told, pod) {
            (false, None) => ReplicaOutcome::Gone,
            (false, Some(pod)) if pod::is_leaving(pod) => ReplicaOutcome::UnderWay,
            (false, Some(_)) => ReplicaOutcome::Untouched,
            (true, Some(pod)) if !over && !pod::is_leaving(pod) => ReplicaOutcome::UnderWay,
            (true, _) => ReplicaOutcome::Restarted,
        }
    };
    marks.iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use treasury_domain::service::WorkloadKind;

    fn intent() -> Intent {
        let mut intent = Intent::new("7-1", "2026-11-27T10:00:00Z".parse().unwrap());
        intent.step = Some("3/restart".into());
        intent
    }

    fn object() -> Value {
        json!({"metadata": {"name": "web", "generation": 1, "resourceVersion": "5"},
               "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "web"}}}},
               "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                          "availableReplicas": 1}})
    }

    fn seen(object: Value, pods: &[(&str, &str)]) -> Seen {
        let pods = pods.iter().map(|(uid, made)| {
            let pod = json!({"metadata": {"name": uid, "uid": uid, "creationTimestamp": made}});
            Arc::new(serde_json::from_value(pod).unwrap())
        });
        Seen {
            workload: Workload {
                kind: WorkloadKind::Deployment,
                object: serde_json::from_value(object).unwrap(),
            },
            pods: pods.collect(),
            scaler: None,
            age: None,
        }
    }

    fn marks() -> Vec<ReplicaMark> {
        let mark = |id: &str| ReplicaMark {
            id: id.into(),
            name: id.into(),
            started_at: None,
        };
        vec![mark("a"), mark("b")]
    }

    #[test]
    fn the_same_intent_marks_once_and_another_one_anew() {
        let mut marked = object();
        mark(&mut marked, &intent());
        let template = marked["spec"]["template"]["metadata"].clone();
        assert_eq!(
            template["annotations"][RESTARTED_AT],
            "2026-11-27T10:00:00Z"
        );
        assert_eq!(template["annotations"][STEP], "3/restart");
        assert_eq!(template["labels"]["app"], "web");
        let once = marked.clone();
        mark(&mut marked, &intent());
        assert_eq!(marked, once);
        // Somebody rolled it back: the workload's own mark stays, so it is not done again.
        marked["spec"] = object()["spec"].clone();
        let undone = marked.clone();
        mark(&mut marked, &intent());
        assert_eq!(marked, undone);

        let other = Intent::new("8-2", "2026-11-27T11:00:00Z".parse().unwrap());
        mark(&mut marked, &other);
        let annotations = &marked["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations[RESTARTED_AT], "2026-11-27T11:00:00Z");
        assert_eq!(annotations[STEP], Value::Null);
    }

    #[test]
    fn the_mark_tells_what_became_of_a_restart() {
        let early = "2026-11-27T09:00:00Z";
        let outcome = |object: &Value, pods: &[(&str, &str)]| {
            outcomes(&seen(object.clone(), pods), &marks(), &intent())
        };
        use ReplicaOutcome::{Gone, Restarted, UnderWay, Untouched};
        let mut now = object();
        assert_eq!(outcome(&now, &[("a", early)]), [Untouched, Gone]);
        mark(&mut now, &intent());
        now["metadata"]["generation"] = 2.into();
        assert_eq!(outcome(&now, &[("a", early)]), [UnderWay, Restarted]);
        now["status"]["observedGeneration"] = 2.into();
        assert_eq!(outcome(&now, &[("c", early)]), [Restarted, Restarted]);
        now["status"]["updatedReplicas"] = 0.into();
        assert_eq!(outcome(&now, &[("a", early)]), [UnderWay, Restarted]);
        now["status"]["conditions"] = json!([{"type": "Progressing", "status": "False",
                                              "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(outcome(&now, &[("a", early)]), [Restarted, Restarted]);
    }

    #[test]
    fn all_pods_of_that_time_are_a_rollout_and_some_are_not() {
        let (early, late) = ("2026-11-27T09:00:00Z", "2026-11-27T10:00:05Z");
        let since = intent().since;
        let now = seen(object(), &[("a", early), ("b", early), ("c", late)]);
        assert!(covers(&["a".into(), "b".into()], &now, since));
        assert!(!covers(&["a".into()], &now, since));
    }
}
