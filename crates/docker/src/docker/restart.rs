//! Restarting replicas, one after another.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::steps::{self, Change};
use super::{find, wait};
use crate::engine::container::replica;
use crate::engine::{ContainerRef, Result, all_well, not_found, unwell};
use treasury_domain::service::{Consequence, Dependant, ReplicaState};

/// After a crash of the bot the engine may still be between the stop and the start of a replica.
const RESTART_GAP: Duration = Duration::from_secs(5);

/// Restarts the replicas in `only`, or all, and awaits that all are well. What hangs on them is
/// brought along as soon as all that it hangs on is done.
pub async fn restart(
    change: &Change<'_>,
    only: Option<&[String]>,
    along: &[Dependant],
) -> Result<()> {
    let (engine, patience) = (change.engine, change.patience);
    let all = find::containers(engine, change.service).await?;
    let is_gone = |id: &&String| !all.iter().any(|one| one.id == **id);
    if let Some(gone) = only.unwrap_or_default().iter().find(is_gone) {
        let short: String = gone.chars().take(12).collect();
        return Err(not_found(
            format!("the container {short} of {}", change.service.name),
            "it was removed or replaced meanwhile: ask for the status and restart anew",
        ));
    }
    let chosen = all
        .iter()
        .filter(|one| only.is_none_or(|only| only.contains(&one.id)));
    let mut along = Along::new(along, chosen.clone().map(|one| one.name.as_str()));
    let own = chosen.clone().count();
    let total = (own + along.left.len()) as u32;
    let mut done = along.bring(change, 0, total).await?;
    for (at, one) in chosen.enumerate() {
        let begun = Instant::now();
        let name = &one.name;
        let report = |done, line: String| change.progress.report(done, total, line);
        report(done, format!("{name}: restarting"));
        steps::restart(engine, one, patience.stop).await?;
        report(done, format!("{name}: waiting until healthy"));
        // Nobody waits behind the last one; the caller watches whether it stays up.
        let stable = if at + 1 == own {
            Duration::ZERO
        } else {
            wait::STABLE
        };
        let well = wait::until_well(engine, one, patience.healthy, stable, Duration::ZERO).await;
        done += 1;
        if well.is_ok() {
            let took = begun.elapsed().as_secs_f64();
            report(done, format!("{name}: back after {took:.1} s"));
        }
        // What shares its namespaces has lost them, however it is itself.
        along.open.remove(name.as_str());
        let brought = along.bring(change, done, total).await;
        done = along.both(well, brought)?;
    }
    // The others too, and the first ones again: one may have ended since.
    try_join_all(
        all.iter().map(|one| {
            wait::until_well(engine, one, patience.healthy, Duration::ZERO, RESTART_GAP)
        }),
    )
    .await?;
    Ok(())
}

/// Restarts what hangs on a service that was replaced.
pub async fn bring_along(change: &Change<'_>, along: &[Dependant]) -> Result<()> {
    let mut along = Along::new(along, std::iter::empty());
    let total = along.left.len() as u32;
    along.bring(change, 0, total).await.map(drop)
}

/// What is still to be brought along.
struct Along<'a> {
    left: Vec<&'a Dependant>,
    /// The names of what is still to be done, of the service and of what hangs on it.
    open: HashSet<&'a str>,
    brought: Vec<&'a str>,
}

impl<'a> Along<'a> {
    fn new(along: &'a [Dependant], own: impl Iterator<Item = &'a str>) -> Self {
        let left = along
            .iter()
            .filter(|one| one.fate == Consequence::Restarted);
        let left: Vec<&Dependant> = left.collect();
        let names = left.iter().map(|one| one.mark.name.as_str());
        Self {
            open: own.chain(names).collect(),
            left,
            brought: Vec::new(),
        }
    }

    /// Brings along what waits for nothing any more; one that fails does not keep the others from
    /// it. Returns how much is done then.
    async fn bring(&mut self, change: &Change<'_>, mut done: u32, total: u32) -> Result<u32> {
        let mut failed = Vec::new();
        let waits = |open: &HashSet<&str>, one: &Dependant| {
            one.after.iter().any(|name| open.contains(name.as_str()))
        };
        while let Some(next) = self.left.iter().position(|one| !waits(&self.open, one)) {
            let one = self.left.remove(next);
            let report = |done, what: &str| {
                let line = format!("{}: {what}", one.mark.name);
                change.progress.report(done, total, line);
            };
            match bring(change, one, &|what| report(done, what)).await {
                Ok(()) => self.brought.push(&one.mark.name),
                Err(error) => failed.push(error),
            }
            done += 1;
            report(done, "done");
            self.open.remove(one.mark.name.as_str());
        }
        all_well(failed).map(|()| done)
    }

    /// What came of a replica that was restarted, and of what hangs on it.
    fn both(&self, well: Result<()>, brought: Result<u32>) -> Result<u32> {
        match (well, brought) {
            (Ok(()), brought) => brought,
            (Err(error), Err(other)) => Err(unwell(format!("{error}\n{other}"))),
            (Err(error), Ok(_)) if self.brought.is_empty() => Err(error),
            (Err(error), Ok(_)) => {
                let names = self.brought.join(", ");
                Err(unwell(format!(
                    "{error}\nrestarted after it all the same: {names}"
                )))
            }
        }
    }
}

/// Restarts a container, unless it has started since all that it hangs on did: so it happens once,
/// also where the bot died in between. Awaits that it is well.
async fn bring(
    change: &Change<'_>,
    dependant: &Dependant,
    report: &(dyn Fn(&str) + Send + Sync),
) -> Result<()> {
    let (engine, patience) = (change.engine, change.patience);
    let one = ContainerRef::new(&dependant.mark.id, &dependant.mark.name);
    let Some(now) = replica(engine, &one.id).await? else {
        report("is gone");
        return Ok(());
    };
    let others = dependant.after.iter().map(|name| replica(engine, name));
    let others = try_join_all(others).await?.into_iter().flatten();
    let since = others.filter_map(|other| other.started_at).max();
    if now.state != ReplicaState::Running || now.started_at < since {
        report("restarting");
        steps::restart(engine, &one, patience.stop).await?;
    }
    report("waiting until healthy");
    wait::until_well(engine, &one, patience.healthy, wait::STABLE, RESTART_GAP).await
}
