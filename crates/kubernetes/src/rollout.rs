//! Following a rollout to its end.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::error::timeout;
use crate::{Pod, Result, Scope, Snapshot, Workload, WorkloadRef, logs, snapshot};
use treasury_domain::service::{Patience, WorkloadKind};
use treasury_ports::platform::{PlatformError, ProgressSink};
use treasury_ports::text::shown;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(400);

/// So long the server may be away while a rollout is followed.
const AWAY: Duration = Duration::from_secs(30);

/// A pod may end so often before it counts as a crash loop: some wait for others this way.
const CRASHES: u32 = 2;

/// How long pods may fail to be made, such as by a quota.
const FAILING: Duration = Duration::from_secs(10);

/// How many of its last log lines are told of a pod that ended.
const LAST_LINES: usize = 3;

/// What is awaited.
pub(crate) struct Goal<'a> {
    /// Pods that were there before: what ails them is no fault of the rollout.
    pub(crate) old: HashSet<String>,
    pub(crate) patience: Patience,
    pub(crate) progress: &'a ProgressSink,
    /// It is over once this holds.
    pub(crate) is_reached: &'a (dyn Fn(&Snapshot) -> bool + Send + Sync),
}

impl<'a> Goal<'a> {
    /// All pods are of the newest version and available.
    pub(crate) fn complete(
        before: &Snapshot,
        patience: Patience,
        progress: &'a ProgressSink,
    ) -> Self {
        Self {
            old: ids(before),
            patience,
            progress,
            is_reached: &|seen| seen.workload.is_rolled_out() && seen.is_ready(),
        }
    }

    fn is_new(&self, pod: &Pod) -> bool {
        !self.old.contains(pod.uid())
    }
}

/// The identifiers of the pods that are there.
pub(crate) fn ids(seen: &Snapshot) -> HashSet<String> {
    seen.pods.iter().map(|pod| pod.uid().to_owned()).collect()
}

/// Looks until the goal is reached. What will not get well is told early; where nothing moves for
/// as long as one replica may take, it is given up. The workload is left as it is.
pub(crate) async fn follow(scope: Scope<'_>, goal: &Goal<'_>) -> Result<Snapshot> {
    let still = goal.patience.stop + goal.patience.healthy;
    let mut answered = Instant::now();
    let mut moved = Instant::now();
    let mut last = (0, 0);
    let mut done = 0;
    let mut failing: Option<Instant> = None;
    loop {
        let seen = match snapshot::take(scope).await {
            Ok(seen) => seen,
            // The rollout goes on without us.
            Err(PlatformError::Unreachable { .. } | PlatformError::Timeout { .. })
                if answered.elapsed() < AWAY =>
            {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = Instant::now();
        if (goal.is_reached)(&seen) {
            return Ok(seen);
        }
        let counts = seen.workload.counts();
        let new = seen.living().filter(|pod| goal.is_new(pod));
        let ready = new.filter(|pod| pod.is_ready()).count() as u32;
        if last != (ready, seen.pods.len()) {
            last = (ready, seen.pods.len());
            moved = Instant::now();
        }
        // What is ready may fail again, but what was told stays told.
        done = done.max(ready.min(counts.desired));
        let line = format!("{ready} new pods are ready, {} available", counts.available);
        goal.progress.report(done, counts.desired, line);
        let mut why = given_up(&seen.workload);
        if why.is_none() {
            why = hopeless(scope, &seen, goal).await;
        }
        match cannot_make(&seen.workload) {
            None => failing = None,
            Some(cause) => {
                let since = *failing.get_or_insert_with(Instant::now);
                why = why.or((since.elapsed() >= FAILING).then_some(cause));
            }
        }
        if let Some(why) = why {
            return Err(unwell(scope.target, &seen, &why));
        }
        if moved.elapsed() >= still {
            return Err(overdue(scope.target, &seen, still));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Its controller has given the rollout up, and why.
pub(crate) fn given_up(workload: &Workload) -> Option<String> {
    let mut conditions = workload.conditions().iter();
    let late = conditions.find(|one| one.reason == "ProgressDeadlineExceeded")?;
    // An old word: it is about what was asked before.
    workload.is_observed().then(|| late.words("", 300))
}

/// Pods can't even be made, such as for a quota.
fn cannot_make(workload: &Workload) -> Option<String> {
    let mut conditions = workload.conditions().iter();
    let failure = conditions.find(|one| one.kind == "ReplicaFailure" && one.holds())?;
    let text = format!("its pods can't be made: {}", failure.message);
    Some(shown(&text, 400))
}

/// The first new pod that will not get well by itself, and its last lines.
async fn hopeless(scope: Scope<'_>, seen: &Snapshot, goal: &Goal<'_>) -> Option<String> {
    let mut new = seen.living().filter(|pod| goal.is_new(pod));
    let (pod, why) = new.find_map(|pod| {
        let why = pod.stuck()?;
        let hopeless = !why.starts_with("CrashLoopBackOff") || pod.crashes() >= CRASHES;
        hopeless.then_some((pod, why))
    })?;
    let lines = logs::last(scope, pod, LAST_LINES).await;
    let lines: String = lines.iter().map(|line| format!("\n> {line}")).collect();
    Some(format!("{}: {why}{lines}", pod.name()))
}

/// The error for a rollout that failed, with what still serves.
fn unwell(target: WorkloadRef<'_>, seen: &Snapshot, why: &str) -> PlatformError {
    let ready = seen.living().filter(|pod| pod.is_ready()).count();
    let serving = match (target.kind, ready) {
        (WorkloadKind::Deployment, 1..) => format!("\n{ready} pods that are ready go on serving"),
        _ => String::new(),
    };
    PlatformError::Unwell {
        what: format!("the rollout of {} failed: {why}{serving}", target.name),
    }
}

/// The error for a rollout in which nothing moves any more.
fn overdue(target: WorkloadRef<'_>, seen: &Snapshot, after: Duration) -> PlatformError {
    let name = target.name;
    let Some(worst) = seen.living().find(|pod| !pod.is_ready()) else {
        let what = format!("the rollout of {name} (its controller is not at it)");
        return timeout(what, after);
    };
    let worst = worst.replica(&target.names(), Timestamp::now());
    let note = worst.note.unwrap_or_else(|| "is not ready".to_owned());
    PlatformError::Unwell {
        what: format!(
            "{name} does not get well: nothing has moved for {} s; {}: {note}",
            after.as_secs(),
            worst.name
        ),
    }
}
