//! Looking on: logs, events and figures of a service's tasks.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::Task;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::super::engine::{ASK, Engine};
use super::super::events as engine_events;
use super::super::find::{self, Found};
use super::super::logs::{Of, Wanted, clean, merged, read};
use super::super::stats::Samplers;
use super::Swarm;
use super::service::Seen;
use super::tasks::{exit_code, has_failed, is_running, task_state, words};
use treasury_domain::service::{Event, LogQuery, Logs, ServiceStats};
use treasury_ports::platform::PlatformError;

/// The most tasks whose logs are read, the newest.
const TASKS: usize = 40;

/// So many logs are read at the same time.
const AT_ONCE: usize = 6;

/// How many of its last log lines are told of a task that failed.
const LAST_LINES: usize = 3;

/// How long they are waited for: another node may be away.
const LAST: Duration = Duration::from_secs(3);

/// The lines of all tasks that Swarm still knows, from all nodes, merged by time.
pub(in super::super) async fn logs(
    swarm: Swarm<'_>,
    query: &LogQuery,
) -> Result<Logs, PlatformError> {
    let seen = Seen::now(swarm).await?;
    let grep = query.grep.as_deref().map(str::to_lowercase);
    let wanted = Wanted {
        lines: query.lines,
        since: query.since,
        before: None,
        grep: grep.as_deref(),
    };
    let places = seen.standing();
    let mut tasks: Vec<(&str, &Task)> = Vec::new();
    for place in &places {
        let current = place.current().or(place.tasks.first().copied());
        let is_current = |task: &Task| current.is_some_and(|current| current.id == task.id);
        let asked = place.tasks.iter().filter(|task| {
            // What has never had a container has said nothing.
            container(task).is_some() && !(query.previous && is_current(task))
        });
        tasks.extend(asked.map(|task| (place.name.as_str(), *task)));
    }
    tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.created_at.clone()));
    let mut truncated = tasks.len() > TASKS;
    tasks.truncate(TASKS);
    let mut reading = Vec::new();
    for (name, task) in tasks {
        let of = Of::Task(task.id.as_deref().unwrap_or_default());
        reading.push(read(swarm.engine, of, name, &wanted));
    }
    let all: Vec<Result<Logs, PlatformError>> = stream::iter(reading)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let (mut found, mut failed) = (Vec::new(), None);
    for one in all {
        match one {
            Ok(logs) => found.push(logs),
            Err(error) => failed = Some(error),
        }
    }
    // One node that is away does not keep the others' lines back.
    match failed {
        Some(error) if found.is_empty() => return Err(error),
        Some(error) => {
            tracing::warn!(service = swarm.name, %error, "the log of a task is left out");
            truncated = true;
        }
        None => {}
    }
    let mut logs = merged(found, query.lines);
    logs.truncated |= truncated;
    Ok(logs)
}

/// The last lines of a task; none where they can't be had soon.
pub(super) async fn last_words(engine: &Engine, task: &Task) -> Vec<String> {
    let (Some(id), Some(_)) = (task.id.as_deref(), container(task)) else {
        return Vec::new();
    };
    let wanted = Wanted {
        lines: LAST_LINES,
        since: None,
        before: None,
        grep: None,
    };
    let reading = read(engine, Of::Task(id), "", &wanted);
    match tokio::time::timeout(LAST, reading).await {
        Ok(Ok(logs)) => logs.lines.into_iter().map(|line| line.text).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// What happened: ends of tasks on all nodes, what Swarm did with the service, and what this engine
/// saw of its own containers.
pub(in super::super) async fn events(
    swarm: Swarm<'_>,
    since: Timestamp,
) -> Result<Vec<Event>, PlatformError> {
    let seen = Seen::now(swarm).await?;
    let mut watched = find::with_replaced(swarm.engine, swarm.service).await?;
    watched.push(Found {
        id: seen.id.clone(),
        name: swarm.name.to_owned(),
        running: true,
    });
    let told = engine_events::told(swarm.engine, &watched, since).await?;
    let mut events: Vec<Event> = told.events.into_iter().map(|(_, event)| event).collect();
    for place in seen.places() {
        for task in place.tasks {
            let at = task
                .status
                .as_ref()
                .and_then(|status| find::time(status.timestamp.as_deref()));
            let Some(at) = at.filter(|at| *at >= since && has_failed(task)) else {
                continue;
            };
            let state = task_state(task)
                .as_ref()
                .map_or_else(String::new, ToString::to_string);
            let mut detail = words(task);
            if let Some(node) = task.node_id.as_ref().and_then(|id| seen.nodes.get(id)) {
                detail.push_str(&format!(" on {node}"));
            }
            if let Some(code) = exit_code(task).filter(|code| *code != 0) {
                detail.push_str(&format!(", exit code {code}"));
            }
            events.push(Event {
                at,
                replica: place.name.clone(),
                what: format!("task {state}"),
                detail: Some(clean(&detail)),
            });
        }
    }
    events.sort_by_key(|event| event.at);
    let skipped = events.len().saturating_sub(engine_events::MOST);
    Ok(events.split_off(skipped))
}

/// Figures of the tasks on this node, and how many run elsewhere: engines measure only their own.
pub(in super::super) async fn stats(
    swarm: Swarm<'_>,
    engine: &Arc<Engine>,
    samplers: &Samplers,
) -> Result<ServiceStats, PlatformError> {
    let info = engine.client()?.info();
    let (seen, info) = tokio::try_join!(Seen::now(swarm), engine.call("info", ASK, info))?;
    let mut stats = samplers.stats(engine, swarm.service).await?;
    for replica in &mut stats.replicas {
        // A global service's containers are called after the node's id.
        let node = replica.replica.rsplit_once('.').map(|(_, key)| key);
        if let Some(node) = node.and_then(|key| seen.nodes.get(key)) {
            replica.replica = format!("{}.{node}", swarm.name);
        }
    }
    let own = info.swarm.and_then(|swarm| swarm.node_id);
    let running: Vec<&Task> = seen.tasks.iter().filter(|task| is_running(task)).collect();
    let elsewhere = running.iter().filter(|task| task.node_id != own);
    let mut names: Vec<&str> = elsewhere
        .clone()
        .filter_map(|task| seen.nodes.get(task.node_id.as_ref()?))
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    let count = elsewhere.count();
    stats.note = (count > 0).then(|| {
        format!(
            "{count} of {} tasks run on {}, which only their own engines can measure",
            running.len(),
            names.join(", ")
        )
    });
    Ok(stats)
}

/// The container that a task has or had.
fn container(task: &Task) -> Option<&str> {
    let status = task.status.as_ref()?.container_status.as_ref()?;
    status.container_id.as_deref().filter(|id| !id.is_empty())
}
