//! Restarting: the same description with another count, which Swarm rolls out.

use serde_json::json;

use super::change::Change;
use super::rollout::follow;
use super::snapshot::{Snapshot, SwarmService};
use super::spec::{INTENT, label, set_label};
use crate::engine::{Result, unsupported, unwell};
use treasury_domain::service::{Intent, ReplicaMark, ReplicaOutcome, ServiceStatus};
use treasury_ports::platform::PlatformError;

/// Restarts all tasks, unless this very intent has been carried out; `only` none of them: awaits
/// that all are well. Swarm can't restart some of them only.
pub async fn restart(
    change: Change<'_>,
    only: Option<&[String]>,
    intent: &Intent,
) -> Result<ServiceStatus> {
    if only.is_none_or(|only| !only.is_empty()) {
        let total = Snapshot::now(change.service).await?.total();
        if total == 0 {
            let name = change.service.name;
            return Err(unsupported(format!(
                "{name} has no tasks that could be restarted: scale it up first"
            )));
        }
        change
            .progress
            .report(0, total, "Swarm is told to restart the tasks");
        let restart = |spec: &mut serde_json::Value| {
            if label(spec, INTENT) == Some(&intent.id) {
                return false;
            }
            set_label(spec, INTENT, Some(&intent.id));
            let template = &mut spec["TaskTemplate"];
            let count = template["ForceUpdate"].as_u64().unwrap_or(0);
            template["ForceUpdate"] = json!(count + 1);
            true
        };
        change.update(restart).await?;
    }
    match follow(change).await {
        Ok(snapshot) => Ok(snapshot.status()),
        Err(PlatformError::Unwell { what }) => {
            let left = Snapshot::now(change.service).await;
            let left = if left.is_ok_and(|now| now.rollout().is_under_way()) {
                "\nSwarm keeps at it as soon as it can; another restart begins anew"
            } else {
                ""
            };
            Err(unwell(format!("{what}{left}")))
        }
        Err(error) => Err(error),
    }
}

/// What became of the tasks of an intent: the description tells whether Swarm has taken it.
pub async fn outcome(
    swarm: SwarmService<'_>,
    marks: &[ReplicaMark],
    intent: &Intent,
) -> Result<Vec<ReplicaOutcome>> {
    let snapshot = Snapshot::now(swarm).await?;
    let has_intent = |spec| label(spec, INTENT) == Some(&intent.id);
    // A change after it may have replaced the labels.
    let taken = has_intent(&snapshot.spec) || has_intent(&snapshot.previous);
    let going = snapshot.rollout().is_under_way();
    let slots = snapshot.live_slots();
    let outcome = |mark: &ReplicaMark| {
        let is_it = |key: &String| mark.id == format!("{}.{key}", snapshot.id);
        match (slots.iter().any(|slot| is_it(&slot.key)), taken, going) {
            (false, ..) => ReplicaOutcome::Gone,
            (true, false, _) => ReplicaOutcome::Untouched,
            (true, true, true) => ReplicaOutcome::UnderWay,
            (true, true, false) => ReplicaOutcome::Restarted,
        }
    };
    Ok(marks.iter().map(outcome).collect())
}
