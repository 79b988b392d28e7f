//! Restarting: the same description with another count, which Swarm rolls out.

use serde_json::json;

use super::service::{INTENT, Seen, change, label, set_label};
use super::{Swarm, rollout};
use treasury_domain::service::{Intent, Patience, ReplicaMark, ReplicaOutcome, ServiceStatus};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Restarts all tasks, unless this very intent has been carried out; `only` none of them: awaits
/// that all are well. Swarm can't restart some of them only.
pub(in super::super) async fn restart(
    swarm: Swarm<'_>,
    only: Option<&[String]>,
    intent: &Intent,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    if only.is_none_or(|only| !only.is_empty()) {
        let seen = Seen::now(swarm).await?;
        if seen.total() == 0 {
            let name = swarm.name;
            return Err(PlatformError::Unsupported(format!(
                "{name} has no tasks that could be restarted: scale it up first"
            )));
        }
        progress.report(0, seen.total(), "Swarm is told to restart the tasks");
        change(swarm, |spec| {
            if label(spec, INTENT) == Some(&intent.id) {
                return false;
            }
            set_label(spec, INTENT, Some(&intent.id));
            let template = &mut spec["TaskTemplate"];
            let count = template["ForceUpdate"].as_u64().unwrap_or(0);
            template["ForceUpdate"] = json!(count + 1);
            true
        })
        .await?;
    }
    let seen = rollout::follow(swarm, patience, progress).await?;
    Ok(seen.status())
}

/// What became of the tasks of an intent: the description tells whether Swarm has taken it.
pub(in super::super) async fn outcome(
    swarm: Swarm<'_>,
    marks: &[ReplicaMark],
    intent: &Intent,
) -> Result<Vec<ReplicaOutcome>, PlatformError> {
    let seen = Seen::now(swarm).await?;
    let ours = |spec| label(spec, INTENT) == Some(&intent.id);
    // A change after it may have replaced the labels.
    let taken = ours(&seen.spec) || ours(&seen.previous);
    let going = matches!(seen.rollout(), rollout::Rollout::Going { .. });
    let places = seen.standing();
    let outcome = |mark: &ReplicaMark| {
        let place = places
            .iter()
            .any(|place| mark.id == format!("{}.{}", seen.id, place.key));
        match (place, taken, going) {
            (false, ..) => ReplicaOutcome::Gone,
            (true, false, _) => ReplicaOutcome::Untouched,
            (true, true, true) => ReplicaOutcome::UnderWay,
            (true, true, false) => ReplicaOutcome::Restarted,
        }
    };
    Ok(marks.iter().map(outcome).collect())
}
