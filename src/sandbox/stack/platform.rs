//! The [`Platform`] driver over the simulated stack, with the semantics of the Docker driver.
//!
//! `Patience` counts in the stack's own time, so that a test at high speed waits less.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::container::{Container, Phase};
use super::driver::Stack;
use super::fault::Fault;
use super::model::{MAX_REPLICAS, World};
use super::role::Role;
use crate::domain::service::{
    Event, Health, LogLine, LogQuery, Logs, Patience, ReplicaFate, ReplicaMark, Service,
    ServiceStats, ServiceStatus, Target,
};
use crate::platform::{Platform, PlatformError, ProgressSink};

const NAME: &str = "Simulated stack";
/// What the engine may take beyond a process's own time to stop before we give up on it.
const ENGINE_GRACE: Duration = Duration::from_secs(10);
/// Most log lines of an answer.
const MAX_LOG_LINES: usize = 500;
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
        let role = asked(&world, service)?;
        Ok(status(&world, role))
    }

    async fn logs(&self, service: &Service, query: &LogQuery) -> Result<Logs, PlatformError> {
        let world = self.world();
        let role = asked(&world, service)?;
        Ok(logs(&world, role, query))
    }

    async fn stats(&self, service: &Service) -> Result<ServiceStats, PlatformError> {
        let world = self.world();
        let role = asked(&world, service)?;
        Ok(ServiceStats {
            taken_at: world.sampled_at(),
            replicas: world.of(role).filter_map(|c| c.sample.clone()).collect(),
        })
    }

    async fn events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        let world = self.world();
        let role = asked(&world, service)?;
        let wanted = world.journal.events.iter().rev();
        let wanted = wanted.filter(|(of, event)| *of == role && event.at >= since);
        let mut newest: Vec<Event> = wanted.take(MAX_EVENTS).map(|(_, e)| e.clone()).collect();
        newest.reverse();
        Ok(newest)
    }

    async fn restart(
        &self,
        service: &Service,
        only: Option<&[String]>,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let (role, chosen) = {
            let world = self.world();
            let role = asked(&world, service)?;
            changeable(&world)?;
            (role, choose(&world, role, only)?)
        };
        self.record(match only {
            None => format!("restart {}", role.name()),
            Some(_) => {
                let names: Vec<&str> = chosen.iter().map(|(_, name)| name.as_str()).collect();
                format!("restart {} {}", role.name(), names.join(" "))
            }
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

    async fn restart_fate(
        &self,
        service: &Service,
        marks: &[ReplicaMark],
        since: Timestamp,
    ) -> Result<Vec<ReplicaFate>, PlatformError> {
        let world = self.world();
        asked(&world, service)?;
        let fate = |mark: &ReplicaMark| match world.find(&mark.id) {
            None => ReplicaFate::Gone,
            Some(c) if c.started_since(mark, since) => ReplicaFate::Restarted,
            Some(c) if c.phase != Phase::Running => ReplicaFate::UnderWay,
            Some(_) => ReplicaFate::Untouched,
        };
        Ok(marks.iter().map(fate).collect())
    }

    async fn scalable(&self, service: &Service, replicas: u32) -> Result<(), PlatformError> {
        let world = self.world();
        let role = asked(&world, service)?;
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
            let role = asked(&world, service)?;
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
    async fn well(
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

/// One look while waiting for a replica: the engine may have gone, and so may the replica.
fn step<T>(
    world: &World,
    id: &str,
    name: &str,
    look: impl FnOnce(&Container) -> Option<Result<T, PlatformError>>,
) -> Option<Result<T, PlatformError>> {
    if let Err(error) = reachable(world) {
        return Some(Err(error));
    }
    match world.find(id) {
        None => Some(Err(gone(name))),
        Some(c) => look(c),
    }
}

fn reachable(world: &World) -> Result<(), PlatformError> {
    if world.has(Fault::EngineGone) {
        return Err(PlatformError::Unreachable {
            platform: NAME,
            mend: "its engine does not answer; take the fault `engine-gone` out".to_owned(),
            source: None,
        });
    }
    Ok(())
}

fn changeable(world: &World) -> Result<(), PlatformError> {
    if world.has(Fault::PermissionDenied) {
        return Err(PlatformError::Denied {
            platform: NAME,
            mend: "allow the bot to restart and scale; take the fault `permission-denied` out"
                .to_owned(),
        });
    }
    Ok(())
}

fn asked(world: &World, service: &Service) -> Result<Role, PlatformError> {
    reachable(world)?;
    let Target::Simulated { name } = &service.target else {
        return Err(PlatformError::Unsupported(format!(
            "`{}` does not run on the simulated stack: its target in the configuration is of another platform",
            service.name
        )));
    };
    Role::parse(name).ok_or_else(|| PlatformError::NotFound {
        platform: NAME,
        what: format!("service `{name}`"),
        mend: "it has frontend, api, postgres and redis".to_owned(),
    })
}

fn bounded(role: Role, replicas: u32) -> Result<(), PlatformError> {
    let why = if role == Role::Postgres && replicas != 1 {
        "postgres has one writer: a second replica would be a second, empty database".to_owned()
    } else if replicas == 0 {
        format!("`{}` needs at least one replica", role.name())
    } else if replicas > MAX_REPLICAS {
        full()
    } else {
        return Ok(());
    };
    Err(PlatformError::Unsupported(why))
}

fn full() -> String {
    format!("the simulated engine has room for {MAX_REPLICAS} replicas of a service")
}

fn gone(name: &str) -> PlatformError {
    PlatformError::NotFound {
        platform: NAME,
        what: format!("replica {name}"),
        mend: "it was removed meanwhile; ask for the status".to_owned(),
    }
}

fn ended(c: &Container) -> PlatformError {
    let lived = c.finished_at.zip(c.started_at);
    let lived = lived.map_or(0.0, |(end, start)| end.duration_since(start).as_secs_f64());
    let lived = lived.max(1.0).ceil();
    PlatformError::Unwell {
        what: format!(
            "{} exited with code {} within {lived} s",
            c.name,
            c.exit_code.unwrap_or_default()
        ),
    }
}

fn status(world: &World, role: Role) -> ServiceStatus {
    ServiceStatus {
        replicas: world.of(role).map(Container::view).collect(),
    }
}

/// Identifiers and names of the replicas that are meant; all must exist before any is touched.
fn choose(
    world: &World,
    role: Role,
    only: Option<&[String]>,
) -> Result<Vec<(String, String)>, PlatformError> {
    if let Some(only) = only {
        let known = |wanted: &String| world.of(role).any(|c| c.id == *wanted || c.name == *wanted);
        if let Some(missing) = only.iter().find(|wanted| !known(wanted)) {
            return Err(gone(&missing.chars().take(80).collect::<String>()));
        }
    }
    let meant = |c: &&Container| only.is_none_or(|only| only.contains(&c.id) || only.contains(&c.name));
    let chosen = world.of(role).filter(meant);
    Ok(chosen.map(|c| (c.id.clone(), c.name.clone())).collect())
}

fn logs(world: &World, role: Role, query: &LogQuery) -> Logs {
    let needle = query.grep.as_ref().map(|text| text.to_lowercase());
    let wanted = |c: &Container, run: u64, line: &LogLine| {
        (!query.previous || run + 1 == c.run)
            && query.since.is_none_or(|since| line.at >= Some(since))
            && needle
                .as_ref()
                .is_none_or(|needle| line.text.to_lowercase().contains(needle))
    };
    let mut lines: Vec<LogLine> = world
        .of(role)
        .flat_map(|c| c.log.iter().map(move |(run, line)| (c, *run, line)))
        .filter(|(c, run, line)| wanted(c, *run, line))
        .map(|(_, _, line)| line.clone())
        .collect();
    // Stable: lines of one replica stay in the order they were written.
    lines.sort_by_key(|line| line.at);
    let limit = query.lines.clamp(1, MAX_LOG_LINES);
    let over = lines.len().saturating_sub(limit);
    lines.drain(..over);
    Logs {
        lines,
        truncated: over > 0,
    }
}
