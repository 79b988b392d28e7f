//! Log lines of a service's tasks, from all nodes.

use std::cmp::Reverse;
use std::time::Duration;

use bollard::models::Task;
use futures_util::{StreamExt, stream};

use super::snapshot::{Snapshot, SwarmService};
use super::tasks::container;
use crate::engine::logs::{LogSource, last_lines, read};
use crate::engine::{Engine, Result};
use treasury_domain::service::{LogQuery, Logs};
use treasury_ports::log_search::{Wanted, merged};

/// The most tasks whose logs are read, the newest.
const MAX_TASKS: usize = 40;

/// So many logs are read at the same time.
const AT_ONCE: usize = 6;

/// How long the last lines of a task are waited for: another node may be away.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(3);

/// The lines of all tasks that Swarm still knows, merged by time.
pub async fn logs(swarm: SwarmService<'_>, query: &LogQuery) -> Result<Logs> {
    let snapshot = Snapshot::now(swarm).await?;
    let wanted = Wanted::from(query);
    let slots = snapshot.live_slots();
    let mut tasks: Vec<(&str, &Task)> = Vec::new();
    for slot in &slots {
        let newest = slot.newest().map(|task| &task.id);
        let chosen = slot.tasks.iter().filter(|task| {
            // What has never had a container has said nothing.
            container(task).is_some() && !(query.previous && newest == Some(&task.id))
        });
        tasks.extend(chosen.map(|task| (slot.name.as_str(), *task)));
    }
    tasks.sort_by_key(|(_, task)| Reverse(task.created_at.clone()));
    let mut truncated = tasks.len() > MAX_TASKS;
    tasks.truncate(MAX_TASKS);
    let mut reading = Vec::new();
    for (name, task) in tasks {
        let source = LogSource::Task(task.id.as_deref().unwrap_or_default());
        reading.push(read(swarm.engine, source, name, &wanted));
    }
    let mut reading = stream::iter(reading).buffer_unordered(AT_ONCE);
    let (mut found, mut failed) = (Vec::new(), None);
    while let Some(one) = reading.next().await {
        match one {
            Ok(logs) => found.push(logs),
            Err(error) => failed = Some(error),
        }
    }
    // One node that is away does not keep the others' lines back.
    if let Some(error) = failed {
        if found.is_empty() {
            return Err(error);
        }
        tracing::warn!(service = swarm.name, %error, "the log of a task is left out");
        truncated = true;
    }
    let mut logs = merged(found, query.lines);
    logs.truncated |= truncated;
    Ok(logs)
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
