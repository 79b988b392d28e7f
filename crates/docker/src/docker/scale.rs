//! Changing the number of replicas, as `docker compose up --scale` would.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as State};
use futures_util::{StreamExt, stream};

use super::dependants::{self, Neighbours};
use super::inspected::Inspected;
use super::spec::{self, ContainerSpec};
use super::steps::{self, Change};
use super::{find, wait};
use crate::engine::container::{self, label};
use crate::engine::{ContainerRef, Engine, Result, all_well, image, unsupported};
use treasury_domain::service::{Dependant, Service, Target};

/// So many replicas are brought up at the same time.
const AT_ONCE: usize = 3;

/// What is to be done, in this order.
#[derive(Default)]
pub struct Plan {
    /// To be stopped and removed, the newest first.
    surplus: Vec<ContainerRef>,
    /// Made by a call that died before it could start them: removed and made anew.
    unfinished: Vec<ContainerRef>,
    /// To be brought up.
    starts: Vec<Start>,
    /// What keeps newer replicas from being removed.
    spared: Vec<Dependant>,
}

/// A replica to be brought up.
enum Start {
    /// One that is there, but stopped.
    Stopped(ContainerRef),
    /// One that is to be made.
    New(Box<ContainerSpec>),
}

/// Brings the number of replicas to `replicas`.
pub async fn scale(change: &Change<'_>, replicas: u32) -> Result<()> {
    let (engine, patience, progress) = (change.engine, change.patience, change.progress);
    let plan = plan(engine, change.service, replicas).await?;
    let total = (plan.surplus.len() + plan.starts.len()) as u32;
    let mut done = 0;
    for one in &plan.surplus {
        progress.report(done, total, format!("{}: stopping", one.name));
        steps::stop(engine, one, patience.stop).await?;
        steps::remove(engine, one, false).await?;
        done += 1;
        progress.report(done, total, format!("{}: removed", one.name));
    }
    for one in &plan.unfinished {
        steps::remove(engine, one, true).await?;
    }
    let mut starting = stream::iter(plan.starts)
        .map(|start| bring_up(engine, start, patience.healthy))
        .buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    progress.report(done, total, "starting and waiting until healthy");
    while let Some(result) = starting.next().await {
        match result {
            Ok(name) => {
                done += 1;
                progress.report(done, total, format!("{name}: healthy"));
            }
            Err(error) => failed.push(error),
        }
    }
    all_well(failed)
}

/// What there is to do, or why the service can't have that many replicas.
pub async fn plan(engine: &Engine, service: &Service, replicas: u32) -> Result<Plan> {
    let Target::Compose {
        project,
        service: name,
        ..
    } = &service.target
    else {
        return Err(unsupported(format!(
            "{0} is one container by its name, which can't be scaled: run it with Docker Compose \
             and give [service.{0}] its project and service",
            service.name
        )));
    };
    if replicas == 0 {
        return Err(unsupported(format!(
            "{name} can't be scaled to 0: nothing would be left to copy new replicas from. Stop \
             it with `docker compose stop {name}`"
        )));
    }
    let mut old = existing(engine, service, project, name).await?;
    let mut plan = Plan::default();
    let own: Vec<ContainerRef> = old
        .iter()
        .map(|(_, facts)| ContainerRef::described(facts))
        .collect();
    let surplus = old.len().saturating_sub(replicas as usize);
    if old.len() != replicas as usize {
        let neighbours = Neighbours::of(engine).await?;
        if surplus == 0 {
            neighbours.startable(&own)?;
        } else {
            plan.remove(&neighbours, &own, surplus)?;
            old.retain(|(_, facts)| {
                plan.surplus
                    .iter()
                    .all(|one| facts.id.as_ref() != Some(&one.id))
            });
        }
    }
    // All containers look the same to Compose, so the newest that has ever run is the model.
    let has_run = old
        .iter()
        .rposition(|(_, facts)| state(facts) != Some(State::CREATED));
    let model = old.get(has_run.unwrap_or(old.len().saturating_sub(1)));
    let missing = replicas.saturating_sub(old.len() as u32);
    let created = |facts| state(facts) == Some(State::CREATED);
    let copies = missing > 0 || has_run.is_some() && old.iter().any(|(_, facts)| created(facts));
    let model = model.filter(|_| copies);
    let inspected = match model.and_then(|(_, facts)| facts.id.as_deref()) {
        Some(id) => Inspected::of(engine, id).await?.unwrap_or_default(),
        None => Inspected::default(),
    };
    let refusal = model.and_then(|_| spec::no_copy(project, name, &inspected, replicas));
    let mut numbers = Vec::new();
    for (number, facts) in &old {
        let one = ContainerRef::described(facts);
        match state(facts) {
            Some(State::CREATED) if has_run.is_some() && refusal.is_none() => {
                numbers.push(*number);
                plan.unfinished.push(one);
            }
            Some(State::CREATED | State::EXITED | State::DEAD) => {
                plan.starts.push(Start::Stopped(one));
            }
            _ => {}
        }
    }
    let highest = old.iter().map(|(number, _)| *number).max().unwrap_or(0);
    numbers.extend((1..=missing).map(|more| highest + more));
    let (Some((_, facts)), false) = (model, numbers.is_empty()) else {
        return Ok(plan);
    };
    if let Some(refusal) = refusal {
        return Err(unsupported(refusal));
    }
    let stem = spec::numbered(project, name, container::name(facts)).map_or("", |(stem, _)| stem);
    let image = image::of_container(engine, facts).await?;
    for number in numbers {
        let name = format!("{stem}{number}");
        let copy = spec::replica(inspected.clone(), name, number, image.clone())?;
        plan.starts.push(Start::New(Box::new(copy)));
    }
    Ok(plan)
}

/// What keeps the newest replicas from being removed: others are removed in their place.
pub async fn spared(engine: &Engine, service: &Service, replicas: u32) -> Result<Vec<Dependant>> {
    Ok(plan(engine, service, replicas).await?.spared)
}

impl Plan {
    /// Chooses what is removed: the newest ones, the first of all at last, and none on which somebody
    /// else's container hangs.
    fn remove(&mut self, all: &Neighbours, own: &[ContainerRef], surplus: usize) -> Result<()> {
        let mut held = Vec::new();
        for one in own.iter().rev() {
            if self.surplus.len() == surplus {
                break;
            }
            match all.held_by(one, own) {
                by if by.is_empty() => self.surplus.push(one.clone()),
                by => held.extend(by),
            }
        }
        match held.first().filter(|_| self.surplus.len() < surplus) {
            None => {
                self.spared = held;
                Ok(())
            }
            Some(held) => {
                let name = &held.mark.name;
                let mend =
                    format!("remove {name} first, or make it anew with a replica that stays");
                Err(dependants::refusal(held, &mend))
            }
        }
    }
}

/// The replicas that are there, by their numbers.
async fn existing(
    engine: &Engine,
    service: &Service,
    project: &str,
    name: &str,
) -> Result<Vec<(u32, ContainerInspectResponse)>> {
    let number = |facts: &ContainerInspectResponse| {
        let by_name = spec::numbered(project, name, container::name(facts));
        let by_label = || label(facts, find::NUMBER)?.parse().ok();
        by_name
            .map(|(_, number)| number)
            .or_else(by_label)
            .unwrap_or(0)
    };
    let facts = find::described(engine, service).await?.into_iter();
    let mut all: Vec<_> = facts.map(|facts| (number(&facts), facts)).collect();
    all.sort_by_key(|(number, _)| *number);
    Ok(all)
}

fn state(facts: &ContainerInspectResponse) -> Option<State> {
    facts.state.as_ref()?.status
}

/// Brings one replica up and awaits that it is well; a new one that fails is removed again.
async fn bring_up(engine: &Engine, start: Start, patience: Duration) -> Result<String> {
    let (one, new) = match start {
        Start::Stopped(one) => (one, false),
        Start::New(spec) => (steps::make(engine, *spec).await?, true),
    };
    let started = async {
        steps::start(engine, &one).await?;
        wait::until_well(engine, &one, patience, wait::STABLE, Duration::ZERO).await
    };
    match started.await {
        Ok(()) => Ok(one.name),
        Err(error) if new => Err(steps::give_up(engine, &one, error).await),
        Err(error) => Err(error),
    }
}
