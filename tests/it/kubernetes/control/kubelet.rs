//! Nodes: pods are placed, run, get ready, fail and end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::cluster::State;
use super::super::json::{going, list, number, seconds, set, text};
use super::super::resource::Kind;
use super::super::store::Key;
use super::reference;

mod life;
mod report;

use life::Life;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// After this time.
    pub after: Duration,
    pub code: i32,
    /// The kernel ended it for lack of memory.
    pub oom: bool,
}

/// What an image does when it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// It can't be pulled.
    pub missing: bool,
    /// From the pod's placement until its process runs.
    pub start: Duration,
    /// From there until the readiness probe passes, where there is one; never where `None`.
    pub ready: Option<Duration>,
    /// The process ends by itself.
    pub ends: Option<End>,
    /// From the request to end until the process ends.
    pub stop: Duration,
    /// What it writes when it starts.
    pub words: Vec<String>,
    /// What it writes when it ends by itself.
    pub last_words: Vec<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            missing: false,
            start: Duration::from_millis(30),
            ready: Some(Duration::from_millis(50)),
            ends: None,
            stop: Duration::from_millis(30),
            words: Vec::new(),
            last_words: Vec::new(),
        }
    }
}

/// Lines of a log with their times.
type Lines = Vec<(Timestamp, String)>;

/// All nodes, and what the controllers remember.
#[derive(Debug, Default)]
pub struct Kubelet {
    /// The version up to which the controllers have looked.
    pub seen: u64,
    /// What images do; others behave by the words in their tag, see [`Kubelet::of`].
    pub images: BTreeMap<String, Behaviour>,
    /// What all other images do.
    pub usual: Behaviour,
    /// The first pause before a process that ended is started again; it doubles each time, up to
    /// 30 times this.
    pub backoff: Option<Duration>,
    lives: HashMap<String, Life>,
    logs: HashMap<(String, String), Vec<Lines>>,
    timers: BTreeSet<(Instant, Key)>,
    /// CPU in nanocores and memory in bytes by the uid of the pod.
    pub used: HashMap<String, (u64, u64)>,
    placed: usize,
    /// How many processes have started in all.
    pub started: usize,
}

impl Kubelet {
    /// What an image does. Where nothing was said of it, its tag may say `missing`, `crash`,
    /// `oom` or `never-ready`.
    fn of(&self, image: &str) -> Behaviour {
        if let Some(known) = self.images.get(image) {
            return known.clone();
        }
        let mut usual = self.usual.clone();
        let tag = image.rsplit(':').next().unwrap_or("");
        let ends = |code, oom| {
            Some(End {
                after: Duration::from_millis(50),
                code,
                oom,
            })
        };
        match tag {
            tag if tag.contains("missing") => usual.missing = true,
            tag if tag.contains("crash") => usual.ends = ends(1, false),
            tag if tag.contains("oom") => usual.ends = ends(137, true),
            _ => {}
        }
        if usual.ends.is_some() || tag.contains("never-ready") {
            usual.ready = None;
        }
        usual
    }

    /// Puts lines into the log of the run of a container that is under way.
    pub fn log(&mut self, uid: &str, container: &str, lines: &[(Timestamp, &str)]) {
        let runs = self
            .logs
            .entry((uid.to_owned(), container.to_owned()))
            .or_default();
        if runs.is_empty() {
            runs.push(Vec::new());
        }
        let run = runs.last_mut().unwrap();
        run.extend(lines.iter().map(|(at, line)| (*at, (*line).to_owned())));
        run.sort_by_key(|(at, _)| *at);
    }

    /// The logs of the runs of a container, the newest last.
    pub fn runs(&self, uid: &str, container: &str) -> &[Lines] {
        let runs = self.logs.get(&(uid.to_owned(), container.to_owned()));
        runs.map_or(&[], Vec::as_slice)
    }

    /// CPU in nanocores and memory in bytes of a pod.
    pub fn usage(&self, uid: &str) -> (u64, u64) {
        self.used
            .get(uid)
            .copied()
            .unwrap_or((12_000_000, 64 * 1024 * 1024))
    }

    /// The processes of a pod end now in this way; whether there is such a pod.
    pub fn kill(&mut self, uid: &str, end: End) -> bool {
        let Some(life) = self.lives.get_mut(uid) else {
            return false;
        };
        let at = Instant::now() + end.after;
        for container in &mut life.containers {
            container.end = Some((at, end));
        }
        let key = life.key.clone();
        self.due(at, key);
        true
    }

    /// An object is to be looked at again at this time.
    pub fn due(&mut self, at: Instant, key: Key) {
        self.timers.insert((at, key));
    }

    pub fn take_due(&mut self, now: Instant) -> Vec<Key> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            due.extend(self.timers.pop_first().map(|(_, key)| key));
        }
        due
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }
}

/// Goes on with a pod.
pub fn sync(state: &mut State, key: &Key, now: Instant) {
    let Some(pod) = state.store.get(key).cloned() else {
        state.kubelet.lives.retain(|_, life| life.key != *key);
        return;
    };
    if text(&pod, "/spec/nodeName").is_empty() && !place(state, key, &pod) {
        return;
    }
    let pod = state.store.get(key).cloned().unwrap_or(pod);
    let uid = text(&pod, "/metadata/uid").to_owned();
    let mut life = match state.kubelet.lives.remove(&uid) {
        Some(life) => life,
        None => {
            // Another pod had this name before.
            state.kubelet.lives.retain(|_, life| life.key != *key);
            let address = state.kubelet.placed;
            Life::new(key, &pod, &state.kubelet, now, address)
        }
    };
    let about = reference(Kind::kept("pods"), &pod);
    let mut told = Vec::new();
    if going(&pod) && life.stop_at.is_none() {
        let grace = number(&pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(30);
        let stop = life.containers.iter().map(|one| one.behaviour.stop).max();
        let stop = stop
            .unwrap_or_default()
            .min(Duration::from_secs(grace as u64));
        life.stop_at = Some(now + stop);
        for container in &life.containers {
            let message = format!("Stopping container {}", container.name);
            told.push(("Normal", "Killing", message));
        }
    }
    let stopped = life.stop_at.is_some_and(|at| at <= now);
    if !stopped {
        life.advance(&pod, now, &mut state.kubelet, &mut told);
    }
    let component = "kubelet";
    for (kind, reason, message) in told {
        super::super::event::tell(state, &about, kind, reason, &message, component);
    }
    if stopped {
        state.store.remove(key);
        return;
    }
    let status = report::status(&pod, &life);
    state.store.modify(key, |pod| set(pod, &["status"], status));
    if let Some(at) = life.due() {
        state.kubelet.due(at, key.clone());
    }
    state.kubelet.lives.insert(uid, life);
}

/// Gives a pod a node; whether there is one.
fn place(state: &mut State, key: &Key, pod: &Value) -> bool {
    let wanted = &pod["spec"]["nodeSelector"];
    let nodes: Vec<String> = state
        .store
        .list("nodes", "")
        .filter(|(_, node)| {
            let labels = &node["metadata"]["labels"];
            let all = wanted.as_object().into_iter().flatten();
            node["spec"]["unschedulable"] != true
                && all
                    .into_iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
        })
        .map(|(key, _)| key.name.clone())
        .collect();
    let about = reference(Kind::kept("pods"), pod);
    if nodes.is_empty() {
        let message = "0/2 nodes are available: 2 node(s) didn't match Pod's node \
                       affinity/selector.";
        let condition = json!([{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastProbeTime": null,
            "lastTransitionTime": seconds(Timestamp::now()),
        }]);
        if list(pod, "/status/conditions").is_empty() {
            state
                .store
                .modify(key, |pod| set(pod, &["status", "conditions"], condition));
            let component = "default-scheduler";
            let reason = "FailedScheduling";
            super::super::event::tell(state, &about, "Warning", reason, message, component);
        }
        return false;
    }
    state.kubelet.placed += 1;
    let node = nodes[state.kubelet.placed % nodes.len()].clone();
    let message = format!(
        "Successfully assigned {}/{} to {node}",
        key.namespace, key.name
    );
    state
        .store
        .modify(key, |pod| set(pod, &["spec", "nodeName"], json!(node)));
    let component = "default-scheduler";
    super::super::event::tell(state, &about, "Normal", "Scheduled", &message, component);
    true
}
