//! `graph`, and where a service is heading.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;

use super::measurements::Trace;
use super::request::{Answer, Effect};
use super::{Context, Failure, Fault, Refusal};
use crate::command::nearest;
use crate::domain::series::Metric;
use crate::domain::trend::{Trend, trend};
use crate::domain::{Audience, Content, Line, Message, Service, Tone, duration};
use crate::report::chart::{Chart, Series, Unit};

/// Points of a question to Prometheus.
const POINTS: u32 = 240;
/// Most marks on a picture.
const MARKS: usize = 6;

/// A line and where it is heading.
pub(super) struct Heading {
    pub(super) replica: String,
    /// The newest value.
    pub(super) value: f64,
    pub(super) limit: Option<f64>,
    pub(super) trend: Option<Trend>,
    /// Until the limit, if it is reached within 30 days.
    pub(super) time_to_limit: Option<Duration>,
    points: Vec<(Timestamp, f64)>,
}

/// `graph SERVICE METRIC`
pub(super) async fn graph(
    context: &Context,
    name: &str,
    metric: &str,
    since: Duration,
) -> Result<Effect, Fault> {
    let (service, _) = context
        .catalogue()
        .find(name, |near| format!("graph {near} {metric}"))?;
    let to = context.store().now();
    let from = to - since;
    let (chart, words) = match (Metric::parse(metric), service.metrics.get(metric)) {
        (Some(own), _) => own_chart(context, service, own, from, to).await?,
        (None, Some(query)) => prometheus_chart(context, service, metric, query, from, to).await?,
        (None, None) => return Err(unknown_metric(service, metric).into()),
    };
    let alt = chart.alt_text();
    // Drawing takes some ten milliseconds of computing.
    let drawn = tokio::task::spawn_blocking(move || chart.png()).await;
    let png = drawn
        .map_err(|error| Fault::Failure(Failure::new(error)))?
        .map_err(|error| Fault::Failure(Failure::new(error)))?;
    let mut title = Line::new()
        .code(&service.name)
        .text(format!(" {metric}, last {}", duration::text(since)));
    if let Some(words) = words {
        title = title.text(format!(": {words}"));
    }
    Ok(Effect::Say(Answer {
        content: Content::Picture {
            name: format!("{}-{metric}-{}.png", service.name, to.strftime("%H%M%S")),
            title: format!("{} {metric}", service.name),
            png: BASE64.encode(png),
            alt,
            comment: Message::new(Tone::Plain, title),
        },
        audience: Audience::Everyone,
    }))
}

/// What the bot measured of a service and where each line is heading, the most worrying first.
pub(super) async fn headings(
    context: &Context,
    service: &Service,
    metric: Metric,
    from: Timestamp,
) -> Result<Vec<Heading>, Fault> {
    let told = crate::bot::watch::measured(context, service, metric, from).await?;
    let mut headings: Vec<Heading> = told.into_iter().filter_map(heading).collect();
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

async fn own_chart(
    context: &Context,
    service: &Service,
    metric: Metric,
    from: Timestamp,
    to: Timestamp,
) -> Result<(Chart, Option<String>), Fault> {
    let headings = headings(context, service, metric, from).await?;
    if headings.is_empty() {
        return Err(Refusal::new(
            Line::new()
                .text(format!("No {} of ", metric.name()))
                .code(&service.name)
                .text(" is known yet"),
        )
        .detail(match metric {
            Metric::Connections => {
                "Mend: name it as the `service` of a [[database]] in treasury-bot.toml"
            }
            Metric::ErrorRate => {
                "The bot counts while it watches ([watch]): from the service's `metrics_page`, \
                     else from its access log"
            }
            Metric::Memory | Metric::Cpu => {
                "The bot measures each 5 s while it serves: try again in a moment"
            }
        })
        .into());
    }
    let marks = marks(context, service, from).await;
    let words = headings
        .first()
        .and_then(|first| heading_words(first, metric));
    let trend = headings.first().and_then(|first| {
        let trend = first.trend.filter(|_| first.time_to_limit.is_some())?;
        let (start, end) = (first.points.first()?.0, first.points.last()?.0);
        let hours = end.duration_since(start).as_secs_f64() / 3_600.0;
        Some((
            start,
            trend.at_end - trend.per_hour * hours,
            end,
            trend.at_end,
        ))
    });
    let limit = headings.first().and_then(|first| first.limit);
    let chart = Chart {
        title: format!("{} {}", service.name, metric.name()),
        subtitle: words.clone().unwrap_or_default(),
        unit: match metric {
            Metric::Memory => Unit::Bytes,
            Metric::Cpu | Metric::ErrorRate => Unit::Percent,
            Metric::Connections => Unit::Count,
        },
        series: headings
            .into_iter()
            .map(|heading| Series {
                name: heading.replica,
                points: heading.points,
            })
            .collect(),
        limit: limit.map(|limit| ("limit".to_owned(), limit)),
        marks,
        from,
        to,
        trend,
    };
    Ok((chart, words))
}

/// Starts and ends of replicas, as the platform tells; none where it does not.
async fn marks(context: &Context, service: &Service, from: Timestamp) -> Vec<(Timestamp, String)> {
    let Ok(platform) = context.catalogue().platform(service) else {
        return Vec::new();
    };
    let events = match platform.events(service, from).await {
        Ok(events) => events,
        Err(error) => {
            tracing::debug!(%error, "a picture without marks");
            return Vec::new();
        }
    };
    let mut marks: Vec<(Timestamp, String)> = events
        .into_iter()
        .filter_map(|event| {
            let word = match event.what.as_str() {
                "restart" => "restart",
                "oom" => "out of memory",
                _ => return None,
            };
            Some((event.at, word.to_owned()))
        })
        .collect();
    let over = marks.len().saturating_sub(MARKS);
    marks.drain(..over);
    marks
}

async fn prometheus_chart(
    context: &Context,
    service: &Service,
    metric: &str,
    query: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<(Chart, Option<String>), Fault> {
    let prometheus = context.catalogue().prometheus()?;
    let step = (duration::between(from, to) / POINTS).max(Duration::from_secs(1));
    let answer = prometheus.query_range(query, from, to, step).await?;
    let series: Vec<Series> = answer
        .series
        .into_iter()
        .map(|range| Series {
            name: if range.labels.is_empty() {
                metric.to_owned()
            } else {
                label_text(&range.labels)
            },
            points: range.points,
        })
        .collect();
    let newest = series
        .first()
        .and_then(|one| one.points.last())
        .map(|(_, value)| format!("now {value:.1}"));
    let chart = Chart {
        title: format!("{} {metric}", service.name),
        subtitle: newest.clone().unwrap_or_default(),
        unit: unit_of(metric),
        series,
        limit: None,
        marks: marks(context, service, from).await,
        from,
        to,
        trend: None,
    };
    Ok((chart, newest))
}

/// The labels that tell series apart, without the metric's own name.
fn label_text(labels: &std::collections::BTreeMap<String, String>) -> String {
    let parts: Vec<&str> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(_, value)| value.as_str())
        .collect();
    crate::domain::timeline::cut(&parts.join(" "), 40)
}

/// By its name: the configuration says no unit.
fn unit_of(metric: &str) -> Unit {
    let has = |words: &[&str]| words.iter().any(|word| metric.contains(word));
    if has(&["percent", "ratio", "error"]) {
        Unit::Percent
    } else if has(&["latency", "_ms", "p95", "p99", "duration"]) {
        Unit::Milliseconds
    } else if has(&["byte", "memory", "size"]) {
        Unit::Bytes
    } else if has(&["rate", "request", "per_second", "traffic"]) {
        Unit::PerSecond
    } else {
        Unit::Count
    }
}

fn unknown_metric(service: &Service, metric: &str) -> Refusal {
    let known: Vec<&str> = Metric::ALL
        .iter()
        .map(|metric| metric.name())
        .chain(service.metrics.keys().map(String::as_str))
        .collect();
    let refusal = Refusal::new(
        Line::new()
            .text("There is no metric ")
            .code(crate::domain::timeline::cut(metric, 60))
            .text(" of ")
            .code(&service.name),
    )
    .detail(format!("Metrics: {}", known.join(", ")));
    match nearest(metric, known.iter().copied()) {
        Some(near) => {
            let sentence = format!("graph {} {near}", service.name);
            refusal.suggest(sentence.clone(), sentence)
        }
        None => refusal,
    }
}

/// The line of a series since its last fall: a restart begins a new one.
fn heading(told: Trace) -> Option<Heading> {
    let (_, value) = *told.points.last()?;
    let trend = trend(&since_restart(&told.points));
    let time_to_limit = told
        .limit
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
    let by = match metric {
        Metric::Memory => duration::bytes_text(trend.per_hour.max(0.0) as u64),
        Metric::Cpu | Metric::ErrorRate => format!("{:.0} %", trend.per_hour),
        Metric::Connections => format!("{:.0}", trend.per_hour),
    };
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
    let rate = match metric {
        Metric::Memory => format!("{}/h", duration::bytes_text(trend.per_hour as u64)),
        Metric::Cpu | Metric::ErrorRate => format!("{:.0} %/h", trend.per_hour),
        Metric::Connections => format!("{:.0}/h", trend.per_hour),
    };
    // A forecast to the minute would promise too much.
    let text = duration::text(left);
    let left = match text.split(' ').next() {
        _ if left < Duration::from_secs(60) => "in less than a minute".to_owned(),
        Some(first) => format!("in about {first}"),
        None => return None,
    };
    Some(format!(
        "{} of {} rises {rate}: at its limit {left}",
        metric.name(),
        heading.replica
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> Vec<(Timestamp, f64)> {
        let at = |n: usize| Timestamp::from_second(1_800_000_000 + 60 * n as i64).unwrap();
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
        let heading = heading(Trace {
            replica: "api-1".into(),
            points: line(&values),
            limit: Some(512.0 * mebibyte),
        })
        .unwrap();
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
        let heading = heading(told).unwrap();
        assert_eq!(heading_words(&heading, Metric::Memory), None);
        assert_eq!(trend_words(&heading, Metric::Memory), None);
    }
}
