//! What the bot's own probes say of services, databases and caches.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::bot::{Context, Named};
use crate::domain::alert::WatchSettings;
use crate::domain::series::{Metric, Series};
use crate::domain::service::{LogQuery, ReplicaStats, Service};
use crate::domain::timeline::cut;
use crate::platform::Platform;
use crate::probe::ProbeError;

/// What cannot be asked in this time is not known.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far below the threshold a value has to fall until it counts as well again, as a share of it.
const HYSTERESIS: f64 = 0.9;

/// One look at one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) labels: BTreeMap<String, String>,
    /// `None`: not known, or between well and ill: it stays as it is.
    pub(super) ill: Option<bool>,
    pub(super) says: String,
    pub(super) value: String,
    pub(super) threshold: String,
    pub(super) runbook: &'static str,
}

/// Looks at everything at the same time.
pub(super) async fn readings(context: &Context, watch: WatchSettings) -> Vec<Reading> {
    let services = context
        .catalogue()
        .services()
        .iter()
        .map(|service| async move {
            let Ok(platform) = context.catalogue().platform(service) else {
                return Vec::new();
            };
            let platform = platform.as_ref();
            let (mut memory, errors) = futures_util::join!(
                memory(service, platform, watch.memory_percent),
                errors(context, service, platform, watch.error_percent),
            );
            memory.extend(errors);
            memory
        });
    let databases = context
        .catalogue()
        .databases()
        .iter()
        .map(|one| async move {
            let state = state_of(one.probe.summary()).await;
            let runbook = "database-connection-failed";
            reachable("DatabaseDown", "The database", one, state, runbook)
        });
    let caches = context.catalogue().caches().iter().map(|one| async move {
        let state = state_of(one.probe.summary()).await;
        reachable("CacheDown", "The cache", one, state, "restart-service")
    });
    let (services, databases, caches) =
        futures_util::join!(join_all(services), join_all(databases), join_all(caches));
    let all = services.into_iter().flatten();
    all.chain(databases).chain(caches).collect()
}

/// Answers that are errors: from the service's metrics page, else from its access log, of which
/// only what is new is read.
async fn errors(
    context: &Context,
    service: &Service,
    platform: &dyn Platform,
    threshold: f64,
) -> Option<Reading> {
    let (rates, name, now) = (context.rates(), &service.name, context.now());
    if let Some(page) = &service.metrics_page {
        rates.scrape(name, page, now).await.ok()?;
    } else if let Some(since) = rates.log_since(name, now) {
        let query = LogQuery {
            lines: 500,
            since: Some(since),
            grep: None,
            previous: false,
            container: None,
        };
        let logs = tokio::time::timeout(PATIENCE, platform.logs(service, &query)).await;
        rates.read(name, now, &logs.ok()?.ok()?.lines);
    }
    let percent = rates.percent(name, now);
    let series = Series {
        service: name.clone(),
        metric: Metric::ErrorRate,
        replica: name.to_string(),
    };
    context.measurements().record(series, now, percent, None);
    Some(Reading {
        labels: labels(&[
            ("alertname", "HighErrorRate"),
            ("service", name.as_str()),
            ("severity", "critical"),
        ]),
        ill: over(percent, threshold),
        says: format!("{percent:.0} % of the answers of {name} are errors"),
        value: format!("{percent:.1} %"),
        threshold: format!("{threshold:.0} %"),
        runbook: "slow-responses",
    })
}

async fn memory(service: &Service, platform: &dyn Platform, threshold: f64) -> Vec<Reading> {
    let Ok(Ok(stats)) = tokio::time::timeout(PATIENCE, platform.stats(service)).await else {
        return Vec::new();
    };
    let reading = |replica: &ReplicaStats| {
        let percent = replica.memory_percent()?;
        let name = &replica.replica;
        Some(Reading {
            labels: labels(&[
                ("alertname", "HighMemory"),
                ("service", service.name.as_str()),
                ("replica", name),
                ("severity", "warning"),
            ]),
            ill: over(percent, threshold),
            says: format!("{name} uses {percent:.0} % of its memory"),
            value: format!("{percent:.1} %"),
            threshold: format!("{threshold:.0} %"),
            runbook: "memory-leak",
        })
    };
    stats.replicas.iter().filter_map(reading).collect()
}

/// Whether a server can be reached, and why not; `None` where it would only not answer this.
async fn state_of<T>(
    answer: impl Future<Output = Result<T, ProbeError>>,
) -> Option<Result<(), String>> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Err(_) => Some(Err(format!("no answer within {} s", PATIENCE.as_secs()))),
        Ok(Err(error)) if error.kind.is_down() => Some(Err(error.what)),
        Ok(Err(_)) => None,
        Ok(Ok(_)) => Some(Ok(())),
    }
}

fn reachable<P: ?Sized>(
    alert: &str,
    what: &str,
    one: &Named<P>,
    state: Option<Result<(), String>>,
    runbook: &'static str,
) -> Reading {
    let Named { name, service, .. } = one;
    let ill = state.as_ref().map(Result::is_err);
    let why = state.and_then(Result::err).unwrap_or_default();
    Reading {
        labels: labels(&[
            ("alertname", alert),
            ("service", service.as_str()),
            ("name", name.as_str()),
            ("severity", "critical"),
        ]),
        ill,
        says: format!("{what} {name} is down"),
        value: cut(&why, 300),
        threshold: String::new(),
        runbook,
    }
}

pub(super) fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// Above the threshold: ill; well below: well; between: as it was.
pub(super) fn over(value: f64, threshold: f64) -> Option<bool> {
    if value > threshold {
        Some(true)
    } else if value < threshold * HYSTERESIS {
        Some(false)
    } else {
        None
    }
}
