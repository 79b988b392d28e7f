//! Restarting replicas, one after another.

use std::time::Duration;

use bollard::query_parameters::RestartContainerOptionsBuilder;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::PLATFORM;
use super::engine::{ACT, Engine};
use super::{find, wait};
use treasury_domain::service::{Patience, Service, ServiceStatus};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// After a crash of the bot the engine may still be between the stop and the start of a replica.
const BETWEEN: Duration = Duration::from_secs(5);

/// Restarts the replicas in `only`, or all, and awaits that all are well.
pub(super) async fn restart(
    engine: &Engine,
    service: &Service,
    only: Option<&[String]>,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let all = find::containers(engine, service).await?;
    if let Some(gone) = only
        .unwrap_or_default()
        .iter()
        .find(|id| !all.iter().any(|one| one.id == **id))
    {
        let short: String = gone.chars().take(12).collect();
        return Err(PlatformError::NotFound {
            platform: PLATFORM,
            what: format!("the container {short} of {}", service.name),
            hint: "it was removed or replaced meanwhile: ask for the status and restart anew"
                .to_owned(),
        });
    }
    let chosen: Vec<_> = all
        .iter()
        .filter(|one| only.is_none_or(|only| only.contains(&one.id)))
        .collect();
    let total = chosen.len() as u32;
    for (done, one) in (0..).zip(&chosen) {
        let begun = Instant::now();
        let name = &one.name;
        progress.report(done, total, format!("{name}: restarting"));
        // The engine takes whole seconds, and needs some itself after it has killed a process.
        let limit = patience.stop + ACT;
        let seconds = patience.stop.as_secs().min(i32::MAX as u64) as i32;
        let options = RestartContainerOptionsBuilder::default().t(seconds).build();
        let client = engine.patient_client(limit)?;
        let call = client.restart_container(&one.id, Some(options));
        let what = format!("the restart of {name}");
        engine.call(&what, limit, call).await?;
        progress.report(done, total, format!("{name}: waiting until healthy"));
        // Nobody waits behind the last one; whether it stays up is watched by who asked.
        let last = done + 1 == total;
        let stable = if last { Duration::ZERO } else { wait::STABLE };
        let healthy = patience.healthy;
        wait::until_well(engine, &one.id, name, healthy, stable, Duration::ZERO).await?;
        let took = begun.elapsed().as_secs_f64();
        progress.report(done + 1, total, format!("{name}: back after {took:.1} s"));
    }
    // The others too, and the first ones again: one may have ended since.
    try_join_all(all.iter().map(|one| {
        let healthy = patience.healthy;
        wait::until_well(engine, &one.id, &one.name, healthy, Duration::ZERO, BETWEEN)
    }))
    .await?;
    find::status(engine, service).await
}
