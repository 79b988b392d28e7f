//! Restarting: a rollout of the same, marked with the intent.
//!
//! `kubectl rollout restart` writes a time into the template; so does this, the time of the intent,
//! beside the intent's identity. Written twice it is still one rollout. The identity stands on the
//! workload itself too, where a rollback in between leaves it.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::PostParams;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::edit::{edit, member, remove};
use crate::rollout::Goal;
use crate::template::{RESTART_ID, RESTARTED_AT, STEP};
use crate::{Kind, Pod, Result, Scope, Snapshot, Workload, code_of, not_found, rollout, snapshot};
use treasury_domain::service::{Intent, Patience, ReplicaMark, ReplicaOutcome};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Between two requests for an eviction that the disruption budget does not allow yet.
const BUDGET: Duration = Duration::from_secs(1);

/// Restarts the pods in `only`, or rolls all of them out anew.
pub(crate) async fn restart(
    scope: Scope<'_>,
    only: Option<&[String]>,
    intent: &Intent,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Snapshot> {
    let seen = snapshot::take(scope).await?;
    let goal = Goal::complete(&seen, patience, progress);
    match only {
        _ if is_marked(&seen.workload, intent) => {}
        Some([]) => {}
        Some(only) if !covers(only, &seen, intent.since) => {
            return one_by_one(scope, &seen, only, &goal).await;
        }
        _ => roll(scope, &seen.workload, intent).await?,
    }
    progress.report(0, seen.desired(), "rolling out");
    rollout::follow(scope, &goal).await
}

/// The workload carries the mark of this intent.
fn is_marked(workload: &Workload, intent: &Intent) -> bool {
    workload.annotation(RESTART_ID) == Some(&intent.id)
}

/// All pods that were there when the intent was recorded are meant.
fn covers(only: &[String], seen: &Snapshot, since: Timestamp) -> bool {
    seen.living().all(|pod| {
        let made = pod.metadata.creation_timestamp;
        only.iter().any(|id| id == pod.uid()) || made.is_some_and(|made| made >= since)
    })
}

/// Has the controller make all pods anew.
async fn roll(scope: Scope<'_>, workload: &Workload, intent: &Intent) -> Result<()> {
    if let Some(why) = workload.holds_back() {
        return Err(PlatformError::Unsupported(why));
    }
    let mark = &mut |object: &mut Value| mark(object, intent);
    edit(&scope.workloads(), scope.target.name, mark).await
}

/// Puts the marks on, unless they are there already.
fn mark(object: &mut Value, intent: &Intent) {
    if object["metadata"]["annotations"][RESTART_ID] == intent.id {
        return;
    }
    for path in [
        ["metadata", "annotations"].as_slice(),
        ["spec", "template", "metadata", "annotations"].as_slice(),
    ] {
        let annotations = member(object, path);
        *member(annotations, &[RESTART_ID]) = json!(intent.id);
        match &intent.step {
            Some(step) => *member(annotations, &[STEP]) = json!(step),
            None => remove(annotations, &[], STEP),
        }
    }
    let at = intent.since.strftime("%FT%TZ").to_string();
    *member(
        object,
        &["spec", "template", "metadata", "annotations", RESTARTED_AT],
    ) = json!(at);
}

/// Has pods removed one after another, as their disruption budget allows; each successor is
/// awaited.
async fn one_by_one(
    scope: Scope<'_>,
    seen: &Snapshot,
    only: &[String],
    goal: &Goal<'_>,
) -> Result<Snapshot> {
    let chosen = only.iter().map(|id| {
        let found = seen.living().find(|pod| pod.uid() == id);
        found.ok_or_else(|| {
            let id: String = id.chars().take(13).collect();
            not_found(
                format!("the pod {id} of {}", scope.target.name),
                "it was removed or replaced meanwhile: ask for the status and restart anew".into(),
            )
        })
    });
    let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    let total = chosen.len() as u32;
    let quiet = ProgressSink::none();
    let mut last = seen.clone();
    for (done, pod) in (0..).zip(chosen) {
        let name = pod.name();
        let report = |step: &str| goal.progress.report(done, total, format!("{name}: {step}"));
        report("being replaced");
        evict(scope, pod, goal.patience, &report).await?;
        let replaced = Goal {
            old: goal.old.clone(),
            progress: &quiet,
            patience: goal.patience,
            is_reached: &|seen| {
                seen.living().all(|one| one.uid() != pod.uid())
                    && seen.living().count() >= seen.desired() as usize
                    && seen.is_ready()
            },
        };
        last = rollout::follow(scope, &replaced).await?;
        goal.progress
            .report(done + 1, total, format!("{name}: replaced"));
    }
    Ok(last)
}

/// Asks for the removal of exactly this pod until its disruption budget allows it.
async fn evict(
    scope: Scope<'_>,
    pod: &Pod,
    patience: Patience,
    report: &(dyn Fn(&str) + Send + Sync),
) -> Result<()> {
    let pods = scope.all(Kind::POD);
    let name = pod.name();
    let body = json!({
        "metadata": { "name": name, "namespace": scope.target.namespace },
        "deleteOptions": { "preconditions": { "uid": pod.uid() } },
    });
    let begun = Instant::now();
    loop {
        let (params, body) = (PostParams::default(), body.to_string().into_bytes());
        let request = pods
            .request
            .create_subresource("eviction", name, &params, body);
        let what = format!("the eviction of {name}");
        let error = match pods.send::<IgnoredAny>(&what, request).await {
            Ok(_) | Err(PlatformError::NotFound { .. }) => return Ok(()),
            Err(error) => error,
        };
        // 429: the budget.
        if code_of(&error) != Some(429) || begun.elapsed() > patience.healthy {
            return Err(error);
        }
        report("its disruption budget does not allow it yet");
        tokio::time::sleep(BUDGET).await;
    }
}

/// The outcome of each mark, in their order.
pub(crate) async fn outcome(
    scope: Scope<'_>,
    marks: &[ReplicaMark],
    intent: &Intent,
) -> Result<Vec<ReplicaOutcome>> {
    match snapshot::take(scope).await {
        Ok(seen) => Ok(outcomes(&seen, marks, intent)),
        Err(PlatformError::NotFound { .. }) => Ok(vec![ReplicaOutcome::Gone; marks.len()]),
        Err(error) => Err(error),
    }
}

fn outcomes(seen: &Snapshot, marks: &[ReplicaMark], intent: &Intent) -> Vec<ReplicaOutcome> {
    let marked = is_marked(&seen.workload, intent);
    // What was given up has been rolled out all the same: it is for the caller to hear why.
    let over = seen.workload.is_rolled_out() || rollout::given_up(&seen.workload).is_some();
    let outcome = |mark: &ReplicaMark| {
        let pod = seen.pods.iter().find(|pod| pod.uid() == mark.id);
        match (marked, pod) {
            (false, None) => ReplicaOutcome::Gone,
            (false, Some(pod)) if pod.is_leaving() => ReplicaOutcome::UnderWay,
            (false, Some(_)) => ReplicaOutcome::Untouched,
            (true, Some(pod)) if !over && !pod.is_leaving() => ReplicaOutcome::UnderWay,
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

    fn seen(object: Value, pods: &[(&str, &str)]) -> Snapshot {
        let pods = pods.iter().map(|(uid, made)| {
            let pod = json!({"metadata": {"name": uid, "uid": uid, "creationTimestamp": made}});
            Arc::new(serde_json::from_value(pod).unwrap())
        });
        let workload = Workload {
            kind: WorkloadKind::Deployment,
            object: serde_json::from_value(object).unwrap(),
        };
        Snapshot::new(workload, pods.collect(), None)
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
