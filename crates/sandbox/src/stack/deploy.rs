//! How the services come to another image.

use std::time::Duration;

use rand::RngExt;

use super::answers::{changeable, choose, gone, reachable, role_of};
use super::container::{Container, Made};
use super::driver::Stack;
use super::fault::Fault;
use super::images::{BAD, tag, version};
use super::model::World;
use super::role::Role;
use treasury_domain::service::{Patience, Service, ServiceStatus, Version};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

impl World {
    /// Lets a replica go on with another image, as a new container of the same name. The one that
    /// it was when it was last well is kept for [`World::put_back`]. Returns its new id and how
    /// often it has started so far.
    pub(super) fn replace(
        &mut self,
        id: &str,
        image: &str,
        patience: Duration,
    ) -> Option<(String, u64)> {
        let fresh = self.fresh_id();
        let at = self.containers.iter().position(|c| c.id == id)?;
        let c = &mut self.containers[at];
        let now = Made {
            id: c.id.clone(),
            image: c.image.clone(),
        };
        let last = match c.former.take() {
            Some(former) if !c.is_well() => former,
            _ => now,
        };
        let next = if last.image == image {
            last
        } else {
            c.former = Some(last);
            let image = image.to_owned();
            Made { id: fresh, image }
        };
        (c.id, c.image) = (next.id, next.image);
        let id = c.id.clone();
        let run = self.restart(&id, patience)?;
        self.journal.changes += 1;
        Some((id, run))
    }

    /// Lets a replica go on as the container that it was before. Returns that one's id and how
    /// often it has started so far.
    fn put_back(&mut self, id: &str, patience: Duration) -> Option<(String, u64)> {
        let c = self.containers.iter_mut().find(|c| c.id == id)?;
        let Made { id, image } = c.former.take()?;
        (c.id, c.image) = (id.clone(), image);
        let run = self.restart(&id, patience)?;
        self.journal.changes += 1;
        Some((id, run))
    }

    /// The fault is in as long as the api runs the image that is at fault; if that is what crashes,
    /// the crashes end with it.
    fn settle_bad_deploy(&mut self) {
        let key = (Fault::BadDeploy, Some(Role::Api));
        let runs = self.of(Role::Api).any(Container::runs_bad);
        if runs != self.faults.contains_key(&key) {
            if runs {
                self.faults.insert(key, self.now);
            } else {
                self.faults.remove(&key);
                self.faults.remove(&(Fault::CrashLoop, Some(Role::Api)));
            }
            self.journal.changes += 1;
        }
    }

    /// Somebody deploys the image that is at fault, everywhere at once.
    pub(super) fn begin_bad_deploy(&mut self) {
        let bad = version(Role::Api, BAD, None);
        let ids: Vec<String> = self.of(Role::Api).map(|c| c.id.clone()).collect();
        for id in ids {
            self.replace(&id, &bad.image, Duration::from_millis(300));
        }
        let api = self.containers.iter_mut().filter(|c| c.role == Role::Api);
        for c in api {
            c.former = None;
        }
        self.deployed.add(Role::Api, &bad, self.now);
    }

    /// What was at fault is as if it had never been deployed.
    pub(super) fn end_bad_deploy(&mut self) {
        let bad = version(Role::Api, BAD, None);
        self.deployed.forget(Role::Api, &bad);
        let image = self.deployed.image(Role::Api);
        let poisoned = self.has(Fault::ApiErrors);
        for c in self.containers.iter_mut().filter(|c| c.runs_bad()) {
            c.image.clone_from(&image);
            c.poisoned = poisoned;
        }
    }

    /// The id of a new container.
    pub(super) fn fresh_id(&mut self) -> String {
        let (high, low) = (
            self.rng.random_range(0..=u128::MAX),
            self.rng.random_range(0..=u128::MAX),
        );
        format!("{high:032x}{low:032x}")
    }
}

/// What the service runs and ran.
pub(super) fn versions(world: &World, service: &Service) -> Result<Vec<Version>, PlatformError> {
    let role = role_of(world, service)?;
    Ok(world.deployed.of(role).to_vec())
}

/// The version that an image is; a tag alone is enough.
pub(super) fn deployable(
    world: &World,
    service: &Service,
    image: &str,
) -> Result<Version, PlatformError> {
    let role = role_of(world, service)?;
    let (name, tags) = role.images();
    let (asked_name, asked_tag) = match image.rsplit_once(':') {
        Some((name, tag)) => (Some(name), tag),
        None => (None, image),
    };
    let same = asked_name.is_none_or(|asked| name == asked || name.ends_with(&format!("/{asked}")));
    if same && tags.contains(&asked_tag) {
        joined(world, role)?;
        return Ok(version(role, asked_tag, None));
    }
    let shown: String = image.chars().take(80).collect();
    let there: Vec<String> = tags.iter().map(|tag| format!("{name}:{tag}")).collect();
    Err(PlatformError::Unsupported(format!(
        "the image {shown} is not on the simulated engine; of {} it has {}",
        role.name(),
        there.join(", ")
    )))
}

/// Refuses where a new container would be joined to a network that the old one is cut off from.
fn joined(world: &World, role: Role) -> Result<(), PlatformError> {
    match world.of(role).find(|c| c.cut) {
        None => Ok(()),
        Some(c) => Err(PlatformError::Unsupported(format!(
            "{} is cut off from its network: a new container would be joined to it. Release it \
             first",
            c.name
        ))),
    }
}

impl Stack {
    /// Brings all replicas to a version, one after another.
    pub(super) async fn bring_to(
        &self,
        service: &Service,
        version: &Version,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let (role, chosen) = {
            let world = self.world();
            let role = role_of(&world, service)?;
            changeable(&world)?;
            // One that was deployed once may have gone from the engine's list since.
            let known = world
                .deployed
                .of(role)
                .iter()
                .any(|one| one.id == version.id);
            if !known {
                deployable(&world, service, &version.image)?;
            }
            joined(&world, role)?;
            (role, choose(&world, role, None)?)
        };
        self.record(format!("deploy {} {}", role.name(), tag(&version.image)));
        let total = chosen.len() as u32;
        for (done, (id, name)) in (0..).zip(chosen) {
            let tell = |step: &str| progress.report(done, total, format!("{name}: {step}"));
            self.bring_one(&id, &name, &version.image, patience, &tell)
                .await?;
            let image = &version.image;
            progress.report(done + 1, total, format!("{name}: runs {image}"));
        }
        self.with(|world| {
            let now = world.now();
            world.deployed.add(role, version, now);
        });
        self.status(service).await
    }

    async fn bring_one(
        &self,
        id: &str,
        name: &str,
        image: &str,
        patience: Patience,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), PlatformError> {
        let (id, before) = self.with(|world| {
            reachable(world)?;
            changeable(world)?;
            let c = world.find(id).ok_or_else(|| gone(name))?;
            if c.image == image && c.run > 0 {
                // It may still be coming up after a call that died.
                return Ok((id.to_owned(), c.run - u64::from(!c.is_changing())));
            }
            tell("stopping the old container");
            let replaced = world.replace(id, image, patience.stop);
            replaced.ok_or_else(|| gone(name))
        })?;
        let well = async {
            let run = self.started(&id, name, before, patience).await?;
            tell("waiting until healthy");
            self.well(&id, name, run, patience).await
        };
        let result = well.await;
        let back = self.with(|world| {
            let back = match &result {
                Ok(()) => {
                    let c = world.containers.iter_mut().find(|c| c.id == id);
                    if let Some(c) = c {
                        c.former = None;
                    }
                    None
                }
                Err(_) => world.put_back(&id, patience.stop),
            };
            world.settle_bad_deploy();
            back
        });
        match (result, back) {
            (Ok(()), _) => Ok(()),
            (Err(error), None) => Err(error),
            (Err(error), Some((id, before))) => {
                tell("putting the old container back");
                let back = async {
                    let run = self.started(&id, name, before, patience).await?;
                    self.well(&id, name, run, patience).await
                };
                let end = match back.await {
                    Ok(()) => "as it was before and is well".to_owned(),
                    Err(other) => format!("as it was before, but: {other}"),
                };
                Err(PlatformError::Unwell {
                    what: format!("{error}\n{name} was put back {end}"),
                })
            }
        }
    }
}
