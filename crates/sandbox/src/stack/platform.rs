//! The [`Platform`] driver over the simulated stack, with the semantics of the Docker driver.
//!
//! `Patience` counts in the stack's own time, so that a test at high speed waits less.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::answers::{
    NAME, bounded, changeable, choose, ended, full, gone, logs, reachable, role_of, status, step,
};
use super::container::Phase;
use super::driver::Stack;
use super::role::Role;
use super::{deploy, isolate};
use treasury_domain::service::{
    Attachment, Event, Events, Evidence, Health, Intent, LogQuery, Logs, Patience, ReplicaMark,
    ReplicaOutcome, Service, ServiceStats, ServiceStatus, Version,
};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

/// What the engine may take beyond a process's own time to stop before we give up on it.
const ENGINE_GRACE: Duration = Duration::from_secs(10);
/// Most events of an answer.
const MAX_EVENTS: usize = 200;

#[async_trait]
impl Platform for Stack {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ping(&self) -> Result<(), PlatformError> {
        reachable(&self.world())
    }

    async fn status(&self, service: &Service) -> Result<ServiceStatus, PlatformError> {
        let world = self.world();
        let role = role_of(&world, service)?;
        Ok(status(&world, role))
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        let world = self.world();
        let role = role_of(&world, service)?;
        Ok(logs(&world, role, query))
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        let world = self.world();
        let role = role_of(&world, service)?;
        Ok(ServiceStats {
            taken_at: world.sampled_at(),
            replicas: world.of(role).filter_map(|c| c.sample.clone()).collect(),
            note: None,
        })
    }

    async fn events(&self, service: &Service, since: Timestamp) -> Result<Events, PlatformError> {
        let world = self.world();
        let role = role_of(&world, service)?;
        let wanted = world.journal.events.iter().rev();
        let wanted = wanted.filter(|(of, event)| *of == role && event.at >= since);
        let mut newest: Vec<Event> = wanted.take(MAX_EVENTS).map(|(_, e)| e.clone()).collect();
        newest.reverse();
        Ok(newest.into())
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        _intent: &Intent,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let (role, chosen) = {
            let world = self.world();
            let role = role_of(&world, service)?;
            changeable(&world)?;
            (role, choose(&world, role, only)?)
        };
        self.record(if only.is_some() {
            let names: Vec<&str> = chosen.iter().map(|(_, name)| name.as_str()).collect();
            format!("restart {} {}", role.name(), names.join(" "))
        } else {
            format!("restart {}", role.name())
        });
        let total = chosen.len() as u32;
        for (done, (id, name)) in chosen.iter().enumerate() {
            let done = done as u32;
            progress.report(done, total, format!("{name}: restarting"));
            let run = self.restart_one(id, name, patience).await?;
            progress.report(done, total, format!("{name}: waiting until healthy"));
            self.well(id, name, run, patience).await?;
            progress.report(done + 1, total, format!("{name}: healthy"));
        }
        self.status(service).await
    }

    async fn restart_outcome(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        intent: &Intent,
    ) -> Result<Vec<ReplicaOutcome>, PlatformError> {
        let world = self.world();
        role_of(&world, service)?;
        let outcome = |mark: &ReplicaMark| match world.find(&mark.id) {
            None => ReplicaOutcome::Gone,
            Some(c) if c.started_since(mark, intent.since) => ReplicaOutcome::Restarted,
            Some(c) if c.is_changing() => ReplicaOutcome::UnderWay,
            Some(_) => ReplicaOutcome::Untouched,
        };
        Ok(marks.iter().map(outcome).collect())
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError> {
        let world = self.world();
        let role = role_of(&world, service)?;
        bounded(role, replicas)
    }

    async fn scale(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let (role, have) = {
            let world = self.world();
            let role = role_of(&world, service)?;
            bounded(role, replicas)?;
            changeable(&world)?;
            (role, world.of(role).count() as u32)
        };
        self.record(format!("scale {} {replicas}", role.name()));
        let total = have.abs_diff(replicas);
        for done in 0..total {
            if have < replicas {
                self.add_one(role, patience, progress, done, total).await?;
            } else {
                self.remove_one(role, patience, progress, done, total)
                    .await?;
            }
        }
        self.status(service).await
    }

    async fn versions(&self, service: &Service) -> Result<Vec<Version>, PlatformError> {
        deploy::versions(&self.world(), service)
    }

    async fn deployable(&self, service: &Service, image: &str) -> Result<Version, PlatformError> {
        deploy::deployable(&self.world(), service, image)
    }

    async fn deploy(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        self.bring_to(service, version, patience, progress).await
    }

    async fn attachments(&self, service: &Service) -> Result<Vec<Attachment>, PlatformError> {
        isolate::attachments(&self.world(), service)
    }

    async fn evidence(&self, service: &Service) -> Result<Vec<Evidence>, PlatformError> {
        isolate::evidence(&self.world(), service)
    }

    async fn isolate(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        self.attachment(service, attachments, true, progress).await
    }

    async fn release(
        &self,
        service: &Service,
        attachments: &[Attachment],
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        self.attachment(service, attachments, false, progress).await
    }
}

impl Stack {
    /// Restarts a replica and returns the number of its new run.
    async fn restart_one(
        &self,
        id: &str,
        name: &str,
        patience: Patience,
    ) -> Result<u64, PlatformError> {
        let before = self.with(|world| {
            reachable(world)?;
            changeable(world)?;
            world.restart(id, patience.stop).ok_or_else(|| gone(name))
        })?;
        self.started(id, name, before, patience).await
    }

    /// Waits until the process has started more than `before` times; returns how often.
    pub(super) async fn started(
        &self,
        id: &str,
        name: &str,
        before: u64,
        patience: Patience,
    ) -> Result<u64, PlatformError> {
        let after = patience.stop + ENGINE_GRACE;
        let started = self.wait(after, |world| {
            step(world, id, name, |c| {
                (c.run > before && c.phase == Phase::Running)
                    .then_some(Ok(c.run))
                    .or_else(|| (c.run > before).then(|| Err(ended(c))))
            })
        });
        started.await.unwrap_or_else(|| {
            Err(PlatformError::Timeout {
                platform: NAME,
                what: format!("restarting {name}"),
                after,
            })
        })
    }

    /// Waits until a replica is healthy in this run of its process.
    pub(super) async fn well(
        &self,
        id: &str,
        name: &str,
        run: u64,
        patience: Patience,
    ) -> Result<(), PlatformError> {
        let healthy = self.wait(patience.healthy, |world| {
            step(world, id, name, |c| {
                if c.run != run || matches!(c.phase, Phase::Down { .. }) {
                    Some(Err(ended(c)))
                } else {
                    c.is_well().then_some(Ok(()))
                }
            })
        });
        if let Some(result) = healthy.await {
            return result;
        }
        let health = self.world().find(id).map(|c| c.health);
        let word = match health {
            Some(Health::Starting) => "still starting",
            _ => "unhealthy",
        };
        let after = patience.healthy.as_secs();
        Err(PlatformError::Unwell {
            what: format!("{name} runs but is {word} after {after} s"),
        })
    }

    async fn add_one(
        &self,
        role: Role,
        patience: Patience,
        progress: &ProgressSink,
        done: u32,
        total: u32,
    ) -> Result<(), PlatformError> {
        let (id, name) = self.with(|world| {
            reachable(world)?;
            changeable(world)?;
            let id = world.grow(role);
            let made = id.and_then(|id| world.find(&id).map(|c| (id.clone(), c.name.clone())));
            made.ok_or_else(|| PlatformError::Unsupported(full()))
        })?;
        progress.report(done, total, format!("{name}: created"));
        let started = self.wait(patience.stop + ENGINE_GRACE, |world| {
            step(world, &id, &name, |c| (c.run > 0).then_some(Ok(c.run)))
        });
        let run = started.await.unwrap_or_else(|| {
            Err(PlatformError::Timeout {
                platform: NAME,
                what: format!("starting {name}"),
                after: patience.stop + ENGINE_GRACE,
            })
        })?;
        progress.report(done, total, format!("{name}: waiting until healthy"));
        self.well(&id, &name, run, patience).await?;
        progress.report(done + 1, total, format!("{name}: healthy"));
        Ok(())
    }

    async fn remove_one(
        &self,
        role: Role,
        patience: Patience,
        progress: &ProgressSink,
        done: u32,
        total: u32,
    ) -> Result<(), PlatformError> {
        let found = self.with(|world| {
            reachable(world)?;
            changeable(world)?;
            let newest = world.of(role).last().map(|c| c.name.clone());
            Ok(newest.zip(world.shrink(role, patience.stop)))
        })?;
        // Somebody else has scaled meanwhile: nothing left to remove.
        let Some((name, id)) = found else {
            return Ok(());
        };
        progress.report(done, total, format!("{name}: stopping"));
        let after = patience.stop + ENGINE_GRACE;
        let removed = self.wait(after, |world| match reachable(world) {
            Err(error) => Some(Err(error)),
            Ok(()) => world.find(&id).is_none().then_some(Ok(())),
        });
        removed.await.unwrap_or_else(|| {
            Err(PlatformError::Timeout {
                platform: NAME,
                what: format!("removing {name}"),
                after,
            })
        })?;
        progress.report(done + 1, total, format!("{name}: removed"));
        Ok(())
    }
}
