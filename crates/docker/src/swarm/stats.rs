//! Figures of a service's tasks: engines measure only their own.

use std::collections::BTreeSet;

use bollard::models::{SwarmInfo, Task};

use super::snapshot::Snapshot;
use super::tasks::is_running;
use treasury_domain::service::ServiceStats;

/// The figures of the tasks on this node, with the names of nodes, and how many run elsewhere.
pub fn named(
    snapshot: &Snapshot<'_>,
    this_node: Option<SwarmInfo>,
    mut stats: ServiceStats,
) -> ServiceStats {
    for replica in &mut stats.replicas {
        // A global service's containers are called after the node's id.
        let node = replica.replica.rsplit_once('.').map(|(_, key)| key);
        if let Some(node) = node.and_then(|key| snapshot.nodes.get(key)) {
            replica.replica = format!("{}.{node}", snapshot.service.name);
        }
    }
    let own = this_node.and_then(|node| node.node_id);
    let running = || snapshot.tasks.iter().filter(|task| is_running(task));
    let elsewhere: Vec<&Task> = running().filter(|task| task.node_id != own).collect();
    let nodes = elsewhere
        .iter()
        .filter_map(|task| snapshot.nodes.get(task.node_id.as_ref()?));
    let names: Vec<&str> = nodes
        .map(String::as_str)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    stats.note = (!elsewhere.is_empty()).then(|| {
        format!(
            "{} of {} tasks run on {}, which only their own engines can measure",
            elsewhere.len(),
            running().count(),
            names.join(", ")
        )
    });
    stats
}
