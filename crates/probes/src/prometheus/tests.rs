//! Answers of the shapes that Prometheus documents, at the wire.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::*;

/// A Prometheus that always answers this.
async fn answering(status: u16, body: &'static str) -> Prometheus {
    let answer = move |form: String| async move {
        assert!(form.starts_with("query=up%7Bjob%3D%22a+b%22%7D&"), "{form}");
        (StatusCode::from_u16(status).unwrap(), body)
    };
    let router = Router::new()
        .route("/api/v1/query", post(answer))
        .route("/api/v1/query_range", post(answer));
    served(router).await
}

async fn served(router: Router) -> Prometheus {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
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
    assert_eq!(samples.list.len(), 1, "NaN is no number");
    let nan = (Labels::from([("job".into(), "b".into())]), "NaN".to_owned());
    assert_eq!(samples.odd, [nan]);
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
    assert_eq!((ranges.total, ranges.series[0].odd.len()), (1, 1));
}

#[tokio::test]
async fn each_no_is_told_apart_and_the_token_never_shown() {
    let bad = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected x"}"#;
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

#[tokio::test]
async fn a_metric_may_have_its_unit_in_its_metadata_alone() {
    let metadata = |query: RawQuery| async move {
        let found = match query.0.as_deref() {
            Some("metric=took") => r#"{"took":[{"type":"histogram","help":"x","unit":"s"}]}"#,
            _ => "{}",
        };
        format!(r#"{{"status":"success","data":{found}}}"#)
    };
    let router = Router::new().route("/api/v1/metadata", get(metadata));
    let prometheus = served(router).await;
    assert_eq!(prometheus.unit("took").await.unwrap(), Some(Unit::Seconds));
    assert_eq!(prometheus.unit("gave").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_number_is_an_error_that_says_what_to_write() {
    let histogram = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"job":"a"},"histogram":[1800000000,{"count":"12","sum":"1.5",
            "buckets":[[0,"0.5","1","12"]]}]},
        {"metric":{"job":"b"},"value":[1800000000,"1"]}]}}"#;
    let text = r#"{"status":"success","data":{"resultType":"string","result":[1,"hello"]}}"#;
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{},"values":[[1,"2"]]}]}}"#;
    let strange = r#"{"status":"success","data":{"resultType":"tensor","result":[]}}"#;
    for (body, what, hint) in [
        (
            histogram,
            "native histograms, no numbers (1 of 2 series)",
            "histogram_quantile(0.9, ",
        ),
        (text, "a text, no number", "a metric"),
        (matrix, "a range of values", "`rate(…[5m])`"),
        (strange, "a form that is not known", "really Prometheus"),
    ] {
        let error = answering(200, body)
            .await
            .samples(QUERY, at(1))
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{error}");
        assert!(
            error.what.contains(what) && error.hint.contains(hint),
            "{error}"
        );
    }
}

#[tokio::test]
async fn histograms_among_lines_are_counted_and_what_prometheus_warns_of_is_passed_on() {
    let matrix = r#"{"status":"success","warnings":["remote read failed"],
        "infos":["PromQL info: metric might not be a counter: \"errors\" (1:6)"],
        "data":{"resultType":"matrix","result":[
        {"metric":{"job":"a"},"values":[[1,"2"]],"histograms":[[2,{"count":"1","sum":"1"}]]},
        {"metric":{"job":"b"},"values":[[1,"2"]]},
        {"metric":{"job":"c"},"histograms":[[2,{"count":"1","sum":"1"}]]}]}}"#;
    let prometheus = answering(200, matrix).await;
    let ranges = prometheus.query_range(QUERY, at(1), at(3), Duration::from_secs(1));
    let ranges = ranges.await.unwrap();
    assert_eq!(
        (ranges.series.len(), ranges.total, ranges.histograms),
        (2, 2, 2)
    );
    assert_eq!(ranges.notes[0], "remote read failed");
    assert!(
        ranges.notes[1].contains("might not be a counter"),
        "{ranges:?}"
    );
}
