//! The bot's own measurements: taken all the time, so that trends exist without Prometheus and a
//! question for resource use is answered at once.
//!
//! Memory is bounded: at most [`MOST`] series of [`History::BYTES`] each. A mean a minute goes to
//! the store, so that a trend survives a restart of the bot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Bot, Named};
use crate::domain::history::History;
use crate::domain::series::{Metric, Series};
use crate::domain::service::{Service, ServiceName};
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
/// Most series; further ones are not kept.
const MOST: usize = 1_000;
/// A series without a value for so long is forgotten.
const FORGET: Duration = Duration::from_secs(3 * 86_400);

/// What was measured.
#[derive(Default)]
pub(super) struct Watch(Mutex<BTreeMap<Series, Watched>>);

/// One series.
struct Watched {
    history: History,
    limit: Option<f64>,
    last: Timestamp,
    /// Sum and number of the values since the last mean was recorded.
    pending: (f64, u32),
}

/// A series as it is told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) replica: String,
    /// Oldest first.
    pub(super) points: Vec<(Timestamp, f64)>,
    /// What it may grow to.
    pub(super) limit: Option<f64>,
}

impl Watch {
    /// Takes a value up.
    pub(super) fn record(&self, series: Series, at: Timestamp, value: f64, limit: Option<f64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&series) && all.len() >= MOST {
            return;
        }
        let watched = all.entry(series).or_insert_with(|| Watched {
            history: History::new(),
            limit,
            last: at,
            pending: (0.0, 0),
        });
        // The same sample again is no further value.
        if watched.pending.1 > 0 && watched.last == at {
            return;
        }
        watched.history.record(at, value);
        watched.limit = limit.or(watched.limit);
        watched.last = at;
        watched.pending = (watched.pending.0 + value, watched.pending.1 + 1);
    }

    /// Takes up what was recorded earlier. A series that is being measured knows it already; it
    /// would take the old values for a clock that was set back, and forget its newest ones.
    fn recall(&self, recorded: Vec<(Series, Timestamp, f64)>) {
        let known: BTreeSet<Series> = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.keys().cloned().collect()
        };
        for (series, at, value) in recorded {
            if !known.contains(&series) {
                self.record(series, at, value, None);
            }
        }
    }

    /// The series of a service, by replica.
    pub(super) fn of(&self, service: &ServiceName, metric: Metric, since: Timestamp) -> Vec<Told> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(series, _)| series.service == *service && series.metric == metric)
            .map(|(series, watched)| Told {
                replica: series.replica.clone(),
                points: watched.history.since(since),
                limit: watched.limit,
            })
            .filter(|told| !told.points.is_empty())
            .collect()
    }

    /// The means since the last call.
    fn means(&self, now: Timestamp) -> Vec<(Series, f64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, watched| watched.last + FORGET > now);
        all.iter_mut()
            .filter_map(|(series, watched)| {
                let (sum, count) = std::mem::take(&mut watched.pending);
                (count > 0).then(|| (series.clone(), sum / f64::from(count)))
            })
            .collect()
    }
}

impl Bot {
    /// Measures until the shutdown.
    pub(super) async fn keep_watching(self) {
        if let Err(error) = self.recall().await {
            tracing::error!(%error, "earlier measurements could not be read");
        }
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for turn in 0_u64.. {
            tokio::select! {
                () = self.inner.shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.measure_services().await;
            if turn % DATABASES == 0 {
                self.measure_databases().await;
            }
            if turn % RECORD == RECORD - 1 {
                let means = self.inner.watch.means(self.store().now());
                if let Err(error) = self.store().samples_put(means).await {
                    tracing::warn!(%error, "measurements could not be recorded");
                }
            }
            if turn % THIN == THIN - 1
                && let Err(error) = self.store().samples_thin().await
            {
                tracing::warn!(%error, "old measurements could not be removed");
            }
        }
    }

    /// What was measured before this process began.
    async fn recall(&self) -> Result<(), StoreError> {
        self.inner.watch.recall(self.store().samples().await?);
        // They are recorded already.
        self.inner.watch.means(self.store().now());
        Ok(())
    }

    async fn measure_services(&self) {
        let services = self.catalogue().services().iter();
        join_all(services.map(|service| self.measure_service(service))).await;
    }

    pub(super) async fn measure_service(&self, service: &Service) {
        let Ok(platform) = self.catalogue().platform(service) else {
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
            let watch = &self.inner.watch;
            watch.record(series(Metric::Memory), stats.taken_at, memory, limit);
            watch.record(series(Metric::Cpu), stats.taken_at, cpu, None);
        }
    }

    async fn measure_databases(&self) {
        let databases = self.catalogue().databases().iter();
        join_all(databases.map(|database| self.measure_database(database))).await;
    }

    async fn measure_database(&self, database: &Named<dyn Database>) {
        let Ok(Ok(seen)) = timeout(PATIENCE, database.probe.connections()).await else {
            return;
        };
        let series = Series {
            service: database.service.clone(),
            metric: Metric::Connections,
            replica: database.name.to_string(),
        };
        let (used, max) = (seen.used as f64, seen.max as f64);
        let now = self.store().now();
        self.inner.watch.record(series, now, used, Some(max));
    }

    /// What is known of a metric of a service since a moment. A process that does not measure
    /// itself (`exec`) reads what the serving one has recorded, and looks once: limits are not
    /// recorded.
    pub(super) async fn measured(
        &self,
        service: &Service,
        metric: Metric,
        since: Timestamp,
    ) -> Result<Vec<Told>, StoreError> {
        let mut told = self.recorded(service, metric, since).await?;
        if told.is_empty() {
            match metric {
                Metric::Memory | Metric::Cpu => self.measure_service(service).await,
                // Two looks are needed: it is counted only while the bot serves.
                Metric::ErrorRate => {}
                Metric::Connections => {
                    let databases = self.catalogue().databases().iter();
                    let own = databases.filter(|database| database.service == service.name);
                    join_all(own.map(|database| self.measure_database(database))).await;
                }
            }
            told = self.inner.watch.of(&service.name, metric, since);
        }
        Ok(told)
    }

    /// What was measured since a time, at once.
    pub(super) async fn recorded(
        &self,
        service: &Service,
        metric: Metric,
        since: Timestamp,
    ) -> Result<Vec<Told>, StoreError> {
        let told = self.inner.watch.of(&service.name, metric, since);
        if !told.is_empty() {
            return Ok(told);
        }
        self.recall().await?;
        Ok(self.inner.watch.of(&service.name, metric, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(replica: &str) -> Series {
        Series {
            service: ServiceName::parse("api").unwrap(),
            metric: Metric::Memory,
            replica: replica.into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_mean_of_a_minute_is_told_once_and_the_same_sample_counts_once() {
        let watch = Watch::default();
        watch.record(series("api-1"), at(0), 10.0, Some(100.0));
        watch.record(series("api-1"), at(0), 10.0, Some(100.0));
        watch.record(series("api-1"), at(5), 40.0, None);
        assert_eq!(watch.means(at(60)), [(series("api-1"), 25.0)]);
        assert_eq!(watch.means(at(120)), []);
        let told = watch.of(&series("").service, Metric::Memory, at(0));
        assert_eq!(told[0].points, [(at(0), 10.0), (at(5), 40.0)]);
        assert_eq!(told[0].limit, Some(100.0), "a limit stays known");
    }

    #[test]
    fn what_was_recorded_earlier_does_not_disturb_what_is_being_measured() {
        let watch = Watch::default();
        let newest: Vec<_> = (0..10).map(|n| (at(5_000 + 5 * n), 40.0)).collect();
        for (at, value) in &newest {
            watch.record(series("api-1"), *at, *value, Some(100.0));
        }
        let earlier = |replica| (0..40).map(move |n| (series(replica), at(60 * n), 7.0));
        watch.recall(earlier("api-1").chain(earlier("api-2")).collect());
        let told = watch.of(&series("").service, Metric::Memory, at(4_900));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].points, newest);
        let told = watch.of(&series("").service, Metric::Memory, at(0));
        assert_eq!(told[1].points.len(), 40, "the other one is known again");
    }

    #[test]
    fn there_are_never_more_series_than_the_bound() {
        let watch = Watch::default();
        for n in 0..MOST + 50 {
            watch.record(series(&format!("api-{n}")), at(0), 1.0, None);
        }
        assert_eq!(watch.means(at(1)).len(), MOST);
        // What is gone for days makes room.
        watch.means(at(0) + FORGET + Duration::from_secs(1));
        watch.record(series("api-new"), at(400_000), 1.0, None);
        assert_eq!(watch.means(at(400_001)), [(series("api-new"), 1.0)]);
    }
}
