//! Changing the number of tasks.

use std::time::Duration;

use bollard::models::Task;
use serde_json::json;
use tokio::time::Instant;

use super::change::Change;
use super::logs::last_words;
use super::rollout::HELD;
use super::snapshot::Snapshot;
use super::tasks::{Slot, has_failed, hindered};
use crate::engine::{Result, unsupported, unwell};
use treasury_domain::service::ServiceStatus;
use treasury_ports::platform::PlatformError;

const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// A new task must run for so long before it counts: one that ends at once has run, too.
const STABLE: Duration = Duration::from_secs(2);

/// Why the service can't have another number of tasks, if it can't.
pub fn scalable(snapshot: &Snapshot<'_>) -> Result<()> {
    if snapshot.desired().is_some() {
        return Ok(());
    }
    let why = if snapshot.spec["Mode"]["Global"].is_object() {
        "is global: Swarm keeps one task of it on each node. Add or drain nodes, or make it \
         anew with `--mode replicated`"
    } else {
        "is a job, which runs to its end: its number is set with `docker service update`"
    };
    Err(unsupported(format!("{} {why}", snapshot.service.name)))
}

/// Brings the number of tasks to `replicas`.
pub async fn scale(change: Change<'_>, replicas: u32) -> Result<ServiceStatus> {
    let before = Snapshot::now(change.service).await?;
    scalable(&before)?;
    let progress = change.progress;
    progress.report(0, replicas, format!("Swarm is told: {replicas} tasks"));
    let set_number = |spec: &mut serde_json::Value| {
        let now = &mut spec["Mode"]["Replicated"]["Replicas"];
        let differs = now.as_u64().unwrap_or(0) != u64::from(replicas);
        if differs {
            *now = json!(replicas);
        }
        differs
    };
    change.update(set_number).await?;
    let is_new = |task: &Task| !before.tasks.iter().any(|known| known.id == task.id);
    let begun = Instant::now();
    let longest = change.patience.stop + change.patience.healthy;
    let (mut steady, mut held_since) = (None, None);
    loop {
        let snapshot = Snapshot::now(change.service).await?;
        let slots = snapshot.live_slots();
        let current: Vec<&Task> = slots.iter().filter_map(Slot::current).collect();
        let running = current.iter().filter(|task| snapshot.runs(task)).count();
        // Those that are too many have to be gone, not only unwanted.
        let leaving = snapshot.slots().iter().any(|slot| {
            slot.current().is_none() && slot.tasks.first().is_some_and(|task| snapshot.runs(task))
        });
        if running == replicas as usize && slots.len() == running && !leaving {
            let since = *steady.get_or_insert_with(Instant::now);
            if !current.into_iter().any(is_new) || since.elapsed() >= STABLE {
                progress.report(replicas, replicas, "all tasks run");
                return Ok(snapshot.status());
            }
        } else {
            steady = None;
        }
        let failed = slots.iter().find_map(|slot| {
            let task = slot
                .tasks
                .iter()
                .find(|task| has_failed(task) && is_new(task));
            task.map(|task| (slot, *task))
        });
        let counted = format!("{running} of {replicas} tasks run");
        if let Some((slot, task)) = failed {
            let lines = last_words(change.service.engine, task).await;
            return Err(stuck(
                replicas,
                format!("{} {}{lines}", slot.name, snapshot.described(task)),
            ));
        }
        let waits = slots.iter().filter_map(|slot| {
            let task = slot.current().filter(|task| !snapshot.runs(task))?;
            Some((slot, task))
        });
        // One that gets on may make room for the others.
        let waits: Vec<_> = waits.collect();
        let held = !waits.is_empty() && !leaving && waits.iter().all(|(_, task)| hindered(task));
        if !held {
            held_since = None;
        }
        let is_held = held && held_since.get_or_insert_with(Instant::now).elapsed() >= HELD;
        if is_held || begun.elapsed() > longest {
            let line = waits.first().map_or_else(String::new, |(slot, task)| {
                format!("\n{} {}", slot.name, snapshot.described(task))
            });
            let took = begun.elapsed().as_secs();
            return Err(stuck(replicas, format!("{counted} after {took} s{line}")));
        }
        progress.report(running as u32, replicas, counted);
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The error for a number that is not reached.
fn stuck(replicas: u32, why: String) -> PlatformError {
    unwell(format!(
        "{why}\nThe number stays at {replicas}, and Swarm goes on trying: scale back if it does \
         not help"
    ))
}
