//! What happened to a service.

use bollard::models::{ServiceUpdateStatusStateEnum as Update, Task};
use jiff::Timestamp;

use super::snapshot::{Snapshot, SwarmService};
use super::spec::shown;
use super::tasks::{describe, error, exit_code_words, has_failed, is_over, task_image, task_state};
use crate::engine::container::time;
use crate::engine::{ContainerRef, Result, events};
use treasury_domain::service::{Event, Events};
use treasury_ports::text::clean;

/// What Swarm remembers of the service and its tasks, on all nodes, and what this engine saw of
/// its own containers.
pub async fn events(swarm: SwarmService<'_>, since: Timestamp) -> Result<Events> {
    let snapshot = Snapshot::now(swarm).await?;
    let own = swarm
        .engine
        .info()
        .await?
        .swarm
        .and_then(|swarm| swarm.node_id);
    let mut watched = swarm.local_containers().await?;
    watched.push(ContainerRef::new(&snapshot.id, swarm.name));
    let history = events::history(swarm.engine, &watched, since).await?;
    let seen = history.events.into_iter().map(|(_, event)| event);
    let mut all: Vec<Event> = seen.collect();
    // Of its own containers, the engine tells more, as far as it remembers.
    let forgot = |at: Timestamp| history.reaches.is_some_and(|reaches| at < reaches);
    for slot in snapshot.slots() {
        for task in &slot.tasks {
            let is_own = task.node_id.is_some() && task.node_id == own;
            let told = snapshot
                .told(task)
                .into_iter()
                .filter(|(at, _, always)| *at >= since && (*always || !is_own || forgot(*at)));
            all.extend(told.map(|(at, what, _)| {
                let node = snapshot.node(task);
                let node = node
                    .map(|node| format!(" on {}", node.name))
                    .unwrap_or_default();
                let detail = if what == MADE {
                    let image = shown(task_image(task).unwrap_or_default(), &snapshot.spec);
                    format!("of {image}{node}")
                } else {
                    format!("{}{node}{}", describe(task), exit_code_words(task))
                };
                Event {
                    at,
                    replica: slot.name.clone(),
                    what,
                    detail: Some(clean(&detail)),
                }
            }));
        }
    }
    all.extend(
        snapshot
            .rollout_events(&all)
            .into_iter()
            .filter(|event| event.at >= since),
    );
    all.sort_by_key(|event| event.at);
    Ok(Events {
        list: events::newest(all),
        reaches: history.reaches,
        note: snapshot.unseen(own.as_deref()),
    })
}

/// A task is made at first, and gets to its machine.
const MADE: &str = "task made";

impl Snapshot<'_> {
    /// What Swarm tells of a task, each with its time; true: no engine tells of it.
    fn told(&self, task: &Task) -> Vec<(Timestamp, String, bool)> {
        let status = task.status.as_ref();
        let state = task_state(task).map(|state| state.to_string());
        let ails = has_failed(task) || error(task).is_some();
        let made = time(task.created_at.as_deref()).map(|at| (at, MADE.to_owned(), false));
        let now = status.and_then(|status| time(status.timestamp.as_deref()));
        // What it is between is not worth a line.
        let now = now.filter(|_| ails || is_over(task) || self.runs(task));
        let now = now
            .zip(state)
            .map(|(at, state)| (at, format!("task {state}"), ails));
        made.into_iter().chain(now).collect()
    }

    /// Begin and end of the newest rollout, unless the engine still tells of them.
    fn rollout_events(&self, seen: &[Event]) -> Vec<Event> {
        let Some(update) = self.model.update_status.as_ref() else {
            return Vec::new();
        };
        let state = update
            .state
            .filter(|state| !matches!(state, Update::UPDATING));
        let of = |at: Option<&String>, word: String| Some((time(at.map(String::as_str))?, word));
        let begin = of(update.started_at.as_ref(), "rollout updating".to_owned());
        let end =
            state.and_then(|state| of(update.completed_at.as_ref(), format!("rollout {state}")));
        let both = begin.into_iter().chain(end);
        let events = both.map(|(at, word)| Event {
            at,
            replica: self.service.name.to_owned(),
            what: "update".to_owned(),
            detail: Some(word),
        });
        let is_told = |event: &Event| {
            seen.iter().any(|one| {
                one.replica == event.replica
                    && one.detail == event.detail
                    && one.at.duration_since(event.at).as_secs().abs() <= 2
            })
        };
        events.filter(|event| !is_told(event)).collect()
    }

    /// What neither Swarm nor this engine tells.
    fn unseen(&self, own: Option<&str>) -> Option<String> {
        let elsewhere = self.tasks.iter().filter(|task| task.node_id.is_some());
        let elsewhere = elsewhere.filter(|task| task.node_id.as_deref() != own);
        let names: Vec<&str> = self.by_node(elsewhere).into_keys().collect();
        let mut notes = self.lost_nodes();
        if !names.is_empty() {
            let names = names.join(", ");
            notes.push(format!(
                "of {names} Swarm remembers the last tasks only: health checks, signals and ends \
                 for lack of memory are known to its own engine alone"
            ));
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}
