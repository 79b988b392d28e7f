//! The stack's figures for Prometheus: a page to be scraped, and its HTTP API (version 1) for a
//! handful of fixed expressions, so that graphs work without a Prometheus.

use std::collections::HashMap;

use axum::Json;
use axum::Router;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{RawForm, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::driver::Stack;
use super::history::Point;
use super::metrics;
use super::model::World;
use super::role::Role;

/// An older value is no longer told, seconds; as with Prometheus.
const LOOKBACK: f64 = 300.0;
/// Most points of an answer, as with Prometheus.
const MAX_POINTS: f64 = 11_000.0;
/// What is told of a wrong request, characters.
const TOLD: usize = 100;

pub(super) fn routes() -> Router<Stack> {
    Router::new()
        .route("/stack/metrics", get(page))
        .route("/stack/prometheus/api/v1/query", get(query).post(query))
        .route(
            "/stack/prometheus/api/v1/query_range",
            get(query_range).post(query_range),
        )
}

async fn page(State(stack): State<Stack>) -> Response {
    let text = metrics::page(&stack.world());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What a request asks for, or what is wrong with it.
type Answer = Result<Value, String>;

async fn query(State(stack): State<Stack>, form: Result<RawForm, RawFormRejection>) -> Response {
    answer(read(form).and_then(|form| {
        let expression = Expression::read(&form)?;
        let world = stack.world();
        let at = match form.get("time") {
            Some(text) => moment("time", text)?,
            None => seconds(world.now()),
        };
        let value = expression.at(&world, at);
        let sample = value.map(
            |value| json!({ "metric": expression.labels(), "value": [at, value.to_string()] }),
        );
        Ok(json!({ "resultType": "vector", "result": Vec::from_iter(sample) }))
    }))
}

async fn query_range(
    State(stack): State<Stack>,
    form: Result<RawForm, RawFormRejection>,
) -> Response {
    answer(read(form).and_then(|form| {
        let wanted = |name: &str| {
            let text = form.get(name).map_or("", String::as_str);
            Ok::<_, String>((text, name.to_owned()))
        };
        let (start, name) = wanted("start")?;
        let start = moment(&name, start)?;
        let (end, name) = wanted("end")?;
        let end = moment(&name, end)?;
        if end < start {
            return Err(wrong("end", "end timestamp must not be before start time"));
        }
        let (step, _) = wanted("step")?;
        let step = length(step)?;
        if (end - start) / step > MAX_POINTS {
            return Err(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
                    .to_owned(),
            );
        }
        let expression = Expression::read(&form)?;
        let world = stack.world();
        let points = ((end - start) / step).floor() as u32;
        let values: Vec<Value> = (0..=points)
            .map(|i| start + f64::from(i) * step)
            .filter_map(|at| Some(json!([at, expression.at(&world, at)?.to_string()])))
            .collect();
        let series = (!values.is_empty())
            .then(|| json!({ "metric": expression.labels(), "values": values }));
        Ok(json!({ "resultType": "matrix", "result": Vec::from_iter(series) }))
    }))
}

fn answer(told: Answer) -> Response {
    match told {
        Ok(data) => Json(json!({ "status": "success", "data": data })).into_response(),
        Err(error) => {
            let body = json!({ "status": "error", "errorType": "bad_data", "error": error });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

fn read(form: Result<RawForm, RawFormRejection>) -> Result<HashMap<String, String>, String> {
    let RawForm(bytes) = form.map_err(|rejection| rejection.body_text())?;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

/// One of the known expressions.
struct Expression {
    name: &'static str,
    role: Option<Role>,
    value: fn(&Point, usize) -> f64,
}

/// The figures of a service.
type Of = (&'static str, fn(&Point, usize) -> f64);
const OF_A_SERVICE: [Of; 3] = [
    ("treasury:error_percent", |point, of| {
        point.services[of].errors * 100.0
    }),
    ("treasury:p95_ms", |point, of| point.services[of].p95),
    ("treasury:requests_per_second", |point, of| {
        point.services[of].rate
    }),
];
/// The figures of the whole stack.
const OF_ALL: [Of; 2] = [
    ("treasury:connections", |point, _| {
        f64::from(point.connections)
    }),
    ("treasury:hit_percent", |point, _| point.hit_percent),
];

impl Expression {
    fn read(form: &HashMap<String, String>) -> Result<Self, String> {
        let text = form.get("query").map_or("", |text| text.trim());
        for (name, value) in OF_ALL {
            if text == name {
                return Ok(Self {
                    name,
                    role: None,
                    value,
                });
            }
        }
        for (name, value) in OF_A_SERVICE {
            for role in Role::ALL {
                if text == format!("{name}{{service=\"{}\"}}", role.name()) {
                    return Ok(Self {
                        name,
                        role: Some(role),
                        value,
                    });
                }
            }
        }
        let own = OF_A_SERVICE.map(|(name, _)| format!("{name}{{service=\"NAME\"}}"));
        let all = OF_ALL.map(|(name, _)| name);
        Err(wrong(
            "query",
            &format!(
                "the simulated stack does not understand `{}`: known are {}, {}; services are {}",
                clip(text),
                own.join(", "),
                all.join(", "),
                Role::ALL.map(Role::name).join(", ")
            ),
        ))
    }

    fn labels(&self) -> Value {
        match self.role {
            Some(role) => json!({ "__name__": self.name, "service": role.name() }),
            None => json!({ "__name__": self.name }),
        }
    }

    /// Its value at a time of the world: the newest one before, if it is not too old.
    fn at(&self, world: &World, at: f64) -> Option<f64> {
        let points = &world.diagnostics.history.points;
        let newer = points.partition_point(|point| seconds(point.at) <= at);
        let point = points.get(newer.checked_sub(1)?)?;
        let of = Role::ALL.iter().position(|role| Some(*role) == self.role);
        (at - seconds(point.at) <= LOOKBACK).then(|| (self.value)(point, of.unwrap_or(0)))
    }
}

/// Seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// A time as Prometheus takes it: seconds since 1970 or RFC 3339.
fn moment(name: &str, text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let stamp = || text.parse::<Timestamp>().ok().map(seconds);
    number.or_else(stamp).ok_or_else(|| {
        let what = format!("cannot parse \"{}\" to a valid timestamp", clip(text));
        wrong(name, &what)
    })
}

/// A step as Prometheus takes it: seconds, or a number with its unit such as `15s`.
fn length(text: &str) -> Result<f64, String> {
    let units = [
        ("ms", 0.001),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3_600.0),
        ("", 1.0),
    ];
    let read = |(unit, seconds): (&str, f64)| {
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        Some(number * seconds)
    };
    let step = units.into_iter().find_map(read);
    match step.filter(|step| step.is_finite()) {
        Some(step) if step > 0.0 => Ok(step),
        Some(_) => Err(wrong(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        )),
        None => Err(wrong(
            "step",
            &format!("cannot parse \"{}\" to a valid duration", clip(text)),
        )),
    }
}

fn wrong(parameter: &str, why: &str) -> String {
    format!("invalid parameter \"{parameter}\": {why}")
}

fn clip(text: &str) -> String {
    text.chars().take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stories::{noon, stack};
    use super::super::{Fault, router};
    use super::*;
    use treasury_ports::probe::ProbeErrorKind as Kind;
    use treasury_probes::prometheus::{Config, Prometheus};

    /// Serves the stack; its address.
    async fn serve(stack: &Stack) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stack", listener.local_addr().unwrap());
        let app = router(stack.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn asker(url: &str) -> Prometheus {
        Prometheus::new(Config {
            url: format!("{url}/prometheus"),
            token: None,
            timeout: Duration::from_secs(10),
        })
    }

    #[tokio::test]
    async fn our_own_probe_reads_errors_over_time_and_now() {
        let stack = stack();
        stack.advance(Duration::from_mins(5));
        stack.put_in(Fault::ApiErrors, None).unwrap();
        stack.advance(Duration::from_mins(5));
        let prometheus = asker(&serve(&stack).await);
        let expression = "treasury:error_percent{service=\"api\"}";
        let (from, to) = (noon(), noon() + Duration::from_mins(10));
        let step = Duration::from_secs(30);
        let told = prometheus
            .query_range(expression, from, to, step)
            .await
            .unwrap();
        let series = &told.series[0];
        assert_eq!(
            (series.points.len(), series.labels["service"].as_str()),
            (21, "api")
        );
        assert_eq!(series.points[0].0, noon(), "in the time of the world");
        assert!(
            series.points[..10]
                .iter()
                .all(|(_, percent)| *percent < 1.0)
        );
        assert!(
            series.points[12..]
                .iter()
                .all(|(_, percent)| *percent > 25.0)
        );
        let now = prometheus.samples(expression, to).await.unwrap().list;
        assert_eq!((now[0].at, now[0].value), (to, series.points[20].1));
        for (expression, range) in [
            ("treasury:p95_ms{service=\"frontend\"}", 30.0..300.0),
            (
                "treasury:requests_per_second{service=\"redis\"}",
                50.0..500.0,
            ),
            ("treasury:connections", 10.0..40.0),
            ("treasury:hit_percent", 90.0..96.0),
        ] {
            let value = prometheus.samples(expression, to).await.unwrap().list[0].value;
            assert!(range.contains(&value), "{expression}: {value}");
        }
        let late = to + Duration::from_mins(6);
        assert_eq!(
            prometheus.samples(expression, late).await.unwrap().list,
            [],
            "too old"
        );
        let error = prometheus.samples("up{job=\"a\"}", to).await.unwrap_err();
        assert!(
            error.kind == Kind::Unsupported && error.hint.contains("known are"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn it_answers_as_prometheus_does_by_query_string_too() {
        let stack = stack();
        let url = serve(&stack).await;
        let ask = async |path: &str| {
            let answer = reqwest::get(format!("{url}/prometheus/api/v1/{path}"))
                .await
                .unwrap();
            (
                answer.status().as_u16(),
                answer.json::<Value>().await.unwrap(),
            )
        };
        let (code, told) = ask("query?query=treasury:connections").await;
        assert_eq!((code, &told["status"]), (200, &json!("success")));
        assert_eq!(told["data"]["resultType"], "vector");
        let one = &told["data"]["result"][0];
        assert_eq!(one["metric"], json!({ "__name__": "treasury:connections" }));
        assert!(one["value"][1].as_str().unwrap().parse::<f64>().unwrap() > 10.0);
        let times = "start=2026-03-01T11:59:00Z&end=2026-03-01T12:00:00Z";
        let (code, told) = ask(&format!(
            "query_range?query=treasury:hit_percent&{times}&step=15s"
        ))
        .await;
        assert_eq!((code, &told["data"]["resultType"]), (200, &json!("matrix")));
        let values = told["data"]["result"][0]["values"].as_array().unwrap();
        assert_eq!((values.len(), &values[0][0]), (5, &json!(1_772_366_340.0)));
        for (wrong, words) in [
            (
                "query?query=rate(x[5m])",
                "known are treasury:error_percent{service=\"NAME\"}",
            ),
            (
                "query?query=treasury:p95_ms{service=\"nobody\"}",
                "services are frontend",
            ),
            ("query", "\"query\""),
            (
                "query?query=treasury:connections&time=soon",
                "\"time\": cannot parse",
            ),
            (
                "query_range?query=treasury:connections",
                "\"start\": cannot parse",
            ),
            (
                "query_range?query=treasury:connections&start=9&end=1&step=1",
                "before start",
            ),
            (
                "query_range?query=treasury:connections&start=1&end=9&step=0",
                "zero or negative",
            ),
            (
                "query_range?query=treasury:connections&start=1&end=9&step=x",
                "duration",
            ),
            (
                "query_range?query=treasury:connections&start=0&end=99999&step=1",
                "11,000 points",
            ),
        ] {
            let (code, told) = ask(wrong).await;
            assert_eq!(
                (code, &told["errorType"]),
                (400, &json!("bad_data")),
                "{wrong}"
            );
            assert!(
                told["error"].as_str().unwrap().contains(words),
                "{wrong}: {told}"
            );
        }
    }

    #[tokio::test]
    async fn the_page_is_served_to_be_scraped() {
        let url = serve(&stack()).await;
        let answer = reqwest::get(format!("{url}/metrics")).await.unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("\ntreasury_cache_up 1\n")
        );
    }
}
