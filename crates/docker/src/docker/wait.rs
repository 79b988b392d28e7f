//! Awaiting that a replica runs and is healthy.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::engine::container::{inspect, replica};
use crate::engine::logs::{LogSource, last_lines};
use crate::engine::{ContainerRef, Engine, Result, events, timeout, unwell};
use treasury_domain::service::{Health, Replica, ReplicaState};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::clean;

const POLL_INTERVAL: Duration = Duration::from_millis(150);

/// Without a health check a replica must run for so long before the next one is touched.
pub const STABLE: Duration = Duration::from_secs(2);

/// Awaits that a replica is well: healthy, or, where nothing checks its health, running for
/// `stable`.
///
/// `ended_for` is how long it may be seen not running: nothing after a start of ours, some seconds
/// where the engine may be between stop and start.
pub async fn until_well(
    engine: &Engine,
    one: &ContainerRef,
    patience: Duration,
    stable: Duration,
    ended_for: Duration,
) -> Result<()> {
    let begun = Instant::now();
    let ahead = engine.clock_ahead().await?;
    let mut run = None;
    let mut restarts = None;
    let mut ended_since = None;
    loop {
        let Some(now) = replica(engine, &one.id).await? else {
            let name = &one.name;
            return Err(unwell(format!("{name} was removed while it was awaited")));
        };
        if run.is_none_or(|(started_at, _)| started_at != now.started_at) {
            run = Some((now.started_at, Instant::now()));
        }
        // The engine begins anew to count when it is told to start a container.
        let rising = *restarts.get_or_insert(now.restarts) < now.restarts;
        if rising || (now.state == ReplicaState::Restarting && now.restarts > 0) {
            return Err(ended(engine, &now, "keeps ending: it").await);
        }
        match now.state {
            ReplicaState::Running => {
                ended_since = None;
                let seen = run.map_or(Duration::ZERO, |(_, seen)| seen.elapsed());
                let steady = seen >= stable || age(&now, ahead) >= stable;
                if now.health == Health::Healthy || (now.health == Health::Unchecked && steady) {
                    return Ok(());
                }
            }
            ReplicaState::Exited
            | ReplicaState::Dead
            | ReplicaState::Unknown
            | ReplicaState::Created => {
                let since = *ended_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= ended_for {
                    return Err(ended(engine, &now, "does not run: it").await);
                }
            }
            ReplicaState::Restarting | ReplicaState::Paused => {}
        }
        if begun.elapsed() + POLL_INTERVAL > patience {
            return Err(overdue(engine, &now, patience).await);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// How long its process has been running.
fn age(replica: &Replica, ahead: SignedDuration) -> Duration {
    let now = Timestamp::now() + ahead;
    let started = replica.started_at.unwrap_or(now);
    now.duration_since(started)
        .try_into()
        .unwrap_or(Duration::ZERO)
}

/// The error for a replica that is not well at the deadline.
async fn overdue(engine: &Engine, now: &Replica, patience: Duration) -> PlatformError {
    let Replica { id, name, .. } = now;
    match (now.state, now.health) {
        (ReplicaState::Running, Health::Unhealthy) => {
            let said = last_check(engine, id).await;
            let seconds = patience.as_secs();
            unwell(format!("{name} is still unhealthy after {seconds} s{said}"))
        }
        (ReplicaState::Paused, _) => unwell(format!(
            "{name} is paused: let it go on with `docker unpause {name}`"
        )),
        (ReplicaState::Restarting, _) => ended(engine, now, "keeps ending: it").await,
        _ => {
            let what = format!("the start of {name} (its health check has not passed yet)");
            timeout(what, patience)
        }
    }
}

/// The error for a replica that ended, with its exit code and last words.
async fn ended(engine: &Engine, now: &Replica, how: &str) -> PlatformError {
    let mut last = now.exit_code.map(|code| format!("exit code {code}"));
    if last.is_none() {
        // A replica that is running again hides its exit code; the events may still have it.
        let one = [ContainerRef::new(&now.id, &now.name)];
        let history = events::history(engine, &one, Timestamp::UNIX_EPOCH).await;
        let events = history.map(|history| history.events).unwrap_or_default();
        let mut events = events.into_iter().rev();
        let die = events.find(|(_, event)| event.what == "die");
        last = die.and_then(|(_, event)| event.detail);
    }
    let code = match last {
        Some(detail) => format!("exited with {}", detail.trim_start_matches("exit ")),
        None => "ended".to_owned(),
    };
    let memory = if now.oom_killed {
        " for lack of memory"
    } else {
        ""
    };
    let times = match now.restarts {
        0 => String::new(),
        1 => " (restarted once by Docker)".to_owned(),
        n => format!(" (restarted {n} times by Docker)"),
    };
    let lines = last_lines(engine, LogSource::Container(&now.id)).await;
    unwell(format!("{} {how} {code}{memory}{times}{lines}", now.name))
}

/// What the last health check said, to be put behind a sentence.
async fn last_check(engine: &Engine, id: &str) -> String {
    let facts = inspect(engine, id).await.ok().flatten();
    let output = facts.and_then(|facts| facts.state?.health?.log?.pop()?.output);
    let output = clean(&output.unwrap_or_default());
    if output.is_empty() {
        return output;
    }
    let output: String = output.chars().take(200).collect();
    format!("; its check says: {output}")
}
