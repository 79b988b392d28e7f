//! Following a rollout to its end.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::api::Line;
use super::find::{self, Place, Seen};
use super::workload::Workload;
use super::{PLATFORM, logs, pod};
use treasury_domain::service::{Patience, WorkloadKind};
use treasury_domain::timeline::cut;
use treasury_ports::platform::{PlatformError, ProgressSink};
use treasury_ports::text::clean;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(400);

/// So long the server may be away while a rollout is followed.
const AWAY: Duration = Duration::from_secs(30);

/// A pod may end so often before it counts as a crash loop: some wait for others this way.
const CRASHES: i32 = 2;

/// How long pods may fail to be made, such as by a quota.
const FAILING: Duration = Duration::from_secs(10);

/// How many of its last log lines are told of a pod that ended.
const LAST_LINES: usize = 3;

/// What is awaited.
pub(super) struct Goal<'a> {
    /// Pods that were there before: what ails them is no fault of the rollout.
    pub(super) old: HashSet<String>,
    pub(super) patience: Patience,
    pub(super) progress: &'a ProgressSink,
    /// It is over once this holds.
    pub(super) done: &'a (dyn Fn(&Seen) -> bool + Send + Sync),
}

/// All pods are of the newest version and available.
pub(super) fn is_complete(seen: &Seen) -> bool {
    seen.workload.is_rolled_out() && seen.living().all(|pod| pod::is_ready(pod))
}

/// The identifiers of the pods that are there.
pub(super) fn ids(pods: &[std::sync::Arc<Pod>]) -> HashSet<String> {
    pods.iter().map(|pod| pod::uid(pod).to_owned()).collect()
}

/// Looks until the goal is reached. What will not get well is told early; where nothing moves for
/// as long as one replica may take, it is given up. The workload is left as it is.
pub(super) async fn follow(
    line: &Line,
    place: Place<'_>,
    goal: &Goal<'_>,
) -> Result<Seen, PlatformError> {
    let still = goal.patience.stop + goal.patience.healthy;
    let mut answered = Instant::now();
    let mut moved = Instant::now();
    let mut last = (0, 0);
    let mut done = 0;
    let mut failing: Option<Instant> = None;
    loop {
        let seen = match find::look(line, place).await {
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
        if (goal.done)(&seen) {
            return Ok(seen);
        }
        let counts = seen.workload.counts();
        let is_new = |pod: &Pod| !goal.old.contains(pod::uid(pod));
        let new = seen.living().filter(|pod| is_new(pod));
        let ready = new.filter(|pod| pod::is_ready(pod)).count() as u32;
        let left = seen.pods.len() as u32;
        if last != (ready, left) {
            last = (ready, left);
            moved = Instant::now();
        }
        // What is ready may fail again, but what was told stays told.
        done = done.max(ready.min(counts.desired));
        goal.progress.report(
            done,
            counts.desired,
            format!("{ready} new pods are ready, {} available", counts.available),
        );
        if let Some(why) = given_up(&seen.workload) {
            return Err(unwell(place, &seen, &why));
        }
        for pod in seen.living().filter(|pod| is_new(pod)) {
            if let Some(why) = hopeless(pod) {
                let why = format!("{}: {why}", pod::name(pod));
                let lines = last_words(line, place, pod).await;
                return Err(unwell(place, &seen, &(why + &lines)));
            }
        }
        match cannot_make(&seen.workload) {
            None => failing = None,
            Some(why) => {
                let since = *failing.get_or_insert_with(Instant::now);
                if since.elapsed() >= FAILING {
                    return Err(unwell(place, &seen, &why));
                }
            }
        }
        if moved.elapsed() >= still {
            return Err(overdue(place, &seen, still));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Its controller has given the rollout up.
fn given_up(workload: &Workload) -> Option<String> {
    let conditions = workload.conditions();
    let late = conditions
        .iter()
        .find(|one| one.reason == "ProgressDeadlineExceeded")?;
    // An old word: it is about what was asked before.
    workload
        .is_observed()
        .then(|| cut(&clean(&format!("{}: {}", late.reason, late.message)), 300))
}

/// The workload's rollout was given up, as its controller says.
pub(super) fn is_given_up(workload: &Workload) -> bool {
    given_up(workload).is_some()
}

/// Pods can't even be made, such as for a quota.
fn cannot_make(workload: &Workload) -> Option<String> {
    let conditions = workload.conditions();
    let failure = conditions
        .iter()
        .find(|one| one.kind == "ReplicaFailure" && one.holds)?;
    let text = format!("its pods can't be made: {}", failure.message);
    Some(cut(&clean(&text), 400))
}

/// What this pod will not get over by itself.
fn hopeless(pod: &Pod) -> Option<String> {
    let why = pod::stuck(pod)?;
    let crashes = pod::crashes(pod);
    (!why.starts_with("CrashLoopBackOff") || crashes >= CRASHES).then_some(why)
}

/// The last lines that its last run wrote, to be put behind a sentence.
async fn last_words(line: &Line, place: Place<'_>, pod: &Pod) -> String {
    let lines = logs::last(line, place, pod, LAST_LINES).await;
    lines.iter().fold(String::new(), |mut all, line| {
        all.push_str("\n> ");
        all.push_str(line);
        all
    })
}

/// The error for a rollout that failed, with what still serves.
fn unwell(place: Place<'_>, seen: &Seen, why: &str) -> PlatformError {
    let ready = seen.living().filter(|pod| pod::is_ready(pod)).count();
    let serving = match (place.kind, ready) {
        (WorkloadKind::Deployment, 1..) => format!("\n{ready} pods that are ready go on serving"),
        _ => String::new(),
    };
    PlatformError::Unwell {
        what: format!("the rollout of {} failed: {why}{serving}", place.name),
    }
}

/// The error for a rollout in which nothing moves any more.
fn overdue(place: Place<'_>, seen: &Seen, after: Duration) -> PlatformError {
    let names = [place.service, place.name];
    let now = Timestamp::now();
    let worst = seen.living().find(|pod| !pod::is_ready(pod)).map(|pod| {
        let replica = pod::replica(pod, &names, now);
        let note = replica.note.unwrap_or_else(|| "is not ready".to_owned());
        format!("{}: {note}", replica.name)
    });
    match worst {
        Some(worst) => PlatformError::Unwell {
            what: format!(
                "{} does not get well: nothing has moved for {} s; {worst}",
                place.name,
                after.as_secs()
            ),
        },
        None => PlatformError::Timeout {
            platform: PLATFORM,
            what: format!(
                "the rollout of {} (its controller is not at it)",
                place.name
            ),
            after,
        },
    }
}
