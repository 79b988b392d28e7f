//! The handbook's alerts for those without Prometheus, from the bot's own probes. They come in by
//! the same door as any other alert.
//!
//! One process looks at a time: the timer that makes it look holds what is known so far, and is set
//! anew in the transaction that takes it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::timers::What;
use crate::bot::{Context, Named};
use crate::domain::alert::{Alert, WatchSettings, alertmanager};
use crate::domain::duration;
use crate::domain::series::{Metric, Series};
use crate::domain::service::{LogQuery, Service};
use crate::domain::timeline::cut;
use crate::platform::Platform;
use crate::probe::ProbeError;
use crate::store::{StoreError, TimerRow};

/// What cannot be asked in this time is not known.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far below the threshold a value has to fall until it counts as well again, as a share of it.
const HYSTERESIS: f64 = 0.9;

/// What is known of something ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ill {
    /// Since when.
    since: Timestamp,
    /// It fires; until then it has not lasted long enough.
    fires: bool,
    /// Its labels.
    labels: BTreeMap<String, String>,
}

/// What is known, by fingerprint.
pub type Known = BTreeMap<String, Ill>;

/// One look at one thing.
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    labels: BTreeMap<String, String>,
    /// `None`: not known, or between well and ill: it stays as it is.
    ill: Option<bool>,
    says: String,
    value: String,
    threshold: String,
    runbook: &'static str,
}

/// Begins to watch, if that is wanted; what another process knows is kept.
pub(in crate::bot) async fn begin_watching(context: &Context) -> Result<(), StoreError> {
    if context.settings().alerts.watch.is_none() {
        return Ok(());
    }
    context
        .store()
        .write(|tx| {
            Box::pin(async move {
                let due = tx.now();
                super::timers::begin(tx, "watch", due, What::Watch(Known::new())).await
            })
        })
        .await
}

pub(super) async fn look_around(
    context: &Context,
    timer: &TimerRow,
    known: &Known,
) -> Result<(), StoreError> {
    let Some(watch) = context.settings().alerts.watch else {
        return crate::bot::alerts::look::drop_timer(context, timer).await;
    };
    let readings = readings(context, watch).await;
    let (known, alerts) = judge(
        known.clone(),
        &readings,
        watch.lasting,
        context.store().now(),
    );
    if !alerts.is_empty() {
        // Not in the transaction of the timer: taken in twice they are the same alerts.
        crate::bot::alerts::take_alerts(context, alerts).await?;
    }
    let timer = timer.clone();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.timer_take(&timer).await? {
                    return Ok(());
                }
                let due = tx.now() + watch.every;
                super::timers::begin(tx, "watch", due, What::Watch(known)).await
            })
        })
        .await
}

/// Looks at everything at the same time.
async fn readings(context: &Context, watch: WatchSettings) -> Vec<Reading> {
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
    let mut all: Vec<Reading> = services.into_iter().flatten().collect();
    all.extend(databases);
    all.extend(caches);
    all
}

/// Answers that are errors: from the service's metrics page, else from its access log, of which
/// only what is new is read.
async fn errors(
    context: &Context,
    service: &Service,
    platform: &dyn Platform,
    threshold: f64,
) -> Option<Reading> {
    let (rates, now) = (context.rates(), context.store().now());
    if let Some(page) = &service.metrics_page {
        match rates.pages.counted(page).await {
            Ok(counted) => rates.of(&service.name, |rate| rate.scraped(now, counted)),
            Err(error) => {
                metrics::counter!("treasury_bot_metrics_pages_failed_total").increment(1);
                let told = rates.of(&service.name, |rate| {
                    std::mem::replace(&mut rate.failing, true)
                });
                if !told {
                    tracing::warn!(service = %service.name, %error, "a metrics page has no answer");
                }
                return None;
            }
        }
    } else if let Some(since) = rates.of(&service.name, |rate| rate.log_since(now)) {
        let query = LogQuery {
            lines: 500,
            since: Some(since),
            grep: None,
            previous: false,
            container: None,
        };
        let logs = tokio::time::timeout(PATIENCE, platform.logs(service, &query)).await;
        let logs = logs.ok()?.ok()?;
        rates.of(&service.name, |rate| {
            rate.read(now, &logs.lines, status_code);
        });
    }
    let percent = rates.of(&service.name, |rate| rate.percent(now));
    let series = Series {
        service: service.name.clone(),
        metric: Metric::ErrorRate,
        replica: service.name.to_string(),
    };
    context.measurements().record(series, now, percent, None);
    Some(Reading {
        labels: labels(&[
            ("alertname", "HighErrorRate"),
            ("service", service.name.as_str()),
            ("severity", "critical"),
        ]),
        ill: over(percent, threshold),
        says: format!(
            "{percent:.0} % of the answers of {} are errors",
            service.name
        ),
        value: format!("{percent:.1} %"),
        threshold: format!("{threshold:.0} %"),
        runbook: "slow-responses",
    })
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// Whether a server can be reached, and why not; `None` where it would only not answer this.
async fn state_of<T>(
    asked: impl Future<Output = Result<T, ProbeError>>,
) -> Option<Result<(), String>> {
    match tokio::time::timeout(PATIENCE, asked).await {
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

/// Above the threshold: ill; well below: well; between: as it was.
fn over(value: f64, threshold: f64) -> Option<bool> {
    if value > threshold {
        Some(true)
    } else if value < threshold * HYSTERESIS {
        Some(false)
    } else {
        None
    }
}

async fn memory(service: &Service, platform: &dyn Platform, threshold: f64) -> Vec<Reading> {
    let Ok(Ok(stats)) = tokio::time::timeout(PATIENCE, platform.stats(service)).await else {
        return Vec::new();
    };
    let reading = |replica: &crate::domain::service::ReplicaStats| {
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

/// The status of an answer in a line of an access log: after the request in quotes, as nginx and
/// Apache write it, or as `"status":502` in JSON.
fn status_code(line: &str) -> Option<u16> {
    let after = ["\" ", "\"status\":"].iter().find_map(|mark| {
        line.match_indices(mark).find_map(|(at, _)| {
            let rest = line[at + mark.len()..].trim_start_matches([' ', '"']);
            let digits = rest.get(..3)?;
            let ends = rest[3..]
                .chars()
                .next()
                .is_none_or(|c| !c.is_ascii_alphanumeric());
            (ends && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
        })
    })?;
    after.parse().ok().filter(|code| (100..600).contains(code))
}

/// What is known after a look, and the alerts that come of it.
fn judge(
    mut known: Known,
    readings: &[Reading],
    lasting: Duration,
    now: Timestamp,
) -> (Known, Vec<Alert>) {
    let mut alerts = Vec::new();
    let mut report = |ill: &Ill, fingerprint: &str, firing: bool, reading: Option<&Reading>| {
        let mut annotations = BTreeMap::new();
        if let Some(reading) = reading {
            for (key, text) in [
                ("summary", reading.says.as_str()),
                ("value", &reading.value),
                ("threshold", &reading.threshold),
                ("runbook", reading.runbook),
            ] {
                annotations.insert(key.to_owned(), text.to_owned());
            }
        }
        alerts.push(Alert {
            fingerprint: fingerprint.to_owned(),
            firing,
            starts_at: ill.since,
            ends_at: (!firing).then_some(now),
            labels: ill.labels.clone(),
            annotations,
            source: "watch".to_owned(),
            other: serde_json::Map::new(),
        });
    };
    for reading in readings {
        let fingerprint = alertmanager::fingerprint(&reading.labels);
        match (reading.ill, known.get_mut(&fingerprint)) {
            (Some(true), None) => {
                let ill = Ill {
                    since: now,
                    fires: lasting.is_zero(),
                    labels: reading.labels.clone(),
                };
                if ill.fires {
                    report(&ill, &fingerprint, true, Some(reading));
                }
                known.insert(fingerprint, ill);
            }
            (Some(true), Some(ill))
                if !ill.fires && duration::between(ill.since, now) >= lasting =>
            {
                ill.fires = true;
                report(ill, &fingerprint, true, Some(reading));
            }
            (Some(false), Some(_)) => {
                if let Some(ill) = known.remove(&fingerprint)
                    && ill.fires
                {
                    report(&ill, &fingerprint, false, Some(reading));
                }
            }
            _ => {}
        }
    }
    // A replica that is gone, while its service answers, is ill no more.
    let gone: Vec<String> = known
        .iter()
        .filter(|(fingerprint, ill)| {
            let service = ill.labels.get("service");
            let answers = readings
                .iter()
                .any(|r| r.labels.get("service") == service && r.labels.contains_key("replica"));
            ill.labels.contains_key("replica")
                && answers
                && readings
                    .iter()
                    .all(|r| alertmanager::fingerprint(&r.labels) != **fingerprint)
        })
        .map(|(fingerprint, _)| fingerprint.clone())
        .collect();
    for fingerprint in gone {
        if let Some(ill) = known.remove(&fingerprint)
            && ill.fires
        {
            report(&ill, &fingerprint, false, None);
        }
    }
    (known, alerts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn memory(replica: &str, percent: f64) -> Reading {
        Reading {
            labels: labels(&[
                ("alertname", "HighMemory"),
                ("service", "api"),
                ("replica", replica),
            ]),
            ill: over(percent, 90.0),
            says: "much".into(),
            value: String::new(),
            threshold: String::new(),
            runbook: "memory-leak",
        }
    }

    #[test]
    fn what_lasts_fires_and_ends_only_well_below_the_threshold() {
        let minute = Duration::from_secs(60);
        let mut known = Known::new();
        let mut told = Vec::new();
        for (second, percent) in [
            (0, 95.0),
            (30, 95.0),
            (60, 95.0),
            (75, 95.0),
            (90, 88.0),
            (105, 91.0),
            (120, 70.0),
            (135, 70.0),
        ] {
            let (next, alerts) = judge(known, &[memory("a", percent)], minute, at(second));
            known = next;
            told.extend(
                alerts
                    .into_iter()
                    .map(|alert| (second, alert.firing, alert.starts_at)),
            );
        }
        assert_eq!(told, [(60, true, at(0)), (120, false, at(0))]);
        assert_eq!(known, Known::new());
    }

    #[test]
    fn what_passes_or_is_gone_is_told_of_only_if_it_fired() {
        let none = Duration::ZERO;
        let (known, fired) = judge(
            Known::new(),
            &[memory("a", 99.0), memory("b", 10.0)],
            none,
            at(0),
        );
        assert_eq!(fired.len(), 1);
        let (unknown, nothing) = judge(known.clone(), &[], none, at(15));
        assert_eq!(
            (unknown, nothing.len()),
            (known.clone(), 0),
            "the platform did not answer"
        );
        let (gone, ended) = judge(known, &[memory("b", 10.0)], none, at(30));
        assert_eq!((gone.len(), ended[0].firing), (0, false));
        let (known, _) = judge(
            Known::new(),
            &[memory("a", 99.0)],
            Duration::from_secs(60),
            at(0),
        );
        let (known, nothing) = judge(known, &[memory("a", 1.0)], Duration::from_secs(60), at(15));
        assert_eq!((known.len(), nothing.len()), (0, 0));
    }

    #[test]
    fn the_status_is_found_in_access_logs() {
        for (line, code) in [
            (
                r#"10.0.0.1 - - [24/Nov/2026:03:00:00 +0000] "GET /api HTTP/1.1" 502 157 "-" "curl""#,
                Some(502),
            ),
            (r#"{"level":"info","status":200,"path":"/"}"#, Some(200)),
            (r#"{"status": "503"}"#, Some(503)),
            (r#"said "hello" to 500 people"#, None),
            (r#""x" 5000"#, None),
            ("", None),
        ] {
            assert_eq!(status_code(line), code, "{line}");
        }
    }
}
