//! The life of a pod on its node: what each container is at, and what is due.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::played::{Behaviour, End, Kubelet};
use crate::json::{list, text};
use crate::store::{Key, uid};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Creating,
    /// The image can't be pulled; `true` while it is not tried.
    Pulling(bool),
    Running,
    /// It ended, and nothing was done about it yet.
    Ended,
    /// It ended again, and a while passes until it is started again.
    BackingOff,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub code: i32,
    pub oom: bool,
    pub started: Timestamp,
    pub finished: Timestamp,
    pub id: String,
}

#[derive(Debug)]
pub struct Container {
    pub name: String,
    pub image: String,
    pub behaviour: Behaviour,
    pub stage: Stage,
    /// When the stage goes on.
    pub due: Option<Instant>,
    pub ready: bool,
    pub ready_at: Option<Instant>,
    pub end: Option<(Instant, End)>,
    pub restarts: u64,
    pub started: Option<Timestamp>,
    pub last: Option<Ended>,
    pub id: String,
    /// The pause before the next start.
    pub pause: Duration,
    probed: bool,
}

#[derive(Debug)]
pub struct Life {
    pub key: Key,
    pub containers: Vec<Container>,
    pub stop_at: Option<Instant>,
    pub began: Timestamp,
    pub address: String,
}

/// Kind, reason and words of an event.
type Events = Vec<(&'static str, &'static str, String)>;

impl Life {
    pub fn new(key: &Key, pod: &Value, kubelet: &Kubelet, now: Instant, number: usize) -> Self {
        let containers = list(pod, "/spec/containers").iter().map(|one| {
            let behaviour = kubelet.of(text(one, "/image"));
            Container {
                name: text(one, "/name").to_owned(),
                image: text(one, "/image").to_owned(),
                stage: Stage::Creating,
                due: Some(now + behaviour.start),
                behaviour,
                ready: false,
                ready_at: None,
                end: None,
                restarts: 0,
                started: None,
                last: None,
                id: String::new(),
                pause: Duration::ZERO,
                probed: one.get("readinessProbe").is_some(),
            }
        });
        Self {
            key: key.clone(),
            containers: containers.collect(),
            stop_at: None,
            began: Timestamp::now(),
            address: format!("10.244.{}.{}", number / 250, number % 250 + 2),
        }
    }

    /// When the next thing happens.
    pub fn due(&self) -> Option<Instant> {
        let each = self.containers.iter().flat_map(|one| {
            let end = one.end.map(|(at, _)| at);
            [one.due, one.ready_at, end]
        });
        each.chain([self.stop_at]).flatten().min()
    }

    pub fn advance(
        &mut self,
        pod: &Value,
        now: Instant,
        kubelet: &mut Kubelet,
        events: &mut Events,
    ) {
        let uid = text(pod, "/metadata/uid");
        let place = format!("{}_{}({uid})", self.key.name, self.key.namespace);
        for container in &mut self.containers {
            container.ripen(now, events);
            if container.end.is_some_and(|(at, _)| at <= now) && container.stage == Stage::Running {
                container.die(uid, kubelet);
            }
            while container.due.is_some_and(|at| at <= now) {
                container.due = None;
                container.go_on(uid, &place, now, kubelet, events);
            }
        }
    }
}

impl Container {
    /// The readiness probe passes at last.
    fn ripen(&mut self, now: Instant, events: &mut Events) {
        if self.ready_at.is_some_and(|at| at <= now) {
            self.ready_at = None;
            self.ready = self.stage == Stage::Running;
        }
        if self.stage == Stage::Running && !self.ready && self.probed && self.ready_at.is_none() {
            let message = "Readiness probe failed: HTTP probe failed with statuscode: 503";
            events.push(("Warning", "Unhealthy", message.to_owned()));
        }
    }

    fn die(&mut self, uid: &str, kubelet: &mut Kubelet) {
        let Some((_, end)) = self.end.take() else {
            return;
        };
        let now = Timestamp::now();
        let words: Vec<_> = self
            .behaviour
            .last_words
            .iter()
            .map(|one| (now, one.as_str()))
            .collect();
        kubelet.log(uid, &self.name, &words);
        self.last = Some(Ended {
            code: end.code,
            oom: end.oom,
            started: self.started.unwrap_or(now),
            finished: now,
            id: self.id.clone(),
        });
        self.stage = Stage::Ended;
        self.ready = false;
        self.ready_at = None;
        self.due = Some(Instant::now());
    }

    fn go_on(
        &mut self,
        uid: &str,
        place: &str,
        now: Instant,
        kubelet: &mut Kubelet,
        events: &mut Events,
    ) {
        let first = kubelet.backoff.unwrap_or(Duration::from_millis(500));
        let image = &self.image;
        match self.stage {
            Stage::Creating | Stage::Pulling(_) if self.behaviour.missing => {
                let again = self.stage != Stage::Pulling(false);
                if again {
                    let cause = "failed to resolve reference: not found";
                    let message = format!("Failed to pull image \"{image}\": {cause}");
                    events.push(("Warning", "Failed", message));
                    events.push(("Warning", "Failed", "Error: ErrImagePull".to_owned()));
                    self.stage = Stage::Pulling(false);
                    self.due = Some(now + Duration::from_millis(100));
                } else {
                    let message = format!("Back-off pulling image \"{image}\"");
                    events.push(("Normal", "BackOff", message));
                    events.push(("Warning", "Failed", "Error: ImagePullBackOff".to_owned()));
                    self.stage = Stage::Pulling(true);
                    self.due = Some(now + first);
                }
            }
            Stage::Ended if self.pause.is_zero() => {
                // The first time it is started again at once.
                self.pause = first;
                self.start(uid, now, kubelet, events);
            }
            Stage::Ended => {
                let message = format!(
                    "Back-off restarting failed container {} in pod {place}",
                    self.name
                );
                events.push(("Warning", "BackOff", message));
                self.stage = Stage::BackingOff;
                self.due = Some(now + self.pause);
                self.pause = (self.pause * 2).min(first * 30);
            }
            Stage::Running => {}
            _ => self.start(uid, now, kubelet, events),
        }
    }

    fn start(
        &mut self,
        uid_of_pod: &str,
        now: Instant,
        kubelet: &mut Kubelet,
        events: &mut Events,
    ) {
        if self.last.is_some() {
            self.restarts += 1;
        }
        // It may behave otherwise by now.
        self.behaviour = kubelet.of(&self.image);
        let (image, name) = (&self.image, &self.name);
        let message = format!("Container image \"{image}\" already present on machine");
        events.push(("Normal", "Pulled", message));
        events.push(("Normal", "Created", format!("Created container: {name}")));
        events.push(("Normal", "Started", format!("Started container {name}")));
        kubelet.started += 1;
        self.stage = Stage::Running;
        self.id = format!("containerd://{}", uid().replace('-', ""));
        self.started = Some(Timestamp::now());
        self.ready = !self.probed;
        let ready = self.behaviour.ready.filter(|_| self.probed);
        self.ready_at = ready.map(|after| now + after);
        self.end = self.behaviour.ends.map(|end| (now + end.after, end));
        let runs = kubelet
            .logs
            .entry((uid_of_pod.to_owned(), name.clone()))
            .or_default();
        let at = Timestamp::now();
        runs.push(
            self.behaviour
                .words
                .iter()
                .map(|one| (at, one.clone()))
                .collect(),
        );
    }
}
