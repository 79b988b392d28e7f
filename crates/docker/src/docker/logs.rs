//! Log lines of all containers of a service.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::find;
use crate::engine::container::{inspect, time};
use crate::engine::logs::{LogSource, read};
use crate::engine::{Engine, Result};
use treasury_domain::service::{LogQuery, Logs, Service};
use treasury_ports::log_search::{Wanted, merged};

/// The lines of all replicas, merged by time.
pub async fn logs(engine: &Engine, service: &Service, query: &LogQuery) -> Result<Logs> {
    let found = find::containers(engine, service).await?;
    let all = try_join_all(found.iter().map(async |one| {
        let mut wanted = Wanted::from(query);
        if query.previous {
            let facts = inspect(engine, &one.id).await?;
            wanted.before = facts.as_ref().and_then(last_start);
            if wanted.before.is_none() {
                return Ok(Logs::default());
            }
        }
        read(engine, LogSource::Container(&one.id), &one.name, &wanted).await
    }));
    Ok(merged(all.await?, query.lines))
}

/// A time between the run before the last start and that run; `None` if there was no run before,
/// as far as can be known.
///
/// The engine notes a start when the process already runs and may have written. So while it runs,
/// the end of the run before is taken, which the engine still knows.
fn last_start(facts: &ContainerInspectResponse) -> Option<Timestamp> {
    const LATE: Duration = Duration::from_millis(50);
    const VERY_LATE: Duration = Duration::from_secs(1);
    let state = facts.state.as_ref()?;
    let started = time(state.started_at.as_deref())?;
    if state.running == Some(true) && state.restarting != Some(true) {
        let ended = time(state.finished_at.as_deref())?;
        // Last words are taken up a moment after the end: 72 ms were seen of Docker 28.5 where the
        // machine was busy. That makes the start later too.
        let between = started.duration_since(ended).unsigned_abs();
        Some((ended + (between / 2).clamp(LATE, VERY_LATE)).min(started))
    } else {
        Some(started - 2 * LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_before_the_engine_notes_it() {
        let began = |running: bool, finished: &str| {
            let facts = serde_json::json!({"State": {
                "Running": running, "StartedAt": "2026-11-23T10:00:05Z", "FinishedAt": finished}});
            let facts = serde_json::from_value(facts).unwrap();
            last_start(&facts).map(|at| at.to_string())
        };
        let never = "0001-01-01T00:00:00Z";
        assert_eq!(began(true, never), None);
        for (ended, cut) in [
            // A quick restart, one on a busy machine, one by hand much later.
            ("10:00:04.97Z", "10:00:05Z"),
            ("10:00:04.93Z", "10:00:04.98Z"),
            ("10:00:04.5Z", "10:00:04.75Z"),
            ("09:00:01Z", "09:00:02Z"),
        ] {
            let day = |time: &str| format!("2026-11-23T{time}");
            assert_eq!(began(true, &day(ended)), Some(day(cut)), "{ended}");
        }
        let before = Some("2026-11-23T10:00:04.9Z".to_owned());
        assert_eq!(began(false, "2026-11-23T10:00:09Z"), before);
    }
}
