//! Restart, and after a crash of the bot: what became of one.

use std::time::Duration;

use bollard::query_parameters::RestartContainerOptionsBuilder;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::status::replica;
use super::{Docker, LOOK, SLOW, STEADY};
use crate::domain::duration::between;
use crate::domain::service::{
    Health, Patience, Replica, ReplicaFate, ReplicaMark, ReplicaState, Service, ServiceStatus,
};
use crate::platform::{PlatformError, ProgressSink};

/// Events this much older than the intent still count: the engine's clock need not be ours.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

impl Docker {
    pub(super) async fn restart_each(
        &self,
        service: &Service,
        only: Option<&[String]>,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let found = self.find(service).await?;
        let chosen: Vec<_> = found
            .iter()
            .filter(|container| only.is_none_or(|only| only.contains(&container.id)))
            .collect();
        let total = chosen.len() as u32;
        for (done, container) in chosen.into_iter().enumerate() {
            let done = done as u32;
            progress.report(done, total, format!("{}: restarting", container.name));
            let grace = i32::try_from(patience.stop.as_secs()).unwrap_or(i32::MAX);
            let options = RestartContainerOptionsBuilder::default().t(grace).build();
            let call = self.client.restart_container(&container.id, Some(options));
            self.call(
                &format!("restart {}", container.name),
                patience.stop + SLOW,
                call,
            )
            .await?;
            progress.report(
                done,
                total,
                format!("{}: waiting until it is well", container.name),
            );
            self.until_well(&container.id, patience.healthy).await?;
            progress.report(done + 1, total, format!("{}: well", container.name));
        }
        // Those that were not restarted now have to be well, too: that is what the caller tells.
        try_join_all(
            found
                .iter()
                .map(|c| self.until_well(&c.id, patience.healthy)),
        )
        .await?;
        self.read_status(service).await
    }

    /// Waits until a container runs and is healthy, or steadily runs where nothing checks it.
    pub(super) async fn until_well(
        &self,
        id: &str,
        within: Duration,
    ) -> Result<Replica, PlatformError> {
        let deadline = Instant::now() + within;
        let mut restarts = None;
        loop {
            let now = replica(&self.inspect(id).await?);
            // The engine restarts by itself what ends: a rising count is a crash loop.
            let first = *restarts.get_or_insert(now.restarts);
            let crashed = now.restarts > first
                || matches!(now.state, ReplicaState::Exited | ReplicaState::Dead);
            if crashed {
                let words = self.last_words(id, &now.name).await;
                let code = now
                    .exit_code
                    .map(|c| format!(" with code {c}"))
                    .unwrap_or_default();
                let oom = if now.oom_killed {
                    ", out of memory"
                } else {
                    ""
                };
                return Err(PlatformError::Unwell {
                    what: format!("{} exited{code}{oom} after its start{words}", now.name),
                });
            }
            let steady = now
                .started_at
                .is_some_and(|started| between(started, Timestamp::now()) >= STEADY);
            match (now.state, now.health) {
                (ReplicaState::Running, Health::Healthy) => return Ok(now),
                (ReplicaState::Running, Health::Unchecked) if steady => return Ok(now),
                (ReplicaState::Paused, _) => {
                    return Err(PlatformError::Unwell {
                        what: format!("{} is paused: `docker unpause {}`", now.name, now.name),
                    });
                }
                _ => {}
            }
            if Instant::now() >= deadline {
                let words = self.last_words(id, &now.name).await;
                let state = match now.health {
                    Health::Unhealthy => "its health check fails",
                    Health::Starting => "its health check has not passed yet",
                    _ => "it does not run",
                };
                return Err(PlatformError::Unwell {
                    what: format!(
                        "{} is not well after {} s: {state}{words}",
                        now.name,
                        within.as_secs()
                    ),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn fates(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        since: Timestamp,
    ) -> Result<Vec<ReplicaFate>, PlatformError> {
        // The engine has to answer at all before anything counts as gone.
        self.find(service).await?;
        try_join_all(marks.iter().map(|mark| self.fate(mark, since))).await
    }

    async fn fate(
        &self,
        mark: &ReplicaMark,
        since: Timestamp,
    ) -> Result<ReplicaFate, PlatformError> {
        let now = match self.inspect(&mark.id).await {
            Ok(inspected) => replica(&inspected),
            Err(PlatformError::NotFound { .. }) => return Ok(ReplicaFate::Gone),
            Err(error) => return Err(error),
        };
        if now.started_at != mark.started_at && now.state == ReplicaState::Running {
            return Ok(ReplicaFate::Restarted);
        }
        if now.state == ReplicaState::Restarting {
            return Ok(ReplicaFate::UnderWay);
        }
        // The engine goes on with a restart whose client has died. While it waits for the process
        // to end, only its events tell: a kill without a start after it.
        let from = since.checked_sub(SKEW).unwrap_or(since);
        let events = self
            .raw_events(std::slice::from_ref(&mark.id), from)
            .await?;
        let last = |wanted: &[&str]| {
            events
                .iter()
                .rposition(|e| e.action.as_deref().is_some_and(|a| wanted.contains(&a)))
        };
        let told_to_stop = last(&["kill", "stop", "die", "restart"]);
        let started = last(&["start"]);
        Ok(match told_to_stop {
            Some(stop) if started.is_none_or(|start| start < stop) => {
                // Ended and not coming back: its restart was cut off with the engine itself.
                let over = last(&["die"]).is_some()
                    && matches!(now.state, ReplicaState::Exited | ReplicaState::Dead)
                    && now
                        .finished_at
                        .is_some_and(|at| between(at, Timestamp::now()) > Duration::from_secs(10));
                if over {
                    ReplicaFate::Untouched
                } else {
                    ReplicaFate::UnderWay
                }
            }
            _ => ReplicaFate::Untouched,
        })
    }
}
