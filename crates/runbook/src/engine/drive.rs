//! A run in the hands of one process: what to write, what to start, what to give up.
//!
//! Its owner writes each [`Batch`] before it does anything else with the run. The same code drives
//! the bot's runs and the simulation of the tests.

use std::collections::BTreeSet;

use jiff::Timestamp;
use treasury_domain::timeline;

use super::advance::advance;
use super::event::{self, Decision, Event, NotNow, Outcome};
use super::pending::{PendingCall, pending_calls};
use super::state::{
    Announcement, Approval, MAX_LINE, Phase, RunState, StepState, Stop, Verdict, Vote,
};
use crate::model::Runbook;
use crate::vocabulary::Vocabulary;

/// What has to be written, in one transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Steps that are new or have changed, by path.
    pub steps: Vec<(String, StepState)>,
    /// The run is being ended early.
    pub stop: Option<Stop>,
    /// The run has ended.
    pub verdict: Option<Verdict>,
    /// What is to be said and noted.
    pub announcements: Vec<Announcement>,
}

impl Batch {
    /// There is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A run in the hands of one process.
pub struct Drive<'r> {
    runbook: &'r Runbook,
    vocabulary: &'r Vocabulary,
    state: RunState,
    /// What is under way in this process.
    under_way: BTreeSet<(String, u32)>,
    changed: BTreeSet<String>,
    announcements: Vec<Announcement>,
    stop_written: bool,
    verdict_written: bool,
    wake: Option<Timestamp>,
}

impl<'r> Drive<'r> {
    /// A run as it is written: a new one, or one that another process left behind.
    pub fn new(runbook: &'r Runbook, vocabulary: &'r Vocabulary, mut state: RunState) -> Self {
        let mut changed = BTreeSet::new();
        // The process that was at these steps is gone.
        for (path, step) in &mut state.steps {
            if step.phase == Phase::Running && step.call.is_some() {
                step.interruptions += 1;
                changed.insert(path.clone());
            }
        }
        Self {
            runbook,
            vocabulary,
            under_way: BTreeSet::new(),
            changed,
            announcements: Vec::new(),
            stop_written: state.stop.is_some(),
            verdict_written: state.verdict.is_some(),
            wake: None,
            state,
        }
    }

    /// The run as it is known.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The next moment at which something happens by itself.
    pub fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// Brings the run as far as it gets now, and returns what has to be written.
    pub fn advance(&mut self, now: Timestamp) -> Batch {
        let done = advance(self.runbook, self.vocabulary, &mut self.state, now);
        self.wake = done.wake;
        self.changed.extend(done.changed);
        self.announcements.extend(done.announcements);
        let mut batch = Batch {
            announcements: std::mem::take(&mut self.announcements),
            ..Batch::default()
        };
        for path in std::mem::take(&mut self.changed) {
            if let Some(step) = self.state.steps.get(&path) {
                batch.steps.push((path, step.clone()));
            }
        }
        if !self.stop_written && self.state.stop.is_some() {
            self.stop_written = true;
            batch.stop.clone_from(&self.state.stop);
        }
        if !self.verdict_written && self.state.verdict.is_some() {
            self.verdict_written = true;
            batch.verdict = self.state.verdict;
        }
        batch
    }

    /// What is to be started now; called after the batch has been written.
    pub fn start(&mut self, now: Timestamp) -> Vec<PendingCall> {
        let all = pending_calls(self.runbook, &self.state, now);
        let mut new = Vec::new();
        for one in all {
            let key = (one.path.clone(), one.attempt);
            if one.begin || self.under_way.insert(key) {
                new.push(one);
            }
        }
        new
    }

    /// What is under way and not wanted any more: to be given up.
    pub fn give_up(&mut self, now: Timestamp) -> Vec<(String, u32)> {
        let all: BTreeSet<(String, u32)> = pending_calls(self.runbook, &self.state, now)
            .into_iter()
            .map(|one| (one.path, one.attempt))
            .collect();
        let lost: Vec<_> = self.under_way.difference(&all).cloned().collect();
        self.under_way.retain(|key| all.contains(key));
        lost
    }

    /// The step of this path, if it has still to begin.
    fn scheduled(&mut self, path: &str) -> Option<&mut StepState> {
        let step = self.state.steps.get_mut(path)?;
        (step.phase == Phase::Scheduled).then_some(step)
    }

    /// The step as it is once it has been begun; to be written together with its intent.
    pub fn begun(&self, path: &str) -> Option<StepState> {
        let mut step = self.state.steps.get(path)?.clone();
        begin(&mut step).then_some(step)
    }

    /// The intent and [`Self::begun`] have been written.
    pub fn started(&mut self, path: &str) {
        self.state.steps.get_mut(path).map(begin);
    }

    /// It has to wait for somebody else's change; it is tried again at `until`.
    pub fn queued(&mut self, path: &str, behind: &str, until: Timestamp) {
        if let Some(step) = self.scheduled(path) {
            step.until = Some(until);
            step.line = format!("waits for {behind}");
            self.changed.insert(path.to_owned());
        }
    }

    /// It is not the starter's to make: whoever may approve it is asked until `until`.
    pub fn request_approval(
        &mut self,
        path: &str,
        approval: Approval,
        text: &str,
        until: Timestamp,
    ) {
        if let Some(step) = self.scheduled(path) {
            step.phase = Phase::Asking;
            step.asked = true;
            step.approval = Some(Approval {
                attempt: step.attempt,
                ..approval
            });
            step.votes.clear();
            step.until = Some(until);
            step.line = timeline::cut(text, MAX_LINE);
            self.announce(Announcement::step(path), path);
        }
    }

    /// It can never begin.
    pub fn refused(&mut self, path: &str, why: &str, now: Timestamp) {
        if self.state.steps.get_mut(path).is_some_and(begin) {
            let attempt = self.state.steps.get(path).map_or(1, |step| step.attempt);
            let line = why.to_owned();
            let retry = false;
            self.finished(path, attempt, Outcome::Bad { line, retry }, now);
        }
    }

    /// A call has ended.
    pub fn finished(&mut self, path: &str, attempt: u32, outcome: Outcome, now: Timestamp) -> bool {
        self.under_way.remove(&(path.to_owned(), attempt));
        let Some(is_news) =
            event::finished(self.runbook, &mut self.state, path, attempt, outcome, now)
        else {
            return false;
        };
        if is_news {
            self.announcements.push(Announcement::step(path));
        }
        self.changed.insert(path.to_owned());
        true
    }

    fn announce(&mut self, announcement: Announcement, path: &str) {
        self.announcements.push(announcement);
        self.changed.insert(path.to_owned());
    }

    /// Takes up what the run is told. `Err`: it comes too late, or is not for whoever said it.
    pub fn tell(&mut self, event: Event, now: Timestamp) -> Result<(), NotNow> {
        match event {
            Event::Ended {
                path,
                attempt,
                outcome,
            } => {
                self.finished(&path, attempt, outcome, now);
                Ok(())
            }
            Event::Vote { path, vote } => self.vote(&path, vote, now),
            Event::Decide {
                path,
                decision,
                by,
                reason,
            } => self.decide(&path, &decision, &by, reason.as_deref(), now),
            Event::Stop { by, reason } => self.stop(&by, &reason, now),
        }
    }

    /// Somebody answers a question of the run.
    pub fn vote(&mut self, path: &str, vote: Vote, now: Timestamp) -> Result<(), NotNow> {
        let news = event::vote(self.runbook, &mut self.state, path, vote, now)?;
        self.announce(news, path);
        Ok(())
    }

    /// Somebody decides about a step that failed.
    pub fn decide(
        &mut self,
        path: &str,
        decision: &Decision,
        by: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), NotNow> {
        let state = &mut self.state;
        let news = event::decide(self.runbook, state, path, decision, by, reason, now)?;
        self.announce(news, path);
        Ok(())
    }

    /// Somebody ends the run early.
    pub fn stop(&mut self, by: &str, reason: &str, now: Timestamp) -> Result<(), NotNow> {
        event::stop(&mut self.state, by, reason, now)
    }
}

/// Begins a scheduled step; `false` for another.
fn begin(step: &mut StepState) -> bool {
    let scheduled = step.phase == Phase::Scheduled;
    if scheduled {
        step.phase = Phase::Running;
        step.until = None;
        step.line = String::new();
    }
    scheduled
}
