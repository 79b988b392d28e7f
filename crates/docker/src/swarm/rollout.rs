//! Following a rollout of Swarm to its end.

use std::time::Duration;

use bollard::models::{ServiceUpdateStatusStateEnum as Update, Task, TaskSpec};
use tokio::time::Instant;

use super::change::Change;
use super::logs::last_words;
use super::snapshot::Snapshot;
use super::tasks::{Slot, describe, exit_code_words, has_failed, is_running};
use crate::engine::{PLATFORM, Result, unwell};
use treasury_domain::service::Patience;
use treasury_ports::platform::PlatformError;

/// The beginning of the error for a rollout that did not succeed.
const STOPPED: &str = "the rollout stopped";

const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// So many questions in a row may fail: managers elect a new leader in some seconds.
const MAX_FAILED_POLLS: u32 = 5;

/// A task that failed so often by the new description does not get well by itself.
const HOPELESS: usize = 3;

/// The state of a rollout.
#[derive(Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Swarm is at it: so many are done, and this is what the next one does.
    Going { done: u32, line: String },
    /// All tasks are as described, and run.
    Done,
    /// It stopped; why, with Swarm's own words.
    Failed(String),
}

impl Snapshot<'_> {
    /// A task of the present description.
    pub fn is_fresh(&self, task: &Task) -> bool {
        let wanted = self.model.spec.as_ref();
        let wanted = wanted.and_then(|spec| spec.task_template.as_ref());
        let (Some(wanted), Some(spec)) = (wanted, task.spec.as_ref()) else {
            return false;
        };
        let count = |spec: &TaskSpec| spec.force_update.unwrap_or(0);
        spec.container_spec == wanted.container_spec && count(spec) == count(wanted)
    }

    fn is_done(&self, slot: &Slot<'_>) -> bool {
        let current = slot.current();
        current.is_some_and(|task| self.is_fresh(task) && is_running(task))
    }

    /// The state of the rollout of the present description.
    pub fn rollout(&self) -> Rollout {
        let slots = self.live_slots();
        let total = self.desired().map_or(slots.len(), |wanted| wanted as usize);
        let done = slots.iter().filter(|slot| self.is_done(slot)).count();
        let update = self.model.update_status.as_ref();
        let failed = |how: &str| {
            let why = update.and_then(|update| update.message.as_deref());
            Rollout::Failed(format!("{how}: {}", why.unwrap_or_default()))
        };
        match update.and_then(|update| update.state) {
            Some(Update::PAUSED | Update::ROLLBACK_PAUSED) => return failed(STOPPED),
            Some(Update::ROLLBACK_COMPLETED) => {
                return failed("Swarm put the former version back");
            }
            Some(Update::UPDATING | Update::ROLLBACK_STARTED) => {}
            Some(Update::COMPLETED | Update::EMPTY) | None => {
                if done == total {
                    return Rollout::Done;
                }
                let failing = slots.iter().find(|slot| {
                    let fresh = slot.tasks.iter().filter(|task| self.is_fresh(task));
                    fresh.filter(|task| has_failed(task)).count() >= HOPELESS
                });
                if let Some(slot) = failing {
                    let name = &slot.name;
                    return Rollout::Failed(format!("{STOPPED}: {name} keeps failing"));
                }
            }
        }
        let line = match slots.iter().find(|slot| !self.is_done(slot)) {
            Some(slot) => {
                let doing = slot.tasks.first().map(|task| describe(task));
                format!("{}: {}", slot.name, doing.unwrap_or_default())
            }
            None if done < total => "waiting for further tasks".to_owned(),
            None => "Swarm watches whether the tasks stay up".to_owned(),
        };
        let done = done as u32;
        Rollout::Going { done, line }
    }

    /// How many tasks there will be.
    pub fn total(&self) -> u32 {
        let wanted = self.desired();
        wanted.unwrap_or_else(|| self.live_slots().len() as u32)
    }

    /// The longest that a rollout may take: each turn stops, starts and is watched.
    fn longest(&self, patience: Patience) -> Duration {
        let spec = &self.spec;
        let nanos = |value: &serde_json::Value, default: Duration| {
            value.as_u64().map_or(default, Duration::from_nanos)
        };
        let update = &spec["UpdateConfig"];
        let grace = &spec["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"];
        let grace = nanos(grace, Duration::from_secs(10)).max(patience.stop);
        let delay = nanos(&update["Delay"], Duration::ZERO);
        let monitor = nanos(&update["Monitor"], Duration::from_secs(5));
        let total = self.total().max(1);
        let at_once = match update["Parallelism"].as_u64() {
            Some(0) => u64::from(total),
            Some(many) => many,
            None => 1,
        };
        let turns = u64::from(total).div_ceil(at_once).min(1_000);
        (grace + patience.healthy + delay) * turns as u32 + monitor
    }
}

/// Awaits the end of the rollout of the present description.
pub async fn follow(change: Change<'_>) -> Result<Snapshot<'_>> {
    let begun = Instant::now();
    let mut failed_polls = 0;
    loop {
        match Snapshot::now(change.service).await {
            Ok(snapshot) => {
                failed_polls = 0;
                if progress(&snapshot, change, begun.elapsed()).await? {
                    return Ok(snapshot);
                }
            }
            Err(error) if error.is_refusal() || failed_polls == MAX_FAILED_POLLS => {
                return Err(error);
            }
            Err(_) => failed_polls += 1,
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Reports how far the rollout is after this time; true where it is done.
async fn progress(snapshot: &Snapshot<'_>, change: Change<'_>, elapsed: Duration) -> Result<bool> {
    let total = snapshot.total();
    let how = match snapshot.rollout() {
        Rollout::Done => {
            change.progress.report(total, total, "all tasks run");
            return Ok(true);
        }
        Rollout::Failed(how) => how,
        Rollout::Going { done, line } => {
            let longest = snapshot.longest(change.patience);
            if elapsed <= longest {
                change.progress.report(done, total, line);
                return Ok(false);
            }
            let seconds = longest.as_secs();
            format!("the rollout has no end after {seconds} s: {line}")
        }
    };
    Err(failed(snapshot, how).await)
}

/// The error for a rollout that failed, with the newest failed task and its last words.
async fn failed(snapshot: &Snapshot<'_>, mut text: String) -> PlatformError {
    let slots = snapshot.slots();
    let tasks = slots
        .iter()
        .flat_map(|slot| slot.tasks.iter().map(move |task| (slot, *task)));
    let failed = tasks.filter(|(_, task)| has_failed(task));
    let newest = failed.max_by_key(|(_, task)| task.created_at.clone());
    let name = snapshot.service.name;
    if let Some((slot, task)) = newest {
        let (what, code) = (describe(task), exit_code_words(task));
        text.push_str(&format!("\n{} {what}{code}", slot.name));
        text.push_str(&last_words(snapshot.service.engine, task).await);
    } else {
        text.push_str(&format!("\nSee `docker service ps --no-trunc` {name}"));
    }
    tracing::debug!(platform = PLATFORM, service = name, %text, "a rollout failed");
    unwell(text)
}
