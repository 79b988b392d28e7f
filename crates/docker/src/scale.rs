//! Changing the number of replicas, as `docker compose up --scale` would.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as State};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};

use super::engine::Engine;
use super::recipe::{self, Recipe};
use super::{container, find, image, wait};
use treasury_domain::service::{Patience, Service, ServiceStatus, Target};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// So many replicas are brought up at the same time.
const AT_ONCE: usize = 3;

/// A replica that is there.
struct Old {
    id: String,
    name: String,
    number: u32,
    state: Option<State>,
    facts: ContainerInspectResponse,
}

/// What is to be done, in this order.
#[derive(Default)]
struct Plan {
    /// To be stopped and removed, the newest first.
    surplus: Vec<(String, String)>,
    /// Made by a call that died before it could start them: removed and made anew.
    leftover: Vec<(String, String)>,
    /// Stopped, and wanted.
    asleep: Vec<(String, String)>,
    fresh: Vec<Recipe>,
}

/// Why the service can't have that many replicas, if it can't.
pub(super) async fn scalable(
    engine: &Engine,
    service: &Service,
    replicas: u32,
) -> Result<(), PlatformError> {
    plan(engine, service, replicas).await.map(drop)
}

/// Brings the number of replicas to `replicas`.
pub(super) async fn scale(
    engine: &Engine,
    service: &Service,
    replicas: u32,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let plan = plan(engine, service, replicas).await?;
    let total = (plan.surplus.len() + plan.asleep.len() + plan.fresh.len()) as u32;
    let mut done = 0;
    for (id, name) in &plan.surplus {
        progress.report(done, total, format!("{name}: stopping"));
        container::stop(engine, id, name, patience.stop).await?;
        container::remove(engine, id, name, false).await?;
        done += 1;
        progress.report(done, total, format!("{name}: removed"));
    }
    for (id, name) in &plan.leftover {
        container::remove(engine, id, name, true).await?;
    }
    let fresh = plan
        .fresh
        .into_iter()
        .map(|recipe| Task::Make(Box::new(recipe)));
    let asleep = plan
        .asleep
        .into_iter()
        .map(|(id, name)| Task::Wake { id, name });
    let tasks: Vec<Task> = asleep.chain(fresh).collect();
    let mut running = stream::iter(tasks)
        .map(|task| bring_up(engine, task, patience.healthy))
        .buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    progress.report(done, total, "starting and waiting until healthy");
    while let Some(result) = running.next().await {
        match result {
            Ok(name) => {
                done += 1;
                progress.report(done, total, format!("{name}: healthy"));
            }
            Err(error) => failed.push(error),
        }
    }
    wait::all_well(failed)?;
    find::status(engine, service).await
}

/// What there is to do, or why it can't be done.
async fn plan(engine: &Engine, service: &Service, replicas: u32) -> Result<Plan, PlatformError> {
    let Target::Compose {
        project,
        service: name,
        ..
    } = &service.target
    else {
        return Err(PlatformError::Unsupported(format!(
            "{0} is one container by its name, which can't be scaled: run it with Docker Compose \
             and give [service.{0}] its project and service",
            service.name
        )));
    };
    if replicas == 0 {
        return Err(PlatformError::Unsupported(format!(
            "{name} can't be scaled to 0: nothing would be left to copy new replicas from. Stop \
             it with `docker compose stop {name}`"
        )));
    }
    let mut old = look(engine, service, project, name).await?;
    let mut plan = Plan::default();
    while old.len() > replicas as usize
        && let Some(one) = old.pop()
    {
        plan.surplus.push((one.id, one.name));
    }
    let is_leftover = |one: &Old| one.state == Some(State::CREATED);
    // All containers look the same to Compose, so the newest that has ever run is the model.
    let model = old.iter().rposition(|one| !is_leftover(one));
    let refusal = old.last().and_then(|one| {
        let model = model.map_or(one, |at| &old[at]);
        recipe::refusal(project, name, &model.facts)
    });
    let mut numbers = Vec::new();
    for one in &old {
        let pair = (one.id.clone(), one.name.clone());
        match one.state {
            Some(State::CREATED) if model.is_some() && refusal.is_none() => {
                numbers.push(one.number);
                plan.leftover.push(pair);
            }
            Some(State::CREATED | State::EXITED | State::DEAD) => plan.asleep.push(pair),
            _ => {}
        }
    }
    let highest = old.iter().map(|one| one.number).max().unwrap_or(0);
    let missing = replicas.saturating_sub(old.len() as u32);
    numbers.extend((1..=missing).map(|more| highest + more));
    if numbers.is_empty() {
        return Ok(plan);
    }
    if let Some(refusal) = refusal {
        return Err(PlatformError::Unsupported(refusal));
    }
    let model = model.unwrap_or(old.len().saturating_sub(1));
    let Some(model) = old.into_iter().nth(model) else {
        return Ok(plan);
    };
    let stem = recipe::numbered(project, name, &model.name).map_or("", |(stem, _)| stem);
    let image = image::of(engine, &model.facts).await?;
    for number in numbers {
        let facts = model.facts.clone();
        let name = format!("{stem}{number}");
        let recipe = recipe::recipe(facts, name, number, image.clone())?;
        plan.fresh.push(recipe);
    }
    Ok(plan)
}

/// The replicas that are there, by their numbers.
async fn look(
    engine: &Engine,
    service: &Service,
    project: &str,
    name: &str,
) -> Result<Vec<Old>, PlatformError> {
    let found = find::containers(engine, service).await?;
    let facts = try_join_all(found.iter().map(|one| find::inspect(engine, &one.id))).await?;
    let mut old: Vec<Old> = found
        .into_iter()
        .zip(facts)
        .filter_map(|(one, facts)| {
            let facts = facts?;
            let labels = facts.config.as_ref().and_then(|c| c.labels.as_ref());
            let label = labels.and_then(|labels| labels.get(find::NUMBER)?.parse().ok());
            let number = recipe::numbered(project, name, &one.name).map(|(_, number)| number);
            Some(Old {
                number: number.or(label).unwrap_or(0),
                state: facts.state.as_ref().and_then(|state| state.status),
                id: one.id,
                name: one.name,
                facts,
            })
        })
        .collect();
    old.sort_by_key(|one| one.number);
    Ok(old)
}

/// A replica to be brought up.
enum Task {
    /// One that is there.
    Wake { id: String, name: String },
    /// A new one.
    Make(Box<Recipe>),
}

/// Brings one replica up and awaits that it is well; a new one that fails is removed again.
async fn bring_up(
    engine: &Engine,
    task: Task,
    patience: Duration,
) -> Result<String, PlatformError> {
    let (id, name, new) = match task {
        Task::Wake { id, name } => (id, name, false),
        Task::Make(recipe) => {
            let name = recipe.name.clone();
            (container::make(engine, *recipe).await?, name, true)
        }
    };
    let started = async {
        container::start(engine, &id, &name).await?;
        wait::until_well(engine, &id, &name, patience, wait::STABLE, Duration::ZERO).await
    };
    match started.await {
        Ok(()) => Ok(name),
        Err(error) if new => Err(container::give_up(engine, &id, &name, error).await),
        Err(error) => Err(error),
    }
}
