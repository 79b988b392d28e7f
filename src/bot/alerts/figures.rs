//! Before and after: a service at its worst while alerts fired, and now.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::bot::measurements::Trace;
use crate::bot::{Context, watch};
use crate::domain::alert::{Conversation, ReplicaCounts};
use crate::domain::series::Metric;
use crate::domain::{ServiceName, duration};
use crate::store::StoreError;

/// An alert fires some time after what it is about.
const EARLIER: Duration = Duration::from_secs(120);
/// Older values say nothing of now.
const FRESH: Duration = Duration::from_secs(180);
/// What a platform does not say in this time is left out.
const PATIENCE: Duration = Duration::from_secs(10);
/// What was never measured is measured now, if that takes no longer than this.
const MEASURE: Duration = Duration::from_secs(1);
/// Services that are shown.
const MOST: usize = 5;

/// The replicas of a service as its platform says.
pub(super) async fn replica_counts(
    context: &Context,
    service: &ServiceName,
) -> Option<ReplicaCounts> {
    let (service, platform) = context.catalogue().get(service)?;
    let status = tokio::time::timeout(PATIENCE, platform.status(service)).await;
    Some(ReplicaCounts::from(&status.ok()?.ok()?))
}

/// Before and after of the services of a conversation: `memory 94 % → 52 %`, and further ones.
pub(super) async fn figures(
    context: &Context,
    conversation: &Conversation,
) -> Result<Vec<(ServiceName, String)>, StoreError> {
    let mut services: Vec<ServiceName> = conversation.service.iter().cloned().collect();
    if let Some(id) = conversation.incident
        && let Some(incident) = context.store().incident(id).await?
    {
        for service in incident.services {
            if !services.contains(&service) {
                services.push(service);
            }
        }
    }
    services.truncate(MOST);
    let of = services
        .iter()
        .map(|service| of_service(context, conversation, service));
    let mut all = Vec::new();
    for (service, figures) in services.iter().zip(join_all(of).await) {
        let figures = figures?;
        if !figures.is_empty() {
            all.push((service.clone(), figures.join(", ")));
        }
    }
    Ok(all)
}

async fn of_service(
    context: &Context,
    conversation: &Conversation,
    service: &ServiceName,
) -> Result<Vec<String>, StoreError> {
    let mut figures = Vec::new();
    let Some((known, _)) = context.catalogue().get(service) else {
        return Ok(figures);
    };
    let (since, now) = (conversation.began_at - EARLIER, context.store().now());
    if watch::recorded(context, known, Metric::Memory, since)
        .await?
        .is_empty()
    {
        // It all went very fast, or the platform does not say: that must not hold up the end.
        let look = watch::measure_service(context, known);
        drop(tokio::time::timeout(MEASURE, look).await);
    }
    for (metric, name) in [
        (Metric::Memory, "memory"),
        (Metric::Cpu, "CPU"),
        (Metric::Connections, "connections"),
        (Metric::ErrorRate, "errors"),
    ] {
        let series = watch::recorded(context, known, metric, since).await?;
        figures.extend(change(metric, name, &series, now));
    }
    if let (Some(before), Some(now)) = (
        conversation.counts_before.get(service),
        replica_counts(context, service).await,
    ) {
        figures.push(before.change_to(now));
    }
    Ok(figures)
}

/// The worst value of all replicas, and the worst of now.
fn change(metric: Metric, name: &str, series: &[Trace], now: Timestamp) -> Option<String> {
    // Shares can be compared between replicas where all have a limit.
    let shares = metric == Metric::Memory && series.iter().all(|one| one.limit.is_some());
    let of = |one: &Trace, value: f64| match one.limit {
        Some(limit) if shares && limit > 0.0 => value * 100.0 / limit,
        _ => value,
    };
    let values = series
        .iter()
        .flat_map(|one| one.points.iter().map(|(_, value)| of(one, *value)));
    let worst = values.reduce(f64::max)?;
    let last = series.iter().filter_map(|one| {
        let (at, value) = one.points.last()?;
        (*at + FRESH > now).then(|| of(one, *value))
    });
    let last = last.reduce(f64::max)?;
    let text = |value: f64| match metric {
        Metric::Memory if !shares => duration::bytes_text(value as u64),
        Metric::Connections => format!("{value:.0}"),
        _ => format!("{value:.0} %"),
    };
    Some(format!("{name} {} → {}", text(worst), text(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_replica_at_its_worst_stands_for_all() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let trace = |values: [f64; 3], limit| Trace {
            replica: "a".into(),
            points: vec![
                (at(0), values[0]),
                (at(60), values[1]),
                (at(120), values[2]),
            ],
            limit,
        };
        let both = [
            trace([50.0, 94.0, 20.0], Some(100.0)),
            trace([60.0, 10.0, 52.0], Some(200.0)),
        ];
        let now = at(130);
        assert_eq!(
            change(Metric::Memory, "memory", &both, now).unwrap(),
            "memory 94 % → 26 %"
        );
        let bytes = [trace([3e9, 1e9, 5e8], None)];
        let text = change(Metric::Memory, "memory", &bytes, now).unwrap();
        assert!(text.starts_with("memory 2.8 GiB → 477 MiB"), "{text}");
        assert_eq!(
            change(Metric::Cpu, "CPU", &both, at(2_000)),
            None,
            "too old to be now"
        );
        assert_eq!(change(Metric::Cpu, "CPU", &[], now), None);
        let (before, after) = (
            ReplicaCounts {
                well: 1,
                total: 2,
                restarts: 4,
            },
            ReplicaCounts {
                well: 2,
                total: 2,
                restarts: 7,
            },
        );
        assert_eq!(
            before.change_to(after),
            "healthy 1/2 → 2/2, restarted by itself 3×"
        );
    }
}
