//! Prometheus' HTTP API, version 1: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::fetch::Fetch;
use super::service::{Service, authorization, login};
use super::{ProbeError, ProbeErrorKind as Kind};
use treasury_domain::Unit;
use treasury_domain::timeline::cut;

/// The largest answer that is read, bytes.
const MAX_BYTES: usize = 8 << 20;
/// Most values that are kept of an answer.
const MAX_SAMPLES: usize = 100;
/// Most series that are kept of an answer.
const MAX_SERIES: usize = 500;
/// Most warnings and infos that are kept of an answer.
const MAX_NOTES: usize = 5;
/// Most points that are kept of a series.
const MAX_POINTS: usize = 2_000;

/// Where and how Prometheus is asked.
#[derive(Debug)]
pub struct Config {
    /// Its address without a slash at the end.
    pub url: String,
    /// A bearer token.
    pub token: Option<SecretString>,
    /// The longest that a question may take.
    pub timeout: Duration,
}

/// A Prometheus.
pub struct Prometheus(Service);

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.label.trim_end_matches(':'))
    }
}

/// A value at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What tells it apart.
    pub labels: Labels,
    /// When.
    pub at: Timestamp,
    /// The value; never NaN or infinite.
    pub value: f64,
}

/// What tells a series apart.
pub type Labels = BTreeMap<String, String>;

/// Values at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// The values, at most 100.
    pub list: Vec<Sample>,
    /// Further ones were left out.
    pub truncated: bool,
    /// Series whose value is no number: `NaN`, `+Inf` or `-Inf`.
    pub odd: Vec<(Labels, String)>,
    /// Warnings and infos of Prometheus, in its words.
    pub notes: Vec<String>,
}

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// What tells it apart.
    pub labels: Labels,
    /// Oldest first; NaN and infinite values are left out.
    pub points: Vec<(Timestamp, f64)>,
    /// The values that are NaN or infinite.
    pub odd: Vec<(Timestamp, f64)>,
}

/// Series over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranges {
    /// The series of numbers, at most 500.
    pub series: Vec<Range>,
    /// How many there are.
    pub total: usize,
    /// Further series are native histograms, as a whole or at times.
    pub histograms: usize,
    /// Warnings and infos of Prometheus, in its words.
    pub notes: Vec<String>,
}

/// What to write for what is no number.
pub const QUANTILE: &str = "write `histogram_quantile(0.9, …)` around it (or `histogram_count`, \
                            `histogram_sum`), such as `histogram_quantile(0.9, rate(NAME[5m]))`";

impl Prometheus {
    /// Nothing is connected yet.
    pub fn new(config: Config) -> Self {
        let header = login("Bearer", config.token.as_ref(), None);
        Self(Service {
            label: format!("Prometheus at {}:", config.url),
            setting: "[prometheus] url",
            url: format!("{}/api/v1/", config.url),
            authorization: header.as_deref().map(authorization),
            header: None,
            timeout: config.timeout,
            fetch: Fetch::new(MAX_BYTES),
        })
    }

    /// The values of an expression at a moment. Native histograms, a text and a range of values are
    /// no values: an error says what to write.
    pub async fn samples(&self, query: &str, at: Timestamp) -> Result<Samples, ProbeError> {
        let form = [("query", query.to_owned()), ("time", seconds(at))];
        let (mut data, notes) = self.ask("query", &form).await?;
        let mut result = data["result"].take();
        let no_value = |what: &str, hint: &str| Err(self.0.error(Kind::Unsupported, what, hint));
        match data["resultType"].as_str() {
            Some("vector") => {}
            Some("scalar") => result = json!([{"value": result}]),
            Some("string") => return no_value("finds a text, no number", "ask for a metric"),
            Some("matrix") => {
                let hint = "write a function around it, such as `rate(…[5m])` or \
                            `avg_over_time(…[5m])`, or leave the `[…]` out";
                return no_value("finds a range of values, not one of each series", hint);
            }
            _ => {
                return no_value(
                    "answers in a form that is not known",
                    "is it really Prometheus?",
                );
            }
        }
        let all = result.as_array().map_or(&[][..], Vec::as_slice);
        let histograms = all.iter().filter(|one| !one["histogram"].is_null()).count();
        if histograms > 0 {
            let what = format!(
                "finds native histograms, no numbers ({histograms} of {} series)",
                all.len()
            );
            return no_value(&what, QUANTILE);
        }
        let mut samples = Samples {
            truncated: all.len() > MAX_SAMPLES,
            notes,
            ..Samples::default()
        };
        for one in all.iter().take(MAX_SAMPLES) {
            let labels = labels(&one["metric"]);
            match point(&one["value"]) {
                Some((at, value)) if value.is_finite() => {
                    samples.list.push(Sample { labels, at, value });
                }
                Some((_, value)) => samples.odd.push((labels, odd(value).to_owned())),
                None => {}
            }
        }
        Ok(samples)
    }

    /// The values of an expression over time.
    pub async fn query_range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Ranges, ProbeError> {
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(from)),
            ("end", seconds(to)),
            ("step", step.as_secs_f64().max(0.001).to_string()),
        ];
        let (data, notes) = self.ask("query_range", &form).await?;
        let all = data["result"].as_array().map_or(&[][..], Vec::as_slice);
        let is_histogram = |one: &&Value| !one["histograms"].is_null();
        let numbers = all.iter().filter(|one| !one["values"].is_null());
        let series = numbers.clone().take(MAX_SERIES).map(|one| {
            let values = one["values"].as_array().map_or(&[][..], Vec::as_slice);
            let newest = values.len().saturating_sub(MAX_POINTS);
            let all = values[newest..].iter().filter_map(point);
            let (points, odd) = all.partition(|(_, value)| value.is_finite());
            Range {
                labels: labels(&one["metric"]),
                points,
                odd,
            }
        });
        Ok(Ranges {
            series: series.collect(),
            total: numbers.count(),
            histograms: all.iter().filter(is_histogram).count(),
            notes,
        })
    }

    /// The unit of a metric, as its target tells it; `None` where that is not known.
    pub async fn unit(&self, metric: &str) -> Result<Option<Unit>, ProbeError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("metric", metric)
            .finish();
        let (data, _) = self.read(&format!("metadata?{query}")).await?;
        let mut told = data[metric].as_array().into_iter().flatten();
        Ok(told.find_map(|one| Unit::of_metadata(one["unit"].as_str()?)))
    }

    /// The Alertmanagers that it sends alerts to.
    pub async fn alertmanagers(&self) -> Result<Vec<String>, ProbeError> {
        let (data, _) = self.read("alertmanagers").await?;
        let active = data["activeAlertmanagers"].as_array().into_iter().flatten();
        let urls = active.filter_map(|one| Some(one["url"].as_str()?.to_owned()));
        Ok(urls.collect())
    }

    async fn read(&self, what: &str) -> Result<(Value, Vec<String>), ProbeError> {
        let json = "application/json";
        let (status, body) = self.0.send("GET", what, json, String::new()).await?;
        self.answer(status, &body)
    }

    async fn ask(
        &self,
        what: &str,
        form: &[(&str, String)],
    ) -> Result<(Value, Vec<String>), ProbeError> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let form = "application/x-www-form-urlencoded";
        match self.0.send("POST", what, form, body).await {
            Ok((status, body)) => self.answer(status, &body),
            Err(mut error) => {
                match error.kind {
                    Kind::Failed => error.hint = "ask for fewer series or a shorter time".into(),
                    Kind::Timeout => {
                        error.hint = "it is overloaded, or the query is too much: ask for a \
                                      shorter time"
                            .into();
                    }
                    _ => {}
                }
                Err(error)
            }
        }
    }

    /// The data, with the warnings and infos beside it.
    fn answer(&self, status: u16, body: &[u8]) -> Result<(Value, Vec<String>), ProbeError> {
        let mut answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if status == 200 && answer["status"] == "success" {
            let notes = ["warnings", "infos"].into_iter();
            let notes = notes.flat_map(|key| answer[key].as_array().into_iter().flatten());
            let notes = notes.filter_map(Value::as_str).take(MAX_NOTES);
            let notes = notes.map(|note| cut(note, 300)).collect();
            return Ok((answer["data"].take(), notes));
        }
        let words = cut(answer["error"].as_str().unwrap_or_default(), 300);
        Err(match (status, answer["errorType"].as_str()) {
            (401 | 403, _) => self.0.error(
                Kind::Authenticate,
                &format!("refuses the token ({status})"),
                "set TREASURY_BOT_PROMETHEUS_TOKEN or token_file",
            ),
            (_, Some("bad_data")) => {
                self.0
                    .error(Kind::Unsupported, "does not understand the query", &words)
            }
            (_, Some("timeout" | "canceled")) | (503 | 504, _) => self.0.error(
                Kind::Timeout,
                &format!("gave up on the query: {words}"),
                "ask for a shorter time or fewer series",
            ),
            _ => self.0.error(
                Kind::Failed,
                &format!("answered {status}: {words}"),
                "is [prometheus] url really Prometheus'?",
            ),
        })
    }
}

/// Seconds since 1970 with decimals.
fn seconds(at: Timestamp) -> String {
    format!("{:.3}", at.as_millisecond() as f64 / 1_000.0)
}

/// A value that is no number, as Prometheus writes it.
pub fn odd(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "+Inf",
        _ => "-Inf",
    }
}

/// `[seconds, "value"]`.
fn point(pair: &Value) -> Option<(Timestamp, f64)> {
    let at = pair.get(0)?.as_f64()?;
    let value: f64 = pair.get(1)?.as_str()?.parse().ok()?;
    let at = Timestamp::from_millisecond((at * 1_000.0).round() as i64).ok()?;
    Some((at, value))
}

fn labels(metric: &Value) -> Labels {
    let pairs = metric.as_object().into_iter().flatten();
    pairs
        .take(30)
        .filter_map(|(name, value)| Some((name.clone(), cut(value.as_str()?, 100))))
        .collect()
}

#[cfg(test)]
mod tests;
