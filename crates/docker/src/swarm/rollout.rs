//! Following a rollout of Swarm to its end.

use std::time::Duration;

use bollard::models::{ServiceUpdateStatusStateEnum as Update, Task};
use tokio::time::Instant;

use super::super::{PLATFORM, wait};
use super::service::Seen;
use super::tasks::{Place, exit_code, has_failed, is_running, words};
use super::{Swarm, look};
use treasury_domain::service::Patience;
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(400);

/// So many looks in a row may fail: managers elect a new leader in some seconds.
const BLIND: u32 = 5;

/// A task that failed so often by the new description does not get well by itself.
const OFTEN: usize = 3;

/// How a rollout stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Swarm is at it: so many are done, and this is what the next one does.
    Going { done: u32, line: String },
    /// All tasks are as described, and run.
    Done,
    /// It stopped for this cause.
    Failed {
        /// In Swarm's words.
        why: String,
        /// Swarm put the former description back by itself.
        back: bool,
    },
}

impl Seen<'_> {
    /// A task of the present description.
    pub(super) fn is_fresh(&self, task: &Task) -> bool {
        let wanted = self.model.spec.as_ref();
        let wanted = wanted.and_then(|spec| spec.task_template.as_ref());
        let (Some(wanted), Some(spec)) = (wanted, task.spec.as_ref()) else {
            return false;
        };
        let count = |spec: &bollard::models::TaskSpec| spec.force_update.unwrap_or(0);
        spec.container_spec == wanted.container_spec && count(spec) == count(wanted)
    }

    fn is_done(&self, place: &Place<'_>) -> bool {
        let current = place.current();
        current.is_some_and(|task| self.is_fresh(task) && is_running(task))
    }

    /// How the rollout of the present description stands.
    pub(super) fn rollout(&self) -> Rollout {
        let places = self.standing();
        let total = self.wanted().map_or(places.len(), |wanted| wanted as usize);
        let done = places.iter().filter(|place| self.is_done(place)).count();
        let update = self.model.update_status.as_ref();
        let said = || {
            let message = update.and_then(|update| update.message.clone());
            message.unwrap_or_default()
        };
        let fail = |back| Rollout::Failed { why: said(), back };
        match update.and_then(|update| update.state) {
            Some(Update::PAUSED | Update::ROLLBACK_PAUSED) => return fail(false),
            Some(Update::ROLLBACK_COMPLETED) => return fail(true),
            Some(Update::UPDATING | Update::ROLLBACK_STARTED) => {}
            Some(Update::COMPLETED | Update::EMPTY) | None => {
                if done == total {
                    return Rollout::Done;
                }
                let failing = places.iter().find(|place| {
                    let fresh = place.tasks.iter().filter(|task| self.is_fresh(task));
                    fresh.filter(|task| has_failed(task)).count() >= OFTEN
                });
                if let Some(place) = failing {
                    let why = format!("{} keeps failing", place.name);
                    return Rollout::Failed { why, back: false };
                }
            }
        }
        let next = places.iter().find(|place| !self.is_done(place));
        let line = match next {
            Some(place) => {
                let task = place.tasks.first();
                let doing = task.map_or_else(String::new, |task| words(task));
                format!("{}: {doing}", place.name)
            }
            None if done < total => "waiting for further tasks".to_owned(),
            None => "Swarm watches whether the tasks stay up".to_owned(),
        };
        let done = done as u32;
        Rollout::Going { done, line }
    }

    /// How many tasks there will be.
    pub(super) fn total(&self) -> u32 {
        self.wanted()
            .unwrap_or_else(|| self.standing().len() as u32)
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
pub(super) async fn follow<'a>(
    swarm: Swarm<'a>,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Seen<'a>, PlatformError> {
    let begun = Instant::now();
    let mut blind = 0;
    loop {
        let seen = match Seen::now(swarm).await {
            Ok(seen) => seen,
            Err(error) if error.is_refusal() || blind == BLIND => return Err(error),
            Err(_) => {
                blind += 1;
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        blind = 0;
        let total = seen.total();
        match seen.rollout() {
            Rollout::Done => {
                progress.report(total, total, "all tasks run");
                return Ok(seen);
            }
            Rollout::Failed { why, back } => {
                let how = if back {
                    "Swarm put the former version back"
                } else {
                    "the rollout stopped"
                };
                return Err(failed(&seen, &format!("{how}: {why}")).await);
            }
            Rollout::Going { done, line } => {
                let longest = seen.longest(patience);
                if begun.elapsed() > longest {
                    let seconds = longest.as_secs();
                    let how = format!("the rollout has no end after {seconds} s: {line}");
                    return Err(failed(&seen, &how).await);
                }
                progress.report(done, total, line);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The error for a rollout that failed, with the newest failed task and its last words.
async fn failed(seen: &Seen<'_>, how: &str) -> PlatformError {
    let places = seen.places();
    let all = places
        .iter()
        .flat_map(|place| place.tasks.iter().map(move |task| (place, *task)));
    let newest = all
        .filter(|(_, task)| has_failed(task))
        .max_by_key(|(_, task)| task.created_at.clone());
    let mut text = how.to_owned();
    if let Some((place, task)) = newest {
        text.push_str(&format!("\n{} {}", place.name, words(task)));
        if let Some(code) = exit_code(task).filter(|code| *code != 0) {
            text.push_str(&format!(", exit code {code}"));
        }
        for line in look::last_words(seen.swarm.engine, task).await {
            text.push_str(&format!("\n> {line}"));
        }
    }
    let hint = "\nSee `docker service ps --no-trunc`";
    if newest.is_none() {
        text.push_str(&format!("{hint} {}", seen.swarm.name));
    }
    tracing::debug!(platform = PLATFORM, service = seen.swarm.name, %text, "a rollout failed");
    wait::unwell(text)
}
