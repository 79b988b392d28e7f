//! Bringing replicas to another image, one after another.
//!
//! The old container waits, stopped and under another name, until its successor is well; so at any
//! moment there is one of the two to go on with. A call that dies in between leaves them both, and
//! the next call finishes or puts back, by what it finds.

use std::time::Duration;

use super::engine::Engine;
use super::find::{self, Found};
use super::recipe::Recipe;
use super::{container, image, successor, versions, wait};
use treasury_domain::service::{Patience, ReplicaState, Service, ServiceStatus, Version};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// A replica: the container under its name, and the one that waits under the other.
#[derive(Debug)]
struct Place {
    name: String,
    now: Option<Found>,
    old: Option<Found>,
}

/// What all replicas are to be brought to.
struct Goal<'a> {
    version: &'a Version,
    patience: Patience,
    /// Tells a step of the present replica.
    tell: &'a (dyn Fn(String) + Send + Sync),
}

/// Brings all replicas to a version.
pub(super) async fn deploy(
    engine: &Engine,
    service: &Service,
    version: &Version,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let found = find::with_replaced(engine, service).await?;
    if image::inspect(engine, &version.id).await?.is_none() {
        return Err(versions::absent(&version.image));
    }
    let places = places(found);
    let total = places.len() as u32;
    for (done, place) in (0..).zip(places) {
        let name = place.name.clone();
        let tell = |step: String| progress.report(done, total, format!("{name}: {step}"));
        let goal = Goal {
            version,
            patience,
            tell: &tell,
        };
        bring(engine, place, &goal).await?;
        let image = &version.image;
        progress.report(done + 1, total, format!("{name}: runs {image}"));
    }
    find::status(engine, service).await
}

/// The replicas in the order of their numbers.
fn places(found: Vec<Found>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for one in found {
        let replaced = find::before_replaced(&one.name).map(str::to_owned);
        let name = replaced.clone().unwrap_or_else(|| one.name.clone());
        let at = places.iter().position(|place| place.name == name);
        let at = at.unwrap_or_else(|| {
            places.push(Place {
                name,
                now: None,
                old: None,
            });
            places.len() - 1
        });
        if replaced.is_some() {
            places[at].old = Some(one);
        } else {
            places[at].now = Some(one);
        }
    }
    places.sort_by(|a, b| find::by_name(&a.name, &b.name));
    places
}

/// Brings one replica to the goal, from whatever state a former call has left it in.
async fn bring(engine: &Engine, mut place: Place, goal: &Goal<'_>) -> Result<(), PlatformError> {
    let wanted = goal.version.id.as_str();
    let name = place.name.clone();
    let mut runs = running(engine, place.now.as_ref()).await?;
    if let (Some(now), Some(old)) = (&place.now, &place.old)
        && runs.as_deref() != Some(wanted)
    {
        // A former call was to bring another version. If that is well, its work is done; if not,
        // the old container is still the replica.
        let well = find::replica(engine, &now.id).await?;
        if well.is_some_and(|now| now.is_well()) {
            discard(engine, old, goal).await?;
            place.old = None;
        } else {
            (goal.tell)("removing what an unfinished deployment left".to_owned());
            container::remove(engine, &now.id, &now.name, true).await?;
            place.now = None;
            runs = None;
        }
    }
    match (place.now, place.old) {
        (Some(now), old) if runs.as_deref() == Some(wanted) => {
            match (up(engine, &now.id, &name, goal).await, old) {
                (Ok(()), None) => Ok(()),
                (Ok(()), Some(old)) => discard(engine, &old, goal).await,
                (Err(error), None) => Err(error),
                (Err(error), Some(old)) => Err(put_back(engine, &name, &old, goal, error).await),
            }
        }
        (None, Some(old)) if running(engine, Some(&old)).await?.as_deref() == Some(wanted) => {
            (goal.tell)("taking up the old container again".to_owned());
            container::rename(engine, &old.id, &old.name, &name).await?;
            up(engine, &old.id, &name, goal).await
        }
        (Some(now), None) => {
            let recipe = recipe(engine, &now, &name, goal).await?;
            let old = Found {
                name: find::replaced(&name),
                ..now
            };
            container::rename(engine, &old.id, &name, &old.name).await?;
            Box::pin(replace(engine, &name, old, recipe, goal)).await
        }
        (None, Some(old)) => {
            let recipe = recipe(engine, &old, &name, goal).await?;
            Box::pin(replace(engine, &name, old, recipe, goal)).await
        }
        // Only what was found has a place, and both at once were parted above.
        (None, None) | (Some(_), Some(_)) => Ok(()),
    }
}

/// The id of the image that a container runs; `None` if there is no container.
async fn running(engine: &Engine, one: Option<&Found>) -> Result<Option<String>, PlatformError> {
    let Some(one) = one else {
        return Ok(None);
    };
    let facts = find::inspect(engine, &one.id).await?;
    Ok(facts.and_then(|facts| facts.image))
}

/// What the successor of a container is made of. Nothing is touched yet.
async fn recipe(
    engine: &Engine,
    from: &Found,
    name: &str,
    goal: &Goal<'_>,
) -> Result<Recipe, PlatformError> {
    let Some(facts) = find::inspect(engine, &from.id).await? else {
        return Err(wait::unwell(format!(
            "{name} was removed while it was to be replaced: ask for the status"
        )));
    };
    versions::replaceable(engine, std::iter::once(&facts)).await?;
    let old = facts.image.clone().unwrap_or_default();
    let brought = image::inspect(engine, &old).await?;
    let Some(brought) = brought.and_then(|image| image.config) else {
        return Err(PlatformError::Unsupported(format!(
            "the image that {name} runs ({old}) is not on the host any more, so its own settings \
             can't be told from the container's: deploy with `docker compose up -d`"
        )));
    };
    let version = goal.version;
    let reference = image::exact(engine, &version.image, &version.id).await?;
    let previous = versions::previous(&facts, &version.id);
    let name = name.to_owned();
    successor::successor(facts, name, &brought, version, reference, previous)
}

/// Lets a new container take the place of the old one, which has its other name already.
async fn replace(
    engine: &Engine,
    name: &str,
    old: Found,
    recipe: Recipe,
    goal: &Goal<'_>,
) -> Result<(), PlatformError> {
    let made = async {
        (goal.tell)("stopping the old container".to_owned());
        container::stop(engine, &old.id, &old.name, goal.patience.stop).await?;
        let id = container::make(engine, recipe).await?;
        up(engine, &id, name, goal).await
    };
    match made.await {
        Ok(()) => discard(engine, &old, goal).await,
        Err(error) => Err(put_back(engine, name, &old, goal, error).await),
    }
}

/// Starts a container that does not run, and awaits that it is well.
async fn up(engine: &Engine, id: &str, name: &str, goal: &Goal<'_>) -> Result<(), PlatformError> {
    let state = find::replica(engine, id).await?.map(|now| now.state);
    if matches!(
        state,
        Some(ReplicaState::Created | ReplicaState::Exited | ReplicaState::Dead)
    ) {
        container::start(engine, id, name).await?;
    }
    (goal.tell)("waiting until healthy".to_owned());
    let healthy = goal.patience.healthy;
    wait::until_well(engine, id, name, healthy, wait::STABLE, Duration::ZERO).await
}

/// Removes a container whose successor is well. Its volumes stay: the successor has them.
async fn discard(engine: &Engine, old: &Found, goal: &Goal<'_>) -> Result<(), PlatformError> {
    let Found { id, name, .. } = old;
    let removed = async {
        // It is stopped, unless somebody has started it.
        container::stop(engine, id, name, goal.patience.stop).await?;
        container::remove(engine, id, name, false).await
    };
    removed.await.map_err(|error| {
        wait::unwell(format!(
            "the new container is well, but the old one, {name}, could not be removed: {error}\n\
             Deploy the same version again, or remove it with `docker rm -f {name}`"
        ))
    })
}

/// Removes the successor and takes the old container up again; the error tells of both.
async fn put_back(
    engine: &Engine,
    name: &str,
    old: &Found,
    goal: &Goal<'_>,
    error: PlatformError,
) -> PlatformError {
    (goal.tell)("putting the old container back".to_owned());
    let back = async {
        // It is looked for by its name: the engine may have made it without an answer in time.
        let successor = find::inspect(engine, name).await?;
        if let Some(id) = successor.and_then(|facts| facts.id)
            && id != old.id
        {
            container::remove(engine, &id, name, true).await?;
        }
        container::rename(engine, &old.id, &old.name, name).await
    };
    if let Err(other) = back.await {
        return wait::unwell(format!(
            "{error}\n{name} could not be put back: {other}\nDeploy again, or put it back with \
             `docker rm -f {name}; docker rename {} {name}; docker start {name}`",
            old.name
        ));
    }
    match up(engine, &old.id, name, goal).await {
        Ok(()) => wait::unwell(format!(
            "{error}\n{name} was put back as it was before and is well"
        )),
        Err(other) => wait::unwell(format!(
            "{error}\n{name} was put back as it was before, but: {other}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_waits_is_no_replica_of_its_own() {
        let found = |name: &str| Found {
            id: name.to_owned(),
            name: name.to_owned(),
            running: true,
        };
        let all = [
            "w-10",
            "w-2-treasury-bot-old",
            "w-1",
            "w-1-treasury-bot-old",
        ];
        let places = places(all.map(found).into());
        let shown: Vec<_> = places
            .iter()
            .map(|place| {
                (
                    place.name.as_str(),
                    place.now.is_some(),
                    place.old.is_some(),
                )
            })
            .collect();
        let expected = [
            ("w-1", true, true),
            ("w-2", false, true),
            ("w-10", true, false),
        ];
        assert_eq!(shown, expected);
    }
}
