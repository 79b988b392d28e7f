//! Restarting replicas, one after another.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::steps::{self, Change};
use super::{find, wait};
use crate::engine::{Result, not_found};

/// After a crash of the bot the engine may still be between the stop and the start of a replica.
const RESTART_GAP: Duration = Duration::from_secs(5);

/// Restarts the replicas in `only`, or all, and awaits that all are well.
pub async fn restart(change: &Change<'_>, only: Option<&[String]>) -> Result<()> {
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
    let total = chosen.clone().count() as u32;
    for (done, one) in (0..).zip(chosen) {
        let begun = Instant::now();
        let name = &one.name;
        change
            .progress
            .report(done, total, format!("{name}: restarting"));
        steps::restart(engine, one, patience.stop).await?;
        change
            .progress
            .report(done, total, format!("{name}: waiting until healthy"));
        // Nobody waits behind the last one; the caller watches whether it stays up.
        let last = done + 1 == total;
        let stable = if last { Duration::ZERO } else { wait::STABLE };
        wait::until_well(engine, one, patience.healthy, stable, Duration::ZERO).await?;
        let took = begun.elapsed().as_secs_f64();
        change
            .progress
            .report(done + 1, total, format!("{name}: back after {took:.1} s"));
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
