//! Prometheus' HTTP API, version 1: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fetch::Fetch;
use super::service::{Service, authorization, login};
use super::{ProbeError, ProbeErrorKind as Kind};
use treasury_domain::timeline::cut;

/// The largest answer that is read, bytes.
const MAX_BYTES: usize = 8 << 20;
/// Most values that are kept of an answer.
const MAX_SAMPLES: usize = 100;
/// Most series that are kept of an answer.
const MAX_SERIES: usize = 50;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// What tells it apart.
    pub labels: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
    /// The value; never NaN or infinite.
    pub value: f64,
}

/// Values at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Samples {
    /// The values, at most 100.
    pub list: Vec<Sample>,
    /// Further ones were left out.
    pub truncated: bool,
}

/// Values over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// What tells it apart.
    pub labels: BTreeMap<String, String>,
    /// Oldest first; NaN and infinite values are left out.
    pub points: Vec<(Timestamp, f64)>,
}

/// Series over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranges {
    /// The series, at most 50.
    pub series: Vec<Range>,
    /// Further series or points were left out.
    pub truncated: bool,
}

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

    /// The values of an expression at a moment.
    pub async fn samples(&self, query: &str, at: Timestamp) -> Result<Samples, ProbeError> {
        let form = [("query", query.to_owned()), ("time", seconds(at))];
        let mut data = self.ask("query", &form).await?;
        let mut result = data["result"].take();
        if data["resultType"] == "scalar" {
            result = json!([{"value": result}]);
        }
        let all = result.as_array().map_or(&[][..], Vec::as_slice);
        let list = all.iter().take(MAX_SAMPLES).filter_map(|one| {
            let (at, value) = point(&one["value"])?;
            let labels = labels(&one["metric"]);
            Some(Sample { labels, at, value })
        });
        Ok(Samples {
            list: list.collect(),
            truncated: all.len() > MAX_SAMPLES,
        })
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
        let data = self.ask("query_range", &form).await?;
        let all = data["result"].as_array().map_or(&[][..], Vec::as_slice);
        let mut truncated = all.len() > MAX_SERIES;
        let series = all.iter().take(MAX_SERIES).map(|one| {
            let values = one["values"].as_array().map_or(&[][..], Vec::as_slice);
            truncated |= values.len() > MAX_POINTS;
            let newest = values.len().saturating_sub(MAX_POINTS);
            Range {
                labels: labels(&one["metric"]),
                points: values[newest..].iter().filter_map(point).collect(),
            }
        });
        let series = series.collect();
        Ok(Ranges { series, truncated })
    }

    /// The Alertmanagers that it sends alerts to.
    pub async fn alertmanagers(&self) -> Result<Vec<String>, ProbeError> {
        let json = "application/json";
        let (status, body) = self
            .0
            .send("GET", "alertmanagers", json, String::new())
            .await?;
        let data = self.answer(status, &body)?;
        let active = data["activeAlertmanagers"].as_array().into_iter().flatten();
        let urls = active.filter_map(|one| Some(one["url"].as_str()?.to_owned()));
        Ok(urls.collect())
    }

    async fn ask(&self, what: &str, form: &[(&str, String)]) -> Result<Value, ProbeError> {
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

    fn answer(&self, status: u16, body: &[u8]) -> Result<Value, ProbeError> {
        let mut answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if status == 200 && answer["status"] == "success" {
            return Ok(answer["data"].take());
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

/// `[seconds, "value"]`; nothing for NaN and infinite values.
fn point(pair: &Value) -> Option<(Timestamp, f64)> {
    let at = pair.get(0)?.as_f64()?;
    let value: f64 = pair.get(1)?.as_str()?.parse().ok()?;
    let at = Timestamp::from_millisecond((at * 1_000.0).round() as i64).ok()?;
    value.is_finite().then_some((at, value))
}

fn labels(metric: &Value) -> BTreeMap<String, String> {
    let pairs = metric.as_object().into_iter().flatten();
    pairs
        .take(30)
        .filter_map(|(name, value)| Some((name.clone(), cut(value.as_str()?, 100))))
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;

    use super::*;

    /// A Prometheus that always answers this.
    async fn answering(status: u16, body: &'static str) -> Prometheus {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = move |form: String| async move {
            assert!(form.starts_with("query=up%7Bjob%3D%22a+b%22%7D&"), "{form}");
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let router = Router::new()
            .route("/api/v1/query", post(answer))
            .route("/api/v1/query_range", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Prometheus::new(Config {
            url,
            token: Some(SecretString::from("hunter2")),
            timeout: Duration::from_secs(2),
        })
    }

    const QUERY: &str = "up{job=\"a b\"}";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn vectors_scalars_and_ranges_are_read() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a"},"value":[1800000000.5,"1"]},
            {"metric":{"job":"b"},"value":[1800000000,"NaN"]}]}}"#;
        let samples = answering(200, vector)
            .await
            .samples(QUERY, at(1))
            .await
            .unwrap();
        assert_eq!(samples.list.len(), 1, "NaN is no value");
        assert_eq!(
            (
                samples.list[0].value,
                samples.list[0].labels["job"].as_str()
            ),
            (1.0, "a")
        );
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[7,"42"]}}"#;
        let samples = answering(200, scalar)
            .await
            .samples(QUERY, at(1))
            .await
            .unwrap();
        assert_eq!((samples.list[0].value, samples.list[0].at), (42.0, at(7)));
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"2"],[2,"+Inf"],[3,"4.5"]]}]}}"#;
        let prometheus = answering(200, matrix).await;
        let step = Duration::from_secs(1);
        let ranges = prometheus
            .query_range(QUERY, at(1), at(3), step)
            .await
            .unwrap();
        assert_eq!(ranges.series[0].points, [(at(1), 2.0), (at(3), 4.5)]);
        assert!(!ranges.truncated);
    }

    #[tokio::test]
    async fn each_no_is_told_apart_and_the_token_never_shown() {
        let bad =
            r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected x"}"#;
        for (status, body, kind) in [
            (401, "", Kind::Authenticate),
            (400, bad, Kind::Unsupported),
            (
                503,
                r#"{"status":"error","errorType":"timeout","error":"too slow"}"#,
                Kind::Timeout,
            ),
            (404, "<html>", Kind::Failed),
            (200, "[]", Kind::Failed),
        ] {
            let prometheus = answering(status, body).await;
            let error = prometheus.samples(QUERY, at(1)).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(!format!("{error:?}{prometheus:?}").contains("hunter2"));
        }
        let error = answering(400, bad)
            .await
            .samples(QUERY, at(1))
            .await
            .unwrap_err();
        assert!(error.hint.contains("unexpected x"), "{error}");
        let gone = Prometheus::new(Config {
            url: "http://127.0.0.1:1".into(),
            token: None,
            timeout: Duration::from_secs(2),
        });
        assert_eq!(
            gone.samples(QUERY, at(1)).await.unwrap_err().kind,
            Kind::Connect
        );
    }
}
