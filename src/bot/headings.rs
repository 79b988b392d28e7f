//! Where what the bot measures of a service is heading.

use std::time::Duration;

use jiff::Timestamp;

use super::measurements::Trace;
use super::watch::measured;
use super::{Context, Fault};
use crate::domain::duration::between;
use crate::domain::series::Metric;
use crate::domain::trend::{Trend, trend};
use crate::domain::{Service, duration};

/// A replica that was not measured for so long has no value now, and is heading nowhere.
pub(super) const GONE: Duration = Duration::from_secs(180);

/// A line and where it is heading.
pub(super) struct Heading {
    pub(super) replica: String,
    /// The newest value.
    pub(super) value: f64,
    pub(super) limit: Option<f64>,
    pub(super) trend: Option<Trend>,
    /// Until the limit, if it is reached within 30 days.
    pub(super) time_to_limit: Option<Duration>,
    pub(super) points: Vec<(Timestamp, f64)>,
}

/// What the bot measured of a service and where each line is heading, the most worrying first.
pub(super) async fn headings(
    context: &Context,
    service: &Service,
    metric: Metric,
    from: Timestamp,
) -> Result<Vec<Heading>, Fault> {
    let told = measured(context, service, metric, from).await?;
    let now = context.now();
    let headings = told.into_iter().filter_map(|told| heading(told, now));
    let mut headings: Vec<Heading> = headings.collect();
    headings.sort_by(|a, b| {
        let soon = |h: &Heading| h.time_to_limit.unwrap_or(Duration::MAX);
        let full = |h: &Heading| h.limit.map_or(h.value, |limit| h.value / limit);
        soon(a)
            .cmp(&soon(b))
            .then(full(b).total_cmp(&full(a)))
            .then(a.replica.cmp(&b.replica))
    });
    Ok(headings)
}

/// The line of a series since its last fall: a restart begins a new one.
fn heading(told: Trace, now: Timestamp) -> Option<Heading> {
    let (at, value) = *told.points.last()?;
    let trend = trend(&since_restart(&told.points));
    let time_to_limit = told
        .limit
        .filter(|_| between(at, now) < GONE)
        .and_then(|limit| trend.and_then(|trend| trend.time_to(limit)));
    Some(Heading {
        replica: told.replica,
        value,
        limit: told.limit,
        trend,
        time_to_limit,
        points: told.points,
    })
}

/// The points after the last fall to less than half within two points: a process that began anew.
fn since_restart(points: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    let fall = points
        .windows(2)
        .rposition(|pair| pair[1].1 < pair[0].1 * 0.5);
    points[fall.map_or(0, |at| at + 1)..].to_vec()
}

/// `api-2 grows 14 MiB an hour, full in 3h 20m`; nothing when there is nothing to tell.
pub(super) fn heading_words(heading: &Heading, metric: Metric) -> Option<String> {
    let trend = heading.trend?;
    let left = heading.time_to_limit?;
    let by = figure(metric, trend.per_hour);
    let left = if left < Duration::from_secs(60) {
        "less than a minute".to_owned()
    } else {
        duration::text(left)
    };
    Some(format!(
        "{} grows {by} an hour, full in {left}",
        heading.replica
    ))
}

/// `memory of api-2 rises 41 MiB/h: at its limit in about 3h`; nothing when there is no trend to
/// rely on, or the limit is far.
pub(super) fn trend_words(heading: &Heading, metric: Metric) -> Option<String> {
    let trend = heading.trend?;
    let left = heading.time_to_limit?;
    let rate = figure(metric, trend.per_hour) + "/h";
    // A forecast to the minute would promise too much.
    let text = duration::text(left);
    let left = match text.split(' ').next() {
        _ if left < Duration::from_secs(60) => "in less than a minute".to_owned(),
        Some(first) => format!("in about {first}"),
        None => return None,
    };
    Some(format!(
        "{} of {} rises {rate}: at its limit {left}",
        metric.as_str(),
        heading.replica
    ))
}

/// A figure of a metric: `1.2 GiB`, `91 %`, `40`.
pub(super) fn figure(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Memory => duration::bytes_text(value as u64),
        Metric::Cpu | Metric::ErrorRate => format!("{value:.0} %"),
        Metric::Connections => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: usize) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * n as i64).unwrap()
    }

    fn line(values: &[f64]) -> Vec<(Timestamp, f64)> {
        values
            .iter()
            .enumerate()
            .map(|(n, v)| (at(n), *v))
            .collect()
    }

    #[test]
    fn a_leak_is_foretold_from_its_last_restart_on() {
        let mebibyte = 1_048_576.0;
        let mut values: Vec<f64> = (0..20).map(|n| (400.0 + f64::from(n)) * mebibyte).collect();
        values.extend((0..20).map(|n| (100.0 + 2.0 * f64::from(n)) * mebibyte));
        let told = Trace {
            replica: "api-1".into(),
            points: line(&values),
            limit: Some(512.0 * mebibyte),
        };
        let gone = heading(told.clone(), at(44)).unwrap();
        assert_eq!(gone.time_to_limit, None, "nobody measures it any more");
        let heading = heading(told, at(39)).unwrap();
        assert_eq!(
            heading_words(&heading, Metric::Memory).unwrap(),
            "api-1 grows 120 MiB an hour, full in 3h 7m"
        );
        assert_eq!(
            trend_words(&heading, Metric::Memory).unwrap(),
            "memory of api-1 rises 120 MiB/h: at its limit in about 3h"
        );
    }

    #[test]
    fn a_steady_line_is_not_foretold() {
        let told = Trace {
            replica: "api-1".into(),
            points: line(&[50.0; 30]),
            limit: Some(100.0),
        };
        let heading = heading(told, at(29)).unwrap();
        assert_eq!(heading_words(&heading, Metric::Memory), None);
        assert_eq!(trend_words(&heading, Metric::Memory), None);
    }
}
