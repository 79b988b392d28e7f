//! Figures of a service's tasks: engines measure only their own.

use bollard::models::SwarmInfo;

use super::snapshot::Snapshot;
use super::tasks::is_wanted;
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
            replica.replica = format!("{}.{}", snapshot.service.name, node.name);
        }
    }
    let own = this_node.and_then(|node| node.node_id);
    let running = || {
        let tasks = snapshot.tasks.iter();
        tasks.filter(|task| is_wanted(task) && snapshot.runs(task))
    };
    let elsewhere = running().filter(|task| task.node_id != own);
    let names: Vec<&str> = snapshot.by_node(elsewhere.clone()).into_keys().collect();
    let mut notes = snapshot.lost_nodes();
    if !names.is_empty() {
        notes.push(format!(
            "{} of {} tasks run on {}, which only their own engines can measure",
            elsewhere.count(),
            running().count(),
            names.join(", ")
        ));
    }
    stats.note = (!notes.is_empty()).then(|| notes.join("; "));
    stats
}
