//! The machines of a Swarm, as its managers see them.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    Node as Model, NodeSpecAvailabilityEnum as Availability, NodeState, Task, TaskState,
};
use jiff::Timestamp;

use super::snapshot::{Snapshot, no_manager};
use super::tasks::{describe, is_over, is_wanted, task_state};
use crate::engine::container::time;
use crate::engine::{Engine, Result};
use treasury_domain::counted;

/// A machine of the Swarm.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    /// The managers' word for it where it is not `ready`, such as `down`.
    lost: Option<String>,
    /// When its description last changed: it was lost then or before.
    pub changed: Option<Timestamp>,
    /// `drain` or `pause`: no task is put there.
    closed: Option<Availability>,
}

impl Node {
    /// `None` for one without an id.
    pub fn new(node: Model) -> Option<(String, Self)> {
        let id = node.id?;
        let name = node.description.and_then(|about| about.hostname);
        let state = node.status.and_then(|status| status.state);
        let lost = state.filter(|state| *state != NodeState::READY);
        let availability = node.spec.and_then(|spec| spec.availability);
        let closed = |one: &Availability| matches!(one, Availability::DRAIN | Availability::PAUSE);
        let node = Self {
            name: name.unwrap_or_else(|| id.clone()),
            lost: lost.map(|state| state.to_string()),
            changed: time(node.updated_at.as_deref()),
            closed: availability.filter(closed),
        };
        Some((id, node))
    }

    /// `Down since 07:06:42 UTC at the latest`; `None` for a machine that answers the managers.
    pub fn lost(&self) -> Option<String> {
        let word = match self.lost.as_deref()? {
            "down" => "Down",
            other => other,
        };
        let since = self
            .changed
            .map(|at| format!(" since {} at the latest", clock(at)));
        Some(format!("{word}{}", since.unwrap_or_default()))
    }

    fn closed(&self) -> Option<&'static str> {
        match self.closed? {
            Availability::PAUSE => Some("is paused: no further task is put there"),
            _ => Some("is drained: no task is put there"),
        }
    }
}

/// `07:06:42 UTC`, with the day where that is not today's.
pub fn clock(at: Timestamp) -> String {
    let old = Timestamp::now().duration_since(at).as_hours() >= 20;
    let form = if old { "%F %H:%M UTC" } else { "%H:%M:%S UTC" };
    at.strftime(form).to_string()
}

/// All machines, by id.
pub async fn nodes(engine: &Engine) -> Result<HashMap<String, Node>> {
    let call = engine.client()?.list_nodes(None);
    let nodes = engine.query("the list of nodes", call).await;
    let nodes = nodes.map_err(|error| no_manager(engine, error))?;
    Ok(nodes.into_iter().filter_map(Node::new).collect())
}

impl Snapshot<'_> {
    /// The machine of a task.
    pub fn node(&self, task: &Task) -> Option<&Node> {
        self.nodes.get(task.node_id.as_ref()?)
    }

    /// ` on node-b`, where there are several machines.
    pub fn on_node(&self, task: &Task) -> String {
        let node = self.node(task).filter(|_| self.nodes.len() > 1);
        node.map_or_else(String::new, |node| format!(" on {}", node.name))
    }

    /// What a task is, why, and where: `failed: task: non-zero exit (1) on node-b`.
    pub fn described(&self, task: &Task) -> String {
        format!("{}{}", describe(task), self.on_node(task))
    }

    /// Its machine does not answer: what Swarm tells of it is of before.
    pub fn is_lost(&self, task: &Task) -> bool {
        self.node(task).is_some_and(|node| node.lost.is_some())
    }

    /// It may still be there: it was told to run or to end, on a machine that is lost.
    pub fn is_left(&self, task: &Task) -> bool {
        self.is_lost(task) && !is_over(task)
    }

    /// What is wrong with the machines that the service has tasks on, a line each.
    pub fn lost_nodes(&self) -> Vec<String> {
        let left = self.tasks.iter().filter(|task| self.is_left(task));
        let lines = self.by_node(left).into_values().map(|(node, count)| {
            let lost = node.lost().unwrap_or_default();
            let tasks = counted(count, "task");
            let run = if count == 1 { "runs" } else { "run" };
            format!(
                "{} is {lost}: whether {tasks} still {run} there is not known",
                node.name
            )
        });
        lines.collect()
    }

    /// Machines that get no tasks, where this service has had some or waits for a machine.
    pub fn closed_nodes(&self) -> Vec<String> {
        let waits = |task: &Task| is_wanted(task) && task_state(task) == Some(TaskState::PENDING);
        let all = self.tasks.iter().any(waits);
        let concerned = |id: &String| {
            all || self
                .tasks
                .iter()
                .any(|task| task.node_id.as_ref() == Some(id))
        };
        let closed = self.nodes.iter().filter(|(id, _)| concerned(id));
        let lines =
            closed.filter_map(|(_, node)| Some(format!("{} {}", node.name, node.closed()?)));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    }

    /// How many of these tasks are on which machine, by its name.
    pub fn by_node<'t>(
        &self,
        tasks: impl Iterator<Item = &'t Task>,
    ) -> BTreeMap<&str, (&Node, usize)> {
        let mut counts = BTreeMap::new();
        for node in tasks.filter_map(|task| self.node(task)) {
            counts.entry(node.name.as_str()).or_insert((node, 0)).1 += 1;
        }
        counts
    }
}
