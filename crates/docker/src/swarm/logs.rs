//! Log lines of a service's tasks, from all nodes.

use std::cmp::Reverse;
use std::time::Duration;

use bollard::models::Task;
use futures_util::future::join_all;

use super::snapshot::{Snapshot, SwarmService};
use super::tasks::{Slot, container, is_over};
use crate::engine::container::time;
use crate::engine::logs::{LogSource, last_lines, read};
use crate::engine::{Engine, Result};
use treasury_domain::counted;
use treasury_domain::service::{LogQuery, Logs};
use treasury_ports::log_search::{Wanted, merged};
use treasury_ports::platform::PlatformError;

/// The most tasks whose logs are read, the newest.
const MAX_TASKS: usize = 40;

/// How long the last lines of a task are waited for: another node may be away.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(3);

/// The lines of all tasks that Swarm still knows, merged by time. All are asked at once, and a
/// machine that does not answer keeps nobody's lines back but its own.
pub async fn logs(swarm: SwarmService<'_>, query: &LogQuery) -> Result<Logs> {
    let snapshot = Snapshot::now(swarm).await?;
    let wanted = Wanted::from(query);
    let slots = snapshot.live_slots();
    let mut tasks: Vec<(&str, &Task)> = Vec::new();
    for slot in &slots {
        let chosen = snapshot.with_logs(slot, query.previous);
        tasks.extend(chosen.into_iter().map(|task| (slot.name.as_str(), task)));
    }
    tasks.sort_by_key(|(_, task)| Reverse(task.created_at.clone()));
    let left_out = tasks.len() > MAX_TASKS;
    tasks.truncate(MAX_TASKS);
    let asked = tasks.iter().map(async |(name, task)| {
        if snapshot.is_lost(task) {
            return (*task, Ok(None));
        }
        let source = LogSource::Task(task.id.as_deref().unwrap_or_default());
        (
            *task,
            read(swarm.engine, source, name, &wanted).await.map(Some),
        )
    });
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (task, answer) in join_all(asked).await {
        match answer {
            Ok(Some(logs)) => found.push(logs),
            Ok(None) => missing.push(task),
            // The engine that is asked is away itself.
            Err(error @ PlatformError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(service = swarm.name, %error, "the log of a task is left out");
                missing.push(task);
            }
        }
    }
    let mut logs = merged(found, query.lines);
    logs.truncated |= left_out;
    logs.partial = snapshot.missing(&missing);
    Ok(logs)
}

impl Snapshot<'_> {
    /// The tasks of a slot whose logs are wanted: all that had a container, or the one that ran
    /// before the one that serves or ran last.
    fn with_logs<'t>(&self, slot: &Slot<'t>, previous: bool) -> Vec<&'t Task> {
        // What has never had a container has said nothing.
        let has_run = |task: &&Task| container(task).is_some();
        let ran: Vec<&Task> = slot.tasks.iter().copied().filter(has_run).collect();
        if !previous {
            return ran;
        }
        let serving = self.serving(slot).and_then(|task| task.id.as_ref());
        let now = ran.iter().position(|task| task.id.as_ref() == serving);
        let former = ran.into_iter().skip(now.unwrap_or(0) + 1);
        // One that was tried in vain beside the one that served ended before it.
        let ended = |task: &&Task| {
            let status = task.status.as_ref();
            let at = status.and_then(|status| time(status.timestamp.as_deref()));
            // Of one that is being stopped, this is still the time of its start.
            (!is_over(task), at)
        };
        former.max_by_key(ended).into_iter().collect()
    }

    /// Whose lines are missing: `of 2 tasks on node-b, which is Down since …`.
    fn missing(&self, tasks: &[&Task]) -> Option<String> {
        let by_node = self.by_node(tasks.iter().copied()).into_values();
        let lines: Vec<String> = by_node
            .map(|(node, count)| {
                let why = match node.lost() {
                    Some(lost) => format!("is {lost}"),
                    None => "did not send them".to_owned(),
                };
                format!(
                    "of {} on {}, which {why}",
                    counted(count, "task"),
                    node.name
                )
            })
            .collect();
        (!tasks.is_empty()).then(|| lines.join("; "))
    }
}

/// The last lines of a task, to be put behind a sentence; none where they can't be had soon.
pub async fn last_words(engine: &Engine, task: &Task) -> String {
    let (Some(id), Some(_)) = (task.id.as_deref(), container(task)) else {
        return String::new();
    };
    let reading = last_lines(engine, LogSource::Task(id));
    let lines = tokio::time::timeout(LAST_WORDS_WAIT, reading).await;
    lines.unwrap_or_default()
}
