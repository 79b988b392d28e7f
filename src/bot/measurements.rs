//! What this process has measured: series of values, in bounded memory.
//!
//! At most [`MOST`] series of [`History::BYTES`] each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::history::History;
use crate::domain::series::{Metric, Series};
use crate::domain::service::ServiceName;

/// Most series; further ones are not kept.
const MOST: usize = 1_000;
/// A series without a value for so long is forgotten.
const FORGET: Duration = Duration::from_secs(3 * 86_400);

/// What was measured.
#[derive(Default)]
pub(super) struct Measurements(Mutex<BTreeMap<Series, Watched>>);

/// One series.
struct Watched {
    history: History,
    limit: Option<f64>,
    last: Timestamp,
    /// Sum and number of the values since the last mean was recorded.
    pending: (f64, u32),
    /// A mean was recorded.
    recorded: bool,
}

/// A series as it is read.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) replica: String,
    /// Oldest first.
    pub(super) points: Vec<(Timestamp, f64)>,
    /// What it may grow to.
    pub(super) limit: Option<f64>,
}

impl Measurements {
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
            recorded: false,
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
    pub(super) fn recall(&self, recorded: Vec<(Series, Timestamp, f64)>) {
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
    pub(super) fn of(&self, service: &ServiceName, metric: Metric, since: Timestamp) -> Vec<Trace> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(series, _)| series.service == *service && series.metric == metric)
            .map(|(series, watched)| Trace {
                replica: series.replica.clone(),
                points: watched.history.since(since),
                limit: watched.limit,
            })
            .filter(|trace| !trace.points.is_empty())
            .collect()
    }

    /// The first values of series of which nothing is recorded yet: other processes know of them at
    /// once.
    pub(super) fn first(&self) -> Vec<(Series, f64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = all
            .iter_mut()
            .filter(|(_, one)| !one.recorded && one.pending.1 > 0);
        new.map(|(series, watched)| {
            watched.recorded = true;
            let (sum, count) = watched.pending;
            (series.clone(), sum / f64::from(count))
        })
        .collect()
    }

    /// The means since the last call.
    pub(super) fn means(&self, now: Timestamp) -> Vec<(Series, f64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, watched| watched.last + FORGET > now);
        all.iter_mut()
            .filter_map(|(series, watched)| {
                watched.recorded = true;
                let (sum, count) = std::mem::take(&mut watched.pending);
                (count > 0).then(|| (series.clone(), sum / f64::from(count)))
            })
            .collect()
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
        let watch = Measurements::default();
        watch.record(series("api-1"), at(0), 10.0, Some(100.0));
        watch.record(series("api-1"), at(0), 10.0, Some(100.0));
        watch.record(series("api-1"), at(5), 40.0, None);
        assert_eq!(
            watch.first(),
            [(series("api-1"), 25.0)],
            "known to all at once"
        );
        assert_eq!(watch.first(), []);
        assert_eq!(watch.means(at(60)), [(series("api-1"), 25.0)]);
        assert_eq!(watch.means(at(120)), []);
        let read = watch.of(&series("").service, Metric::Memory, at(0));
        assert_eq!(read[0].points, [(at(0), 10.0), (at(5), 40.0)]);
        assert_eq!(read[0].limit, Some(100.0), "a limit stays known");
    }

    #[test]
    fn what_was_recorded_earlier_does_not_disturb_what_is_being_measured() {
        let watch = Measurements::default();
        let newest: Vec<_> = (0..10).map(|n| (at(5_000 + 5 * n), 40.0)).collect();
        for (at, value) in &newest {
            watch.record(series("api-1"), *at, *value, Some(100.0));
        }
        let earlier = |replica| (0..40).map(move |n| (series(replica), at(60 * n), 7.0));
        watch.recall(earlier("api-1").chain(earlier("api-2")).collect());
        let read = watch.of(&series("").service, Metric::Memory, at(4_900));
        assert_eq!(read.len(), 1, "{read:?}");
        assert_eq!(read[0].points, newest);
        let read = watch.of(&series("").service, Metric::Memory, at(0));
        assert_eq!(read[1].points.len(), 40, "the other one is known again");
    }

    #[test]
    fn there_are_never_more_series_than_the_bound() {
        let watch = Measurements::default();
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
