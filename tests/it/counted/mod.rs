//! Errors that `[watch]` counts on pages of metrics of all kinds: those of real libraries, and what
//! Prometheus 3 reads beside that. The binary is the real one; what it knows it also says in a
//! terminal. A page that it can't read is told wherever somebody looks.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use serde_json::Value;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::support::engine::{OBEYS, Stack};
use crate::support::process::{Setup, root};
use crate::support::served;
use crate::support::stage::{HOME, PATIENCE, said, words_of};

/// Pages of `exporter.py`.
struct Exporter {
    child: Child,
    ports: Vec<u16>,
}

impl Exporter {
    fn start() -> Self {
        let python = root().join("target/tools/python/bin/python");
        let mut child = Command::new(python)
            .arg(root().join("tests/it/counted/exporter.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let ports = line.split_whitespace().map(|port| port.parse().unwrap());
        let ports = ports.collect();
        Self { child, ports }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Ended already where it failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pages of the test's own: each reading counts 30 answers, every second of them an error.
async fn pages(mended: Arc<AtomicBool>) -> SocketAddr {
    let readings = Arc::new(AtomicU64::new(0));
    let counting = move |lines: fn(u64) -> String| {
        let readings = readings.clone();
        get(async move || lines(readings.fetch_add(1, Ordering::Relaxed) * 15))
    };
    let router = Router::new()
        .route(
            "/quoted",
            counting(|n| {
                format!(
                    "# TYPE \"http.requests_total\" counter\n\
                     {{\"http.requests_total\",code=\"500\"}} {n}\n\
                     {{\"http.requests_total\",code=\"200\"}} {n}\n"
                )
            }),
        )
        .route(
            "/named",
            counting(|n| {
                format!(
                    "{{\"shop.answers\",\"how/so\"=\"500\",shop=\"a\"}} {n}\n\
                     {{\"shop.answers\",\"how/so\"=\"200\",shop=\"a\"}} {n}\n\
                     {{\"shop.answers\",\"how/so\"=\"200\",shop=\"b\"}} 9{n}\n"
                )
            }),
        )
        .route(
            "/blind",
            get(async move || {
                let name = if mended.load(Ordering::Relaxed) {
                    "http_requests_total"
                } else {
                    "treasure"
                };
                format!("shop_open 1\n{name}{{code=\"200\"}} 1\n")
            }),
        );
    served(router).await
}

/// What a subcommand prints, whatever it comes to.
fn printed(setup: &Setup, sandbox: &Sandbox, words: &[&str]) -> String {
    let mut command = setup.command(sandbox, words[0]);
    let output = command.args(&words[1..]).output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8(all).unwrap()
}

// What is printed is waited for, while the pages are served.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker and tests/requirements.txt"]
async fn errors_are_counted_on_every_page_that_prometheus_reads_and_one_that_is_not_read_is_told() {
    let exporter = Exporter::start();
    let mended = Arc::new(AtomicBool::new(false));
    let own = pages(mended.clone()).await;
    let stack = Stack::new("counted").await;
    stack.run("blind", 1, OBEYS).await;
    let project = &stack.project;
    let page = |name: &str, page: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ncompose_project = \"{project}\"\n\
             compose_service = \"{name}\"\nmetrics_page = {page}\n\n"
        )
    };
    let mut sections =
        String::from("[watch]\nevery = \"1s\"\nlasting = \"2s\"\n\n[alerts]\nauto = \"off\"\n\n");
    let libraries = ["openmetrics", "utf8", "otel"];
    for (name, port) in libraries.iter().zip(&exporter.ports) {
        sections.push_str(&page(name, &format!("\"http://127.0.0.1:{port}/metrics\"")));
    }
    sections.push_str(&page("quoted", &format!("\"http://{own}/quoted\"")));
    let named = format!(
        "{{ url = \"http://{own}/named\", counter = \"shop.answers\", label = \"how/so\", only = {{ shop = \"a\" }} }}"
    );
    sections.push_str(&page("named", &named));
    sections.push_str(&page("blind", &format!("\"http://{own}/blind\"")));
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = Setup::new(false, &sections);
    let serve = setup.serve(&sandbox).await;

    // Told once, with what it holds and what to write …
    let told = words_of(&said(&sandbox, HOME, "Errors of blind are not counted").await);
    for part in [
        "its metrics page can't be read",
        "/blind holds no counter of requests by status that is known, but 2 metrics, such as shop_open, treasure",
        "name it: metrics_page = { url = …, counter = …, label = … }",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // … and wherever somebody looks.
    let why = "/blind holds no counter of requests";
    for words in [
        &["exec", "status"][..],
        &["exec", "status", "blind"],
        &["exec", "graph", "blind", "error-rate"],
        &["doctor", "--only", "web"],
    ] {
        let told = printed(&setup, &sandbox, words);
        assert!(told.contains(why), "{words:?}: {told}");
    }
    let ready = reqwest::get(format!("http://127.0.0.1:{}/health/ready", setup.port));
    let ready: Value = ready.await.unwrap().json().await.unwrap();
    let unread = ready["unread_metrics_pages"].as_object().unwrap();
    assert_eq!(unread.len(), 1, "{unread:?}");
    assert!(
        unread["blind"].as_str().unwrap().contains(why),
        "{unread:?}"
    );

    // The others are known in a terminal as soon as the bot knows them.
    said(&sandbox, HOME, "HighErrorRate").await;
    let deadline = Instant::now() + PATIENCE;
    for name in libraries.iter().chain(&["quoted", "named"]) {
        loop {
            let told = printed(&setup, &sandbox, &["exec", "graph", name, "error-rate"]);
            if let Some((_, drawn)) = told.split_once(&format!("{name}: from ")) {
                let (_, newest) = drawn.split_once(" to ").unwrap();
                let percent: f64 = newest.split_once(" %").unwrap().0.parse().unwrap();
                // A library may be read between a good answer and its bad one.
                assert!((40.0..60.0).contains(&percent), "{told}");
                break;
            }
            assert!(Instant::now() < deadline, "{told}");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    mended.store(true, Ordering::Relaxed);
    said(&sandbox, HOME, "Errors of blind are counted again").await;
    assert!(!printed(&setup, &sandbox, &["exec", "status"]).contains(why));
    serve.kill();
}
