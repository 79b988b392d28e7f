//! What `graph` and `prometheus.query` say of figures of all kinds, beside a real Prometheus that
//! scrapes a page of the test's own: units, digits, series that vanish, many series, NaN, native
//! histograms.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use treasury_bot::bot::Fault;
use treasury_bot::domain::{Content, Part, Unit};

use super::prometheus::Terminal;
use crate::support::prometheus::Prometheus as Server;
use crate::support::served;
use crate::support::stage::PATIENCE;

/// A page that may change, and where it is.
async fn page(text: &str) -> (Arc<Mutex<String>>, SocketAddr) {
    let text = Arc::new(Mutex::new(text.to_owned()));
    let now = text.clone();
    let router = Router::new().route("/metrics", get(async move || now.lock().unwrap().clone()));
    (text, served(router).await)
}

/// Waits until a query has so many series.
async fn scraped(server: &Server, query: &str, many: f64) {
    let deadline = Instant::now() + PATIENCE;
    let query = format!("count({query})");
    while server.ask(&query).await.unwrap() != [many] {
        assert!(Instant::now() < deadline, "the page was not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The comment of a picture, line by line, and its alternative text.
async fn drawn(terminal: &mut Terminal, text: &str) -> (Vec<String>, String) {
    let said = terminal.says(text).await;
    let Content::Picture {
        png,
        alt,
        comment,
        name,
        ..
    } = said
    else {
        panic!("{text}: {said:?}");
    };
    let png = BASE64.decode(png).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    if let Some(folder) = std::env::var_os("TREASURY_BOT_TEST_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), png).unwrap();
    }
    let mut lines = vec![comment.title.plain()];
    lines.extend(comment.parts.iter().filter_map(|part| match part {
        Part::Text(line) => Some(line.plain()),
        _ => None,
    }));
    (lines, alt)
}

/// What a runbook's question comes to, or why not.
async fn queried(terminal: &Terminal, query: &str) -> Result<Value, String> {
    let asked = json!({ "query": query });
    match treasury_bot::bot::ask_probe(&terminal.bot, "prometheus.query", asked).await {
        Ok(told) => Ok(told),
        Err(Fault::Refusal(refusal)) => Err(format!(
            "{} {}",
            refusal.title.plain(),
            refusal.detail.unwrap_or_default()
        )),
        Err(fault) => panic!("{query}: {fault:?}"),
    }
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn units_are_said_or_known_and_small_figures_keep_their_digits() {
    let (_, address) = page("took_seconds 0.00206\nhits_ratio 0.25\nstored_bytes 3072\n").await;
    let server = Server::scraping(address).await;
    scraped(&server, "took_seconds", 1.0).await;
    let metrics = [
        ("latency", "vector(2.5)", None),
        ("p95", "vector(2.5)", Some(Unit::Seconds)),
        ("errors", "vector(0.25)", None),
        ("ratio", "vector(0.25)", Some(Unit::Ratio)),
        ("took", "max(took_seconds)", None),
        ("hits", "hits_ratio", None),
        ("size", "stored_bytes", None),
        ("half", "stored_bytes / 2", None),
    ];
    let mut terminal = Terminal::with(&server, &metrics).await;
    for (metric, now) in [
        ("latency", "now 2.5"),
        ("p95", "now 2.5 s"),
        ("errors", "now 0.25"),
        ("ratio", "now 25 %"),
        ("took", "now 2.06 ms"),
        ("hits", "now 25 %"),
        ("size", "now 3 KiB"),
        ("half", "now 1536"),
    ] {
        let (lines, alt) = drawn(&mut terminal, &format!("graph api {metric} --since 10m")).await;
        assert_eq!(lines, [format!("api {metric}, last 10m: {now}")]);
        assert!(
            alt.starts_with(&format!("Line chart: api {metric}. {now}. ")),
            "{alt}"
        );
    }
    terminal.close().await;
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn what_vanished_has_no_now_and_of_many_series_each_is_named_or_counted() {
    let mut all = String::from("mix 4\nempty NaN\nendless +Inf\n");
    for n in 1..=9 {
        let alive = u8::from(n != 1 && n != 4);
        all.push_str(&format!("alive{{node=\"node-{n}\"}} {alive}\n"));
    }
    for n in 0..56 {
        all.push_str(&format!("many{{n=\"n{n}\"}} {n}\n"));
    }
    let (text, address) = page(&all).await;
    let server = Server::scraping(address).await;
    scraped(&server, "many", 56.0).await;
    let metrics = [
        ("mix", "mix", None),
        ("alive", "alive", None),
        ("many", "many", None),
        ("empty", "empty", None),
        ("endless", "endless", None),
        ("nothing", "nobody_counts_this", None),
        ("both", "{__name__=~\"empty|mix\"}", None),
    ];
    let mut terminal = Terminal::with(&server, &metrics).await;
    let (lines, alt) = drawn(&mut terminal, "graph api alive --since 1m").await;
    assert_eq!(
        lines,
        [
            "api alive, last 1m: now 0 (node-4) to 1 (node-2)",
            "8 of 9 series; 1 is left out"
        ]
    );
    assert!(alt.contains(" 8 of 9 series; 1 is left out. "), "{alt}");
    let (lines, alt) = drawn(&mut terminal, "graph api many --since 1m").await;
    assert_eq!(
        lines,
        [
            "api many, last 1m: now 0 (n0) to 55 (n55)",
            "8 of 56 series; 48 are left out"
        ]
    );
    for name in ["n55: ", "n49: ", "n0: "] {
        assert!(alt.contains(name), "{name} {alt}");
    }
    let (lines, _) = drawn(&mut terminal, "graph api both --since 1m").await;
    assert_eq!(
        lines,
        [
            "api both, last 1m: now mix 4",
            "1 series without a number: only NaN or infinite values"
        ]
    );
    for (metric, title) in [
        (
            "empty",
            "Prometheus has no number, only NaN for empty of api",
        ),
        (
            "endless",
            "Prometheus has no number, only +Inf for endless of api",
        ),
        (
            "nothing",
            "Prometheus has no series in this time for nothing of api",
        ),
    ] {
        let (_, told) = terminal.told(&format!("graph api {metric}")).await;
        let plain: Value = serde_json::from_str(&told).unwrap();
        assert!(told.contains("It was asked: "), "{told}");
        let spans = plain["title"].as_array().unwrap().iter();
        let words = spans.flat_map(|one| one.as_object().unwrap().values());
        let words: Vec<_> = words.map(|one| one.as_str().unwrap()).collect();
        assert_eq!(words.concat(), title, "{told}");
    }
    let odd = queried(&terminal, "{__name__=~\"empty|endless\"}")
        .await
        .unwrap();
    assert_eq!((&odd["count"], &odd["value"]), (&json!(0), &Value::Null));
    assert_eq!(odd["not_numbers"][0]["value"], "NaN");
    assert_eq!(odd["not_numbers"][1]["value"], "+Inf");

    // It was there longer than the second between two points, and is on the page no more.
    scraped(&server, "count_over_time(mix[1m]) > 25", 1.0).await;
    *text.lock().unwrap() = all.replace("mix 4\n", "");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (lines, alt) = drawn(&mut terminal, "graph api mix --since 1m").await;
        if lines[0].contains("now") {
            assert!(Instant::now() < deadline, "{lines:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        let (_, last) = lines[0].split_once(": last 4, ").unwrap();
        assert!(last.ends_with(" ago; nothing since"), "{lines:?}");
        assert!(alt.contains(", nothing after "), "{alt}");
        break;
    }
    terminal.close().await;
}

/// A page in Prometheus' protobuf format with one native histogram, which text can't hold: field
/// numbers of <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>.
fn native_histogram() -> Vec<u8> {
    let bytes = |field: u8, inside: &[u8]| {
        [
            &[field << 3 | 2, u8::try_from(inside.len()).unwrap()],
            inside,
        ]
        .concat()
    };
    let number = |field: u8, value: u8| vec![field << 3, value];
    let double = |field: u8, value: f64| [&[field << 3 | 1][..], &value.to_le_bytes()].concat();
    let histogram = [
        number(1, 12),
        double(2, 18.4),
        // The schema, zigzag: 3.
        number(5, 6),
        double(6, 1e-128),
        number(7, 0),
        // Two buckets from the one at 1 on, with 4 and 8 observations.
        bytes(12, &[number(1, 0), number(2, 2)].concat()),
        number(13, 8),
        number(13, 8),
    ];
    let metric = bytes(7, &histogram.concat());
    let family = [bytes(1, b"native_seconds"), number(3, 4), bytes(4, &metric)].concat();
    [&[u8::try_from(family.len()).unwrap()], &family[..]].concat()
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn native_histograms_texts_and_ranges_are_errors_that_say_what_to_write() {
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                encoding=delimited";
    let answer = async move || ([(CONTENT_TYPE, kind)], native_histogram());
    let address = served(Router::new().route("/metrics", get(answer))).await;
    let feature = "--enable-feature=native-histograms";
    let server = Server::started("shop", address, &[feature]).await;
    scraped(&server, "native_seconds", 1.0).await;
    let quantile = "histogram_quantile(0.5, native_seconds)";
    let metrics = [
        ("raw", "native_seconds", None),
        ("median", quantile, None),
        ("mixed", "native_seconds or vector(1)", None),
    ];
    let mut terminal = Terminal::with(&server, &metrics).await;
    let (_, told) = terminal.told("graph api raw").await;
    for part in [
        "1 native histogram, which graph can't draw",
        "histogram_quantile(0.9, …)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (lines, _) = drawn(&mut terminal, "graph api median --since 1m").await;
    let now = lines[0].split_once(": now ").unwrap().1;
    assert!(now.starts_with("1.") && now.ends_with(" s"), "{lines:?}");
    let (lines, _) = drawn(&mut terminal, "graph api mixed --since 1m").await;
    assert_eq!(lines[0], "api mixed, last 1m: now 1");
    assert!(
        lines[1].starts_with("1 native histogram is not drawn: write "),
        "{lines:?}"
    );

    for (query, what) in [
        (
            "native_seconds",
            "finds native histograms, no numbers (1 of 1 series)",
        ),
        (
            "native_seconds or vector(1)",
            "finds native histograms, no numbers (1 of 2 series)",
        ),
        ("\"a text\"", "finds a text, no number"),
        ("up[1m]", "finds a range of values, not one of each series"),
    ] {
        let told = queried(&terminal, query).await.unwrap_err();
        assert!(told.contains(what), "{query}: {told}");
    }
    let told = queried(&terminal, quantile).await.unwrap();
    assert_eq!(told["count"], 1);
    terminal.close().await;
}
