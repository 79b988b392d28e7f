//! `service.trend`: where the bot's own measurements of a service are heading.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::entry::Probe;
use crate::bot::headings::{Heading, figure, headings, trend_words};
use crate::bot::{Context, Fault};
use crate::domain::duration::{self, Human};
use crate::domain::series::Metric;
use crate::domain::{Message, Tone};

/// Most replicas of an answer.
const REPLICAS: usize = 100;
/// Most replicas told of to people.
const SHOWN: usize = 10;

/// Which trend.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
    /// What is measured: bytes of memory, percent of one core, connections.
    #[serde(default = "memory")]
    metric: Metric,
    /// The line is drawn through what was measured in this last time.
    #[serde(default = "an_hour")]
    window: Human,
}

fn memory() -> Metric {
    Metric::Memory
}

fn an_hour() -> Human {
    Human(Duration::from_secs(3_600))
}

/// Where a service is heading.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Trends {
    /// The service.
    service: String,
    /// What is measured.
    metric: Metric,
    /// The replica that is at its limit first, if any is within 30 days.
    first: Option<String>,
    /// When that is, seconds from its last measurement.
    seconds_to_limit: Option<u64>,
    /// How many replicas were measured.
    count: usize,
    /// The most worrying first, at most 100.
    replicas: Vec<ReplicaTrend>,
}

/// Where a replica is heading. Without a line (fewer than 5 points, or less than a minute of them)
/// only the newest value is known.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaTrend {
    /// Its name; of connections, the database's.
    replica: String,
    /// The newest value, units of the metric.
    value: f64,
    /// Slope since its last restart, units of the metric an hour.
    per_hour: Option<f64>,
    /// Height of the line at the last measurement, units of the metric.
    at_end: Option<f64>,
    /// What it may grow to, units of the metric.
    limit: Option<f64>,
    /// Until it is there, seconds; `None` where it is not within 30 days or the line is noise.
    seconds_to_limit: Option<u64>,
    /// How steadily it goes the line's way, 0 to 100 percent; below 40 it is noise.
    confidence: Option<f64>,
    /// How many measurements the line was drawn through.
    points: usize,
}

impl From<&Heading> for ReplicaTrend {
    fn from(heading: &Heading) -> Self {
        Self {
            replica: heading.replica.clone(),
            value: heading.value,
            per_hour: heading.trend.map(|trend| trend.per_hour),
            at_end: heading.trend.map(|trend| trend.at_end),
            limit: heading.limit,
            seconds_to_limit: heading.time_to_limit.map(|left| left.as_secs()),
            confidence: heading.trend.map(|trend| trend.confidence),
            points: heading.trend.map_or(0, |trend| trend.points),
        }
    }
}

impl Probe for Trend {
    const STEP: &'static str = "service.trend";
    const SUMMARY: &'static str = "Where memory, CPU or connections of a service are heading";
    type Found = Trends;

    async fn look(self, context: &Context) -> Result<(Trends, Message), Fault> {
        let sentence = |near: &str| format!("graph {near} {}", self.metric.as_str());
        let (service, _) = context.catalogue().find(&self.service, sentence)?;
        let from = context.store().now() - self.window.0;
        let headings = headings(context, service, self.metric, from).await?;
        let first = headings.iter().find(|one| one.time_to_limit.is_some());
        let trends = Trends {
            service: service.name.to_string(),
            metric: self.metric,
            first: first.map(|one| one.replica.clone()),
            seconds_to_limit: first.and_then(|one| Some(one.time_to_limit?.as_secs())),
            count: headings.len(),
            replicas: headings
                .iter()
                .take(REPLICAS)
                .map(ReplicaTrend::from)
                .collect(),
        };
        let tone = if first.is_some() {
            Tone::Warning
        } else {
            Tone::Plain
        };
        let told = headings.iter();
        let told = told.filter_map(|one| trend_words(one, self.metric));
        let mut told = told.take(SHOWN);
        // A step of a run says it in its one line.
        let title = told.next().unwrap_or_else(|| {
            let highest = headings.iter().max_by(|a, b| a.value.total_cmp(&b.value));
            let (metric, name) = (self.metric.as_str(), &service.name);
            let window = duration::text(self.window.0);
            match highest {
                None => format!("Nothing was measured of {name} in the last {window}"),
                Some(one) => format!(
                    "{metric} of {} {}, none heads for a limit",
                    one.replica,
                    figure(self.metric, one.value)
                ),
            }
        });
        let message = Message::new(tone, title);
        Ok((trends, told.fold(message, Message::text)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bot::COMMANDS;
    use crate::bot::commands::tests::bot;
    use crate::domain::ServiceName;
    use crate::domain::series::Series;

    const MEBIBYTE: f64 = 1_048_576.0;

    fn memory_of(replica: &str) -> Series {
        Series {
            service: ServiceName::parse("api").unwrap(),
            metric: Metric::Memory,
            replica: replica.into(),
        }
    }

    #[tokio::test]
    async fn a_leak_is_told_with_its_time_to_the_limit_and_a_steady_replica_without() {
        let folder = tempfile::tempdir().unwrap();
        let bot = bot(&folder, None).await;
        let now = bot.store().now();
        for minute in 0..40_u32 {
            let at = now - Duration::from_secs(60 * u64::from(40 - minute));
            let leaking = (100.0 + f64::from(minute)) * MEBIBYTE;
            let limit = Some(199.0 * MEBIBYTE);
            let watch = bot.measurements();
            watch.record(memory_of("api-1"), at, 50.0 * MEBIBYTE, limit);
            watch.record(memory_of("api-2"), at, leaking, limit);
        }
        let told = COMMANDS
            .call(
                &bot,
                "service.trend",
                json!({"service": "api", "window": "2h"}),
            )
            .await
            .unwrap();
        let trends: Trends = serde_json::from_value(told.value).unwrap();
        assert_eq!((trends.first.as_deref(), trends.count), (Some("api-2"), 2));
        let [leak, steady] = &trends.replicas[..] else {
            panic!("{trends:?}");
        };
        let close = |a: f64, b: f64| (a - b).abs() < 0.01 * b.abs();
        assert!(close(leak.per_hour.unwrap(), 60.0 * MEBIBYTE), "{leak:?}");
        assert!(close(leak.at_end.unwrap(), 139.0 * MEBIBYTE), "{leak:?}");
        assert_eq!(leak.seconds_to_limit, Some(3_600), "{leak:?}");
        assert!(
            (38..=42).contains(&leak.points) && leak.confidence > Some(80.0),
            "{leak:?}"
        );
        assert_eq!(steady.seconds_to_limit, None, "{steady:?}");
        let words = format!("{:?}", told.message);
        assert!(
            words.contains("memory of api-2 rises 60.0 MiB/h: at its limit in about 1h"),
            "{words}"
        );
        // A window too short for a line tells the newest value alone.
        let told = crate::bot::ask_probe(
            &bot,
            "service.trend",
            json!({"service": "api", "window": "150s"}),
        )
        .await
        .unwrap();
        let trends: Trends = serde_json::from_value(told).unwrap();
        let leak = trends.replicas.iter().find(|one| one.replica == "api-2");
        let leak = leak.unwrap();
        assert!(leak.per_hour.is_none() && leak.points == 0, "{leak:?}");
        assert!(close(leak.value, 139.0 * MEBIBYTE), "{leak:?}");
    }

    #[tokio::test]
    async fn what_is_not_known_is_refused_or_empty() {
        let folder = tempfile::tempdir().unwrap();
        let bot = bot(&folder, None).await;
        let ask = async |params| COMMANDS.call(&bot, "service.trend", params).await;
        let none = ask(json!({"service": "api", "metric": "cpu"}))
            .await
            .unwrap();
        assert_eq!(none.value["replicas"], json!([]));
        for bad in [
            json!({"service": "nobody"}),
            json!({"service": "api", "metric": "weight"}),
            json!({"service": "api", "window": "soon"}),
            json!({"service": "api", "since": "1h"}),
        ] {
            let told = ask(bad.clone()).await;
            assert!(matches!(told, Err(Fault::Refusal(_))), "{bad}");
        }
    }
}
