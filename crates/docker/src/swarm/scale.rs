//! Changing the number of tasks.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::super::wait;
use super::service::{Seen, change};
use super::tasks::{has_failed, is_running, words};
use super::{Swarm, look};
use treasury_domain::service::{Patience, ServiceStatus};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// Why the service can't have another number of tasks, if it can't.
pub(in super::super) async fn scalable(swarm: Swarm<'_>) -> Result<(), PlatformError> {
    refuse(&Seen::now(swarm).await?)
}

fn refuse(seen: &Seen<'_>) -> Result<(), PlatformError> {
    let (mode, name) = (&seen.spec["Mode"], seen.swarm.name);
    if seen.wanted().is_some() {
        return Ok(());
    }
    let why = if mode["Global"].is_object() {
        "is global: Swarm keeps one task of it on each node. Add or drain nodes, or make it \
         anew with `--mode replicated`"
    } else {
        "is a job, which runs to its end: its number is set with `docker service update`"
    };
    Err(PlatformError::Unsupported(format!("{name} {why}")))
}

/// Brings the number of tasks to `replicas`.
pub(in super::super) async fn scale(
    swarm: Swarm<'_>,
    replicas: u32,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let before = Seen::now(swarm).await?;
    refuse(&before)?;
    progress.report(0, replicas, format!("Swarm is told: {replicas} tasks"));
    change(swarm, |spec| {
        let now = &mut spec["Mode"]["Replicated"]["Replicas"];
        if now.as_u64().unwrap_or(0) == u64::from(replicas) {
            return false;
        }
        *now = json!(replicas);
        true
    })
    .await?;
    let known: Vec<&Option<String>> = before.tasks.iter().map(|task| &task.id).collect();
    let begun = Instant::now();
    let longest = patience.stop + patience.healthy;
    let mut steady = None;
    loop {
        let seen = Seen::now(swarm).await?;
        let places = seen.standing();
        let running = places
            .iter()
            .filter(|place| place.current().is_some_and(is_running))
            .count();
        // Those that are too many have to be gone, not only unwanted.
        let leaving = seen.places().iter().any(|place| {
            place.current().is_none() && place.tasks.first().is_some_and(|task| is_running(task))
        });
        if running == replicas as usize && places.len() == running && !leaving {
            // A new task that ends at once has run, too.
            let is_new = |task: &bollard::models::Task| !known.contains(&&task.id);
            let new = places
                .iter()
                .any(|place| place.current().is_some_and(is_new));
            let since = *steady.get_or_insert_with(Instant::now);
            if !new || since.elapsed() >= wait::STABLE {
                progress.report(replicas, replicas, "all tasks run");
                return Ok(seen.status());
            }
        } else {
            steady = None;
        }
        let failed = places.iter().find_map(|place| {
            let new =
                |task: &&&bollard::models::Task| has_failed(task) && !known.contains(&&task.id);
            place.tasks.iter().find(new).map(|task| (place, *task))
        });
        let overdue = begun.elapsed() > longest;
        if failed.is_some() || overdue {
            let seconds = longest.as_secs();
            let mut text = match failed {
                Some((place, task)) => format!("{} {}", place.name, words(task)),
                None => format!("{running} of {replicas} tasks run after {seconds} s"),
            };
            let waits = places.iter().find_map(|place| {
                let task = place.current().filter(|task| !is_running(task))?;
                Some(format!("\n{} {}", place.name, words(task)))
            });
            if let Some((_, task)) = failed {
                for line in look::last_words(swarm.engine, task).await {
                    text.push_str(&format!("\n> {line}"));
                }
            } else if let Some(waits) = waits {
                text.push_str(&waits);
            }
            text.push_str(&format!(
                "\nThe number stays at {replicas}, and Swarm goes on trying: scale back if it \
                 does not help"
            ));
            return Err(wait::unwell(text));
        }
        let line = format!("{running} of {replicas} tasks run");
        progress.report(running as u32, replicas, line);
        tokio::time::sleep(LOOK).await;
    }
}
