//! What images do, and what is known of the processes of pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::life::Life;
use crate::store::Key;

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
    pub lives: HashMap<String, Life>,
    pub logs: HashMap<(String, String), Vec<Lines>>,
    timers: BTreeSet<(Instant, Key)>,
    /// CPU in nanocores and memory in bytes by the uid of the pod.
    pub used: HashMap<String, (u64, u64)>,
    /// How many pods have got a node.
    pub placed: usize,
    /// How many processes have started in all.
    pub started: usize,
}

impl Kubelet {
    /// What an image does. Where nothing was said of it, its tag may say `missing`, `crash`,
    /// `oom` or `never-ready`.
    pub fn of(&self, image: &str) -> Behaviour {
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
