//! What happened to a service.

use jiff::Timestamp;

use super::snapshot::{Snapshot, SwarmService};
use super::tasks::{describe, exit_code_words, has_failed, task_state};
use crate::engine::container::time;
use crate::engine::{ContainerRef, Result, events};
use treasury_domain::service::{Event, Events};
use treasury_ports::text::clean;

/// Ends of tasks on all nodes, what Swarm did with the service, and what this engine saw of its
/// own containers.
pub async fn events(swarm: SwarmService<'_>, since: Timestamp) -> Result<Events> {
    let snapshot = Snapshot::now(swarm).await?;
    let mut watched = swarm.local_containers().await?;
    watched.push(ContainerRef::new(&snapshot.id, swarm.name));
    let history = events::history(swarm.engine, &watched, since).await?;
    let mut all: Vec<Event> = history
        .events
        .iter()
        .cloned()
        .map(|(_, event)| event)
        .collect();
    for slot in snapshot.slots() {
        for task in slot.tasks {
            let status = task.status.as_ref();
            let at = status.and_then(|status| time(status.timestamp.as_deref()));
            let Some(at) = at.filter(|at| *at >= since && has_failed(task)) else {
                continue;
            };
            let node = task.node_id.as_ref().and_then(|id| snapshot.nodes.get(id));
            let node = node.map(|node| format!(" on {node}")).unwrap_or_default();
            let detail = format!("{}{node}{}", describe(task), exit_code_words(task));
            let state = task_state(task)
                .map(|state| state.to_string())
                .unwrap_or_default();
            all.push(Event {
                at,
                replica: slot.name.clone(),
                what: format!("task {state}"),
                detail: Some(clean(&detail)),
            });
        }
    }
    all.sort_by_key(|event| event.at);
    Ok(Events {
        list: events::newest(all),
        reaches: history.reaches,
    })
}
