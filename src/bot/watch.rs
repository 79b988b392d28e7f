//! The bot's own measurements: taken all the time, so that trends exist without Prometheus and a
//! question for resource use is answered at once.
//!
//! The first value and then a mean a minute go to the store, so that a trend survives a restart of the
//! bot and other processes know it.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::measurements::Trace;
use super::{Context, Named};
use crate::domain::series::{Metric, Series};
use crate::domain::service::Service;
use crate::probe::Database;
use crate::store::StoreError;

/// Services are measured so often.
const EVERY: Duration = Duration::from_secs(5);
/// Databases are asked at each such turn only (30 s).
const DATABASES: u64 = 6;
/// A mean is recorded at each such turn (1 min).
const RECORD: u64 = 12;
/// Old rows are removed at each such turn (1 h).
const THIN: u64 = 720;
/// A service that does not answer in this time has no value this time.
const PATIENCE: Duration = Duration::from_secs(4);

/// Measures until the shutdown.
pub(super) async fn keep_watching(context: Context) {
    if let Err(error) = recall(&context).await {
        tracing::error!(%error, "earlier measurements could not be read");
    }
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for turn in 0_u64.. {
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            _ = tick.tick() => {}
        }
        measure_services(&context).await;
        if turn % DATABASES == 0 {
            measure_databases(&context).await;
        }
        let measurements = context.measurements();
        let means = if turn % RECORD == RECORD - 1 {
            measurements.means(context.now())
        } else {
            measurements.first()
        };
        if let Err(error) = context.store().samples_put(means).await {
            tracing::warn!(%error, "measurements could not be recorded");
        }
        if turn % THIN == THIN - 1
            && let Err(error) = context.store().samples_thin().await
        {
            tracing::warn!(%error, "old measurements could not be removed");
        }
    }
}

/// What was measured before this process began.
async fn recall(context: &Context) -> Result<(), StoreError> {
    let measurements = context.measurements();
    measurements.recall(context.store().samples().await?);
    // They are recorded already.
    measurements.means(context.now());
    Ok(())
}

async fn measure_services(context: &Context) {
    let services = context.catalogue().services().iter();
    join_all(services.map(|service| measure_service(context, service))).await;
}

pub(super) async fn measure_service(context: &Context, service: &Service) {
    let Ok(platform) = context.catalogue().platform(service) else {
        return;
    };
    // Whoever asks is told why there is no sample; here it is only missing.
    let Ok(Ok(stats)) = timeout(PATIENCE, platform.stats(service)).await else {
        return;
    };
    for replica in stats.replicas {
        let series = |metric| Series {
            service: service.name.clone(),
            metric,
            replica: replica.replica.clone(),
        };
        let limit = replica.memory_limit_bytes.map(|limit| limit as f64);
        let (memory, cpu) = (replica.memory_bytes as f64, replica.cpu_percent);
        let measurements = context.measurements();
        measurements.record(series(Metric::Memory), stats.taken_at, memory, limit);
        measurements.record(series(Metric::Cpu), stats.taken_at, cpu, None);
    }
}

async fn measure_databases(context: &Context) {
    let databases = context.catalogue().databases().iter();
    join_all(databases.map(|database| measure_database(context, database))).await;
}

async fn measure_database(context: &Context, database: &Named<dyn Database>) {
    let Ok(Ok(seen)) = timeout(PATIENCE, database.probe.connections()).await else {
        return;
    };
    let series = Series {
        service: database.service.clone(),
        metric: Metric::Connections,
        replica: database.name.to_string(),
    };
    let (used, max) = (seen.used as f64, seen.max as f64);
    let now = context.now();
    context.measurements().record(series, now, used, Some(max));
}

/// What is known of a metric of a service since a moment. A process that does not measure
/// itself (`exec`) reads what the serving one has recorded, and looks once: limits are not
/// recorded.
pub(super) async fn measured(
    context: &Context,
    service: &Service,
    metric: Metric,
    since: Timestamp,
) -> Result<Vec<Trace>, StoreError> {
    let known = recorded(context, service, metric, since).await?;
    if !known.is_empty() {
        return Ok(known);
    }
    match metric {
        Metric::Memory | Metric::Cpu => measure_service(context, service).await,
        // Two looks are needed: it is counted only while the bot serves.
        Metric::ErrorRate => {}
        Metric::Connections => {
            let databases = context.catalogue().databases().iter();
            let own = databases.filter(|database| database.service == service.name);
            join_all(own.map(|database| measure_database(context, database))).await;
        }
    }
    Ok(context.measurements().of(&service.name, metric, since))
}

/// What was measured since a time, at once.
pub(super) async fn recorded(
    context: &Context,
    service: &Service,
    metric: Metric,
    since: Timestamp,
) -> Result<Vec<Trace>, StoreError> {
    let known = context.measurements().of(&service.name, metric, since);
    if !known.is_empty() {
        return Ok(known);
    }
    recall(context).await?;
    Ok(context.measurements().of(&service.name, metric, since))
}
