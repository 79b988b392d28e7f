//! Bringing replicas to another image, one after another.
//!
//! The old container waits, stopped and under another name, until its successor is well; so at any
//! moment there is one of the two to go on with. A call that dies in between leaves them both, and
//! the next call finishes or puts back, by what it finds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dependants::Neighbours;
use super::inspected::Inspected;
use super::spec::ContainerSpec;
use super::steps::{self, Change};
use super::{find, successor, versions, wait};
use crate::engine::container::{inspect, replica};
use crate::engine::{ContainerRef, Result, image, unsupported, unwell};
use treasury_domain::service::{ReplicaState, Version};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::by_name;

/// A replica's containers: the one under its name, and the one that waits under the other.
#[derive(Debug, Default)]
struct Slot {
    now: Option<ContainerRef>,
    old: Option<ContainerRef>,
}

/// One replica's way to a version.
struct Rollout<'a> {
    change: &'a Change<'a>,
    /// The replica.
    name: &'a str,
    version: &'a Version,
    /// Reports a step.
    report: &'a (dyn Fn(&str) + Send + Sync),
}

/// Brings all replicas to a version.
pub async fn deploy(change: &Change<'_>, version: &Version) -> Result<()> {
    let (engine, progress) = (change.engine, change.progress);
    let found = find::with_replaced(engine, change.service).await?;
    if !image::is_there(engine, &version.id).await? {
        return Err(image::absent(&version.image));
    }
    let slots = slots(&found);
    let total = slots.len() as u32;
    for (done, (name, slot)) in (0..).zip(slots) {
        let name = &name;
        let report = &|step: &str| progress.report(done, total, format!("{name}: {step}"));
        let rollout = Rollout {
            change,
            name,
            version,
            report,
        };
        rollout.bring(slot).await?;
        progress.report(done + 1, total, format!("{name}: runs {}", version.image));
    }
    Ok(())
}

/// The replicas by their names, in the order of their numbers.
fn slots(found: &[ContainerRef]) -> Vec<(String, Slot)> {
    let mut slots: BTreeMap<String, Slot> = BTreeMap::new();
    for one in found {
        if let Some(name) = find::before_replaced(&one.name) {
            slots.entry(name.to_owned()).or_default().old = Some(one.clone());
        } else {
            slots.entry(one.name.clone()).or_default().now = Some(one.clone());
        }
    }
    let mut slots: Vec<_> = slots.into_iter().collect();
    slots.sort_by(|(a, _), (b, _)| by_name(a, b));
    slots
}

impl Rollout<'_> {
    /// Brings the replica to the version, from whatever state a former call has left it in.
    async fn bring(&self, mut slot: Slot) -> Result<()> {
        let (engine, name) = (self.change.engine, self.name);
        let is_new = self.has_version(slot.now.as_ref()).await?;
        if let (Some(now), Some(old), false) = (&slot.now, &slot.old, is_new) {
            // A former call was to bring another version. If that is well, its work is done; if
            // not, the old container is still the replica.
            let state = replica(engine, &now.id).await?;
            if state.is_some_and(|state| state.is_well()) {
                self.discard(old).await?;
                slot.old = None;
            } else {
                (self.report)("removing what an unfinished deployment left");
                steps::remove(engine, now, true).await?;
                slot.now = None;
            }
        }
        match (slot.now, slot.old) {
            (Some(now), old) if is_new => match (self.start(&now).await, old) {
                (Ok(()), Some(old)) => self.discard(&old).await,
                (Err(error), Some(old)) => Err(self.put_back(&old, error).await),
                (result, None) => result,
            },
            (None, Some(old)) if self.has_version(Some(&old)).await? => {
                (self.report)("taking up the old container again");
                let now = steps::rename(engine, &old, name).await?;
                self.start(&now).await
            }
            (Some(now), None) => {
                let spec = self.successor_of(&now).await?;
                let old = steps::rename(engine, &now, &find::replaced(name)).await?;
                self.replace(old, spec).await
            }
            (None, Some(old)) => {
                let spec = self.successor_of(&old).await?;
                self.replace(old, spec).await
            }
            // Only what was found has a slot, and both at once were parted above.
            (None, None) | (Some(_), Some(_)) => Ok(()),
        }
    }

    /// There is a container, and it runs the version.
    async fn has_version(&self, one: Option<&ContainerRef>) -> Result<bool> {
        let Some(one) = one else {
            return Ok(false);
        };
        let facts = inspect(self.change.engine, &one.id).await?;
        Ok(facts.is_some_and(|facts| facts.image.as_deref() == Some(&self.version.id)))
    }

    /// What the successor of a container is made of. Nothing is touched yet.
    async fn successor_of(&self, old: &ContainerRef) -> Result<ContainerSpec> {
        let (engine, name, version) = (self.change.engine, self.name, self.version);
        let Some(inspected) = Inspected::of(engine, &old.id).await? else {
            return Err(unwell(format!(
                "{name} was removed while it was to be replaced: ask for the status"
            )));
        };
        let facts = &inspected.facts;
        let neighbours = Neighbours::of(engine).await?;
        versions::replaceable(&neighbours, std::slice::from_ref(old))?;
        let image = facts.image.clone().unwrap_or_default();
        let brought = image::inspect(engine, &image).await?;
        let Some(brought) = brought.and_then(|image| image.config) else {
            return Err(unsupported(format!(
                "the image that {name} runs ({image}) is not on the host any more, so its own \
                 settings can't be told from the container's: deploy with `docker compose up -d`"
            )));
        };
        let reference = image::exact(engine, &version.image, &version.id).await?;
        let previous = versions::previous(facts, &version.id);
        successor::successor(
            inspected,
            name.to_owned(),
            &brought,
            version,
            reference,
            previous,
        )
    }

    /// Lets a new container take the place of the old one, which has its other name already.
    async fn replace(&self, old: ContainerRef, spec: ContainerSpec) -> Result<()> {
        // Boxed: its state is 18 KB.
        let made = Box::pin(async {
            (self.report)("stopping the old container");
            steps::stop(self.change.engine, &old, self.change.patience.stop).await?;
            let made = steps::make(self.change.engine, spec).await?;
            self.start(&made).await
        });
        match made.await {
            Ok(()) => self.discard(&old).await,
            Err(error) => Err(self.put_back(&old, error).await),
        }
    }

    /// Starts a container that does not run, and awaits that it is well.
    async fn start(&self, one: &ContainerRef) -> Result<()> {
        use ReplicaState as S;
        let state = replica(self.change.engine, &one.id)
            .await?
            .map(|now| now.state);
        if matches!(state, Some(S::Created | S::Exited | S::Dead)) {
            steps::start(self.change.engine, one).await?;
        }
        (self.report)("waiting until healthy");
        let healthy = self.change.patience.healthy;
        wait::until_well(
            self.change.engine,
            one,
            healthy,
            wait::STABLE,
            Duration::ZERO,
        )
        .await
    }

    /// Removes a container whose successor is well. Its volumes stay: the successor has them.
    async fn discard(&self, old: &ContainerRef) -> Result<()> {
        let removed = async {
            // It is stopped, unless somebody has started it.
            steps::stop(self.change.engine, old, self.change.patience.stop).await?;
            steps::remove(self.change.engine, old, false).await
        };
        removed.await.map_err(|error| {
            let name = &old.name;
            unwell(format!(
                "the new container is well, but the old one, {name}, could not be removed: \
                 {error}\nDeploy the same version again, or remove it with `docker rm -f {name}`"
            ))
        })
    }

    /// Removes the successor and takes the old container up again; the error tells of both.
    async fn put_back(&self, old: &ContainerRef, error: PlatformError) -> PlatformError {
        let (engine, name) = (self.change.engine, self.name);
        (self.report)("putting the old container back");
        let back = async {
            // It is looked for by its name: the engine may have made it without an answer in time.
            let successor = inspect(engine, name).await?;
            if let Some(id) = successor.and_then(|facts| facts.id)
                && id != old.id
            {
                steps::remove(engine, &ContainerRef::new(id, name), true).await?;
            }
            steps::rename(engine, old, name).await
        };
        let back = match back.await {
            Ok(back) => self.start(&back).await,
            Err(other) => {
                return unwell(format!(
                    "{error}\n{name} could not be put back: {other}\nDeploy again, or put it back \
                     with `docker rm -f {name}; docker rename {} {name}; docker start {name}`",
                    old.name
                ));
            }
        };
        let how = match back {
            Ok(()) => " and is well".to_owned(),
            Err(other) => format!(", but: {other}"),
        };
        unwell(format!(
            "{error}\n{name} was put back as it was before{how}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_waits_is_no_replica_of_its_own() {
        let found = |name: &str| ContainerRef::new(name, name);
        let all = [
            "w-10",
            "w-2-treasury-bot-old",
            "w-1",
            "w-1-treasury-bot-old",
        ];
        let slots = slots(&all.map(found));
        let shown: Vec<_> = slots
            .iter()
            .map(|(name, slot)| (name.as_str(), slot.now.is_some(), slot.old.is_some()))
            .collect();
        let expected = [
            ("w-1", true, true),
            ("w-2", false, true),
            ("w-10", true, false),
        ];
        assert_eq!(shown, expected);
    }
}
