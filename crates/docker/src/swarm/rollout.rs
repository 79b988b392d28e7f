//! Following a rollout of Swarm to its end.

use std::time::Duration;

use bollard::models::{ServiceUpdateStatusStateEnum as Update, Task, TaskSpec};
use tokio::time::Instant;

use super::change::Change;
use super::logs::last_words;
use super::nodes::clock;
use super::snapshot::Snapshot;
use super::tasks::{Slot, describe, exit_code_words, has_failed, hindered, is_wanted};
use crate::engine::container::time;
use crate::engine::{PLATFORM, Result, unwell};
use treasury_domain::service::Patience;
use treasury_ports::platform::PlatformError;

/// The beginning of the error for a rollout that did not succeed.
const STOPPED: &str = "the rollout stopped";

const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// So many questions in a row may fail: managers elect a new leader in some seconds.
const MAX_FAILED_POLLS: u32 = 5;

/// What does not go on for so long is told: a machine may become free when a former task ends.
pub const HELD: Duration = Duration::from_secs(3);

/// A task that failed so often by the new description does not get well by itself.
const HOPELESS: usize = 3;

/// The state of a rollout.
#[derive(Debug, PartialEq, Eq)]
pub enum Rollout {
    /// Swarm is at it: so many are done, and this is what it does.
    Going { done: u32, line: String },
    /// So many are done, and this keeps it from going on.
    Held { done: u32, by: Hold },
    /// All tasks are as described, and run.
    Done,
    /// It stopped; why, with Swarm's own words.
    Failed(String),
}

impl Rollout {
    /// Swarm is at it, or will be once nothing keeps it.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Going { .. } | Self::Held { .. })
    }
}

/// What keeps a rollout from going on.
#[derive(Debug, PartialEq, Eq)]
pub enum Hold {
    /// A task does not come to run: which, and why.
    Task(String),
    /// Swarm waits for the end of a task on a machine that is lost.
    Lost(String),
}

impl Hold {
    /// For people.
    pub fn text(&self) -> &str {
        match self {
            Self::Task(text) | Self::Lost(text) => text,
        }
    }
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
        current.is_some_and(|task| self.is_fresh(task) && self.runs(task))
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
        let all = done == total;
        let done = done as u32;
        if let Some(step) = self.step(&slots) {
            return match step {
                Ok(line) => Rollout::Going { done, line },
                Err(by) => Rollout::Held { done, by },
            };
        }
        let line = match slots.iter().find(|slot| !self.is_done(slot)) {
            Some(slot) => format!("{} is next", slot.name),
            None if all => "Swarm watches whether the tasks stay up".to_owned(),
            None => "waiting for further tasks".to_owned(),
        };
        Rollout::Going { done, line }
    }

    /// What is done just now, at whichever place, or what that waits for; `None` between two places.
    fn step(&self, slots: &[Slot<'_>]) -> Option<Result<String, Hold>> {
        // One that gets on is what Swarm is at; only then is anything held.
        let (mut hindrance, mut starting) = (None, None);
        for slot in slots {
            let leaving = slot
                .tasks
                .iter()
                .find(|task| !is_wanted(task) && self.runs(task));
            let line = |what: &str, task: &Task| {
                Some(format!("{}: {what}{}", slot.name, self.on_node(task)))
            };
            let new = slot.current();
            let new = new.filter(|task| self.is_fresh(task) && !self.runs(task));
            match (new, leaving) {
                (None, None) => {}
                (_, Some(task)) => {
                    starting = starting.or_else(|| line("the former task is being stopped", task));
                }
                (Some(task), None) if hindered(task) => {
                    hindrance = hindrance.or_else(|| line(&describe(task), task));
                }
                (Some(task), None) => starting = starting.or_else(|| line(&describe(task), task)),
            }
        }
        let held = hindrance.map(|line| Err(Hold::Task(line)));
        let going = starting.map(Ok).or(held);
        going.or_else(|| slots.iter().find_map(|slot| self.waits_for(slot)).map(Err))
    }

    /// The task of this place that Swarm waits for in vain: its machine was lost since the rollout
    /// began, and so nobody says that it has ended.
    fn waits_for(&self, slot: &Slot<'_>) -> Option<Hold> {
        let update = self.model.update_status.as_ref()?;
        let going = is_going(update.state?);
        let began = time(update.started_at.as_deref()).filter(|_| going)?;
        let touched = slot.tasks.iter().any(|task| self.is_of_this(task));
        let mut left = slot.tasks.iter().filter(|task| touched && !is_wanted(task));
        let node = left.find_map(|task| {
            let node = self.node(task).filter(|_| self.is_left(task))?;
            (node.changed? > began).then_some(node)
        })?;
        let (lost, name) = (node.lost()?, &node.name);
        Some(Hold::Lost(format!(
            "Swarm waits for a former task of {} on {name}, and {name} is {lost}: it goes on when \
             {name} is back",
            slot.name
        )))
    }

    /// The task was made by the newest rollout, or is as described now where there was none.
    fn is_of_this(&self, task: &Task) -> bool {
        let update = self.model.update_status.as_ref();
        match update.and_then(|update| time(update.started_at.as_deref())) {
            Some(began) => time(task.created_at.as_deref()).is_some_and(|at| at >= began),
            None => self.is_fresh(task),
        }
    }

    /// A rollout that is not at its end, and where it is: a line of the status.
    pub fn rollout_fact(&self) -> Option<String> {
        let update = self.model.update_status.as_ref()?;
        let state = update.state?;
        let message = update.message.as_deref().unwrap_or_default();
        if !is_going(state) {
            let is_news = !matches!(state, Update::COMPLETED | Update::EMPTY);
            return is_news.then(|| format!("rollout {state}: {message}"));
        }
        let since = time(update.started_at.as_deref());
        let since = since.map(|at| format!(" since {}", clock(at)));
        let (done, how) = match self.rollout() {
            Rollout::Going { done, line } => (done, line),
            Rollout::Held { done, by } => (done, format!("does not go on: {}", by.text())),
            Rollout::Done | Rollout::Failed(_) => {
                return Some(format!("rollout {state}: {message}"));
            }
        };
        let (since, total) = (since.unwrap_or_default(), self.total());
        Some(format!(
            "rollout {state}{since}, {done} of {total} done; {how}"
        ))
    }

    /// How many tasks there will be.
    pub fn total(&self) -> u32 {
        let wanted = self.desired();
        wanted.unwrap_or_else(|| self.live_slots().len() as u32)
    }

    /// How long Swarm waits between two turns of a rollout.
    fn delay(&self) -> Duration {
        let nanos = self.spec["UpdateConfig"]["Delay"].as_u64();
        Duration::from_nanos(nanos.unwrap_or(0))
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
        let delay = self.delay();
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
    let (mut failed_polls, mut held_since) = (0, None);
    loop {
        match Snapshot::now(change.service).await {
            Ok(snapshot) => {
                failed_polls = 0;
                if progress(&snapshot, change, begun, &mut held_since).await? {
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

/// Reports how far the rollout is that was begun then; true where it is done. `held_since`: when it
/// was first seen not to go on.
async fn progress(
    snapshot: &Snapshot<'_>,
    change: Change<'_>,
    begun: Instant,
    held_since: &mut Option<Instant>,
) -> Result<bool> {
    let total = snapshot.total();
    let how = match snapshot.rollout() {
        Rollout::Done => {
            change.progress.report(total, total, "all tasks run");
            return Ok(true);
        }
        Rollout::Failed(how) => how,
        Rollout::Held { done, by } => {
            let patience = match by {
                Hold::Task(_) => HELD,
                // Swarm may only wait before it turns to the next place.
                Hold::Lost(_) => HELD + snapshot.delay(),
            };
            if held_since.get_or_insert_with(Instant::now).elapsed() < patience {
                change.progress.report(done, total, by.text());
                return Ok(false);
            }
            if done == total {
                // All that was asked for runs; the status tells that Swarm still waits.
                return Ok(true);
            }
            format!(
                "the rollout does not go on, {done} of {total} done: {}",
                by.text()
            )
        }
        Rollout::Going { done, line } => {
            *held_since = None;
            let longest = snapshot.longest(change.patience);
            if begun.elapsed() <= longest {
                change.progress.report(done, total, line);
                return Ok(false);
            }
            let seconds = longest.as_secs();
            format!("the rollout has no end after {seconds} s: {line}")
        }
    };
    Err(failed(snapshot, how).await)
}

/// Swarm says that it is at it.
fn is_going(state: Update) -> bool {
    matches!(state, Update::UPDATING | Update::ROLLBACK_STARTED)
}

/// The error for a rollout that failed, with the newest task of it that failed, and its last words.
async fn failed(snapshot: &Snapshot<'_>, mut text: String) -> PlatformError {
    let slots = snapshot.slots();
    let tasks = slots
        .iter()
        .flat_map(|slot| slot.tasks.iter().map(move |task| (slot, *task)));
    let failed = tasks.filter(|(_, task)| has_failed(task) && snapshot.is_of_this(task));
    let newest = failed.max_by_key(|(_, task)| task.created_at.clone());
    let name = snapshot.service.name;
    if let Some((slot, task)) = newest {
        let (what, code) = (describe(task), exit_code_words(task));
        let node = snapshot.on_node(task);
        text.push_str(&format!("\n{} {what}{code}{node}", slot.name));
        text.push_str(&last_words(snapshot.service.engine, task).await);
    } else if !matches!(snapshot.rollout(), Rollout::Held { .. }) {
        text.push_str(&format!("\nSee `docker service ps --no-trunc` {name}"));
    }
    tracing::debug!(platform = PLATFORM, service = name, %text, "a rollout failed");
    unwell(text)
}
