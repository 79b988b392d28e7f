//! What the bot's own probes say of services, databases and caches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use tokio::time::timeout;

use super::ends::{ends, is_restless};
use crate::bot::rates::FEW;
use crate::bot::{Context, Named};
use crate::domain::ServiceName;
use crate::domain::alert::WatchSettings;
use crate::domain::series::{Metric, Series};
use crate::domain::service::{LogQuery, ReplicaStats, Service};
use crate::domain::timeline::cut;
use crate::platform::Platform;
use crate::probe::ProbeError;
use crate::store::StoreError;

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
    /// Of what is a moment: when it was last seen to happen. It fires at once, and is over when it
    /// was not seen for a while.
    pub(super) last: Option<Timestamp>,
    pub(super) says: String,
    pub(super) value: String,
    pub(super) threshold: String,
    pub(super) runbook: &'static str,
}

/// What was seen at once.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) readings: Vec<Reading>,
    /// The replicas of each service whose platform answered.
    pub(super) replicas: BTreeMap<String, BTreeSet<String>>,
    /// The services whose metrics page was asked for, and why it can't be read.
    pub(super) pages: BTreeMap<String, Option<ProbeError>>,
}

/// Looks at everything at the same time.
pub(super) async fn look(context: &Context, watch: WatchSettings) -> Result<Look, StoreError> {
    let services = context
        .catalogue()
        .services()
        .iter()
        .map(|service| async move {
            let mut look = Look::default();
            let Ok(platform) = context.catalogue().platform(service) else {
                return look;
            };
            let platform = platform.as_ref();
            let figures = async {
                if !watch.figures {
                    return (Vec::new(), Ok(None));
                }
                futures_util::join!(
                    memory(service, platform, watch.memory_percent),
                    errors(context, service, platform, watch.error_percent),
                )
            };
            let ended = ended(context, service, platform, watch.calm());
            let ((memory, errors), ended) = futures_util::join!(figures, ended);
            let (errors, unread) = match errors {
                Ok(errors) => (errors, None),
                Err(error) => (None, Some(error)),
            };
            if service.metrics_page.is_some() && watch.figures {
                look.pages.insert(service.name.to_string(), unread);
            }
            look.readings.extend(memory.into_iter().chain(errors));
            if let Some((names, readings)) = ended {
                look.replicas.insert(service.name.to_string(), names);
                look.readings.extend(readings);
            }
            look
        });
    let catalogue = context.catalogue();
    let (databases, caches) = if watch.figures {
        (catalogue.databases(), catalogue.caches())
    } else {
        Default::default()
    };
    let databases = databases.iter().map(|one| async move {
        let state = state_of(one.probe.summary()).await;
        let runbook = "database-connection-failed";
        reachable("DatabaseDown", "The database", one, state, runbook)
    });
    let caches = caches.iter().map(|one| async move {
        let state = state_of(one.probe.summary()).await;
        reachable("CacheDown", "The cache", one, state, "restart-service")
    });
    let (services, databases, caches) =
        futures_util::join!(join_all(services), join_all(databases), join_all(caches));
    let mut all = Look::default();
    for one in services {
        all.readings.extend(one.readings);
        all.replicas.extend(one.replicas);
        all.pages.extend(one.pages);
    }
    all.readings.extend(databases.into_iter().chain(caches));
    let explained = all.readings.iter_mut().map(|one| explain(context, one));
    try_join_all(explained).await?;
    Ok(all)
}

/// Of a service that the bot has cut off it is no news that nobody reaches it.
async fn explain(context: &Context, reading: &mut Reading) -> Result<(), StoreError> {
    let label = |name: &str| reading.labels.get(name).map_or("", String::as_str);
    let counts_errors = label("alertname") == "HighErrorRate";
    let is_down = ["DatabaseDown", "CacheDown"].contains(&label("alertname"));
    if (counts_errors || is_down && reading.ill == Some(true))
        && let Ok(service) = ServiceName::parse(label("service"))
    {
        let is_cut = !context.store().attachments_cut(&service).await?.is_empty();
        let says_nothing = counts_errors && context.rates().says_nothing(&service, is_cut);
        if is_cut || says_nothing {
            reading.ill = None;
        }
    }
    Ok(())
}

/// The replicas of a service and how they ended lately; `None` where its platform does not answer.
async fn ended(
    context: &Context,
    service: &Service,
    platform: &dyn Platform,
    calm: Duration,
) -> Option<(BTreeSet<String>, Vec<Reading>)> {
    let status = timeout(PATIENCE, platform.status(service)).await;
    let (status, now) = (status.ok()?.ok()?, context.now());
    let events = if is_restless(&status, calm, now) {
        let events = timeout(PATIENCE, platform.events(service, now - calm)).await;
        events.ok().and_then(Result::ok).map(|events| events.list)
    } else {
        Some(Vec::new())
    };
    let name = service.name.as_str();
    let readings = ends(name, &status, events.as_deref(), calm, now);
    let names = status.replicas.into_iter().map(|one| one.name).collect();
    Some((names, readings))
}

/// Answers that are errors: from the service's metrics page, else from its access log, of which
/// only what is new is read. An error is one of the page.
async fn errors(
    context: &Context,
    service: &Service,
    platform: &dyn Platform,
    threshold: f64,
) -> Result<Option<Reading>, ProbeError> {
    let (rates, name, now) = (context.rates(), &service.name, context.now());
    if let Some(page) = &service.metrics_page {
        rates.scrape(name, page, now).await?;
    } else if let Some(since) = rates.log_since(name, now) {
        let query = LogQuery {
            lines: 500,
            since: Some(since),
            grep: None,
            previous: false,
            container: None,
        };
        let logs = timeout(PATIENCE, platform.logs(service, &query)).await;
        let Ok(Ok(logs)) = logs else {
            return Ok(None);
        };
        rates.read(name, now, &logs.lines);
    }
    let percent = rates.percent(name, now);
    let series = Series {
        service: name.clone(),
        metric: Metric::ErrorRate,
        replica: name.to_string(),
    };
    if let Some(percent) = percent {
        context.measurements().record(series, now, percent, None);
    }
    Ok(Some(Reading {
        labels: labels(&[
            ("alertname", "HighErrorRate"),
            ("service", name.as_str()),
            ("severity", "critical"),
        ]),
        // So few that nobody waits for them.
        ill: percent.map_or(Some(false), |percent| over(percent, threshold)),
        last: None,
        says: percent.map_or_else(
            || format!("{name} gave fewer than {FEW} answers in the last minute"),
            |percent| format!("{percent:.0} % of the answers of {name} are errors"),
        ),
        value: percent.map_or_else(String::new, |percent| format!("{percent:.1} %")),
        threshold: format!("{threshold:.0} %"),
        runbook: "high-errors",
    }))
}

async fn memory(service: &Service, platform: &dyn Platform, threshold: f64) -> Vec<Reading> {
    let Ok(Ok(stats)) = timeout(PATIENCE, platform.stats(service)).await else {
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
            last: None,
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
    match timeout(PATIENCE, answer).await {
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
        last: None,
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
