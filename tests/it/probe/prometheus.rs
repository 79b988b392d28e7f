//! What is asked of a real Prometheus, which scrapes a page of the test's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use treasury_bot::bot::{Bot, COMMANDS, Catalogue, Fault, answer_key};
use treasury_bot::domain::service::{Charted, PlatformKey};
use treasury_bot::domain::{Content, Door, Message, Person, Place, Reply, Request, Tone, Unit};
use treasury_bot::platform::Platform;
use treasury_bot::probe::prometheus::{Config, Prometheus};
use treasury_bot::probe::web::{self, Web};
use treasury_bot::probe::{Http, ProbeErrorKind};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::sandbox::stack::{Stack, StackConfig};
use treasury_bot::store::{Store, Use};

use crate::support::prometheus::Prometheus as Server;
use crate::support::served;
use crate::support::stage::{PATIENCE, Scenery, plan};

/// More series than an answer may hold.
const MANY: usize = 130;

/// A shop's page of metrics; its errors fall from 7.5 to 2.5 percent from replica to replica.
async fn shop() -> SocketAddr {
    let mut page = String::from(
        "# TYPE errors_percent gauge\n\
         errors_percent{replica=\"api-1\"} 7.5\n\
         errors_percent{replica=\"api-2\"} 2.5\n\
         errors_percent{replica=\"api-3\"} NaN\n\
         # TYPE many gauge\n",
    );
    for n in 0..MANY {
        page.push_str(&format!("many{{n=\"{n}\"}} {n}\n"));
    }
    served(Router::new().route("/metrics", get(async move || page))).await
}

pub fn probe(server: &Server) -> Prometheus {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Prometheus::new(Config {
        url: server.url(),
        token: None,
        timeout: Duration::from_secs(2),
    })
}

/// A server that has read the shop's page.
async fn server() -> Server {
    let server = Server::scraping(shop().await).await;
    let probe = probe(&server);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let scraped = probe
            .samples("count(many)", Timestamp::now())
            .await
            .unwrap();
        if scraped
            .list
            .iter()
            .any(|one| (one.value - MANY as f64).abs() < 0.5)
        {
            return server;
        }
        assert!(Instant::now() < deadline, "the page was not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A bot at a terminal, with a service whose metrics this server knows.
pub struct Terminal {
    pub bot: Bot,
    store: Store,
    sandbox: Sandbox,
    asked: u32,
    _folder: tempfile::TempDir,
}

impl Terminal {
    async fn open(server: &Server) -> Self {
        let metrics = [
            ("errors", "errors_percent", None),
            ("wrong", "sum(errors_percent", None),
            ("untyped", "rate(errors_percent)", None),
            ("nothing", "nobody_counts_this", None),
        ];
        Self::with(server, &metrics).await
    }

    /// The same with these metrics: each a name, a query and perhaps a unit.
    pub async fn with(server: &Server, metrics: &[(&str, &str, Option<Unit>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bot.db").display());
        let store = Store::open(&url, Use::Visit).await.unwrap();
        let stack = Stack::start(StackConfig::default());
        let mut services = stack.services();
        for service in &mut services {
            service.metrics = metrics
                .iter()
                .map(|&(name, query, unit)| {
                    let query = query.to_owned();
                    (name.to_owned(), Charted { query, unit })
                })
                .collect();
        }
        let platform: Arc<dyn Platform> = Arc::new(stack);
        let catalogue = Catalogue::new(services, [(PlatformKey::Simulated, platform)]).with_web(
            Web::new(web::Config::default()).unwrap(),
            Some(probe(server)),
        );
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let plan = plan(&sandbox, &Scenery::default(), listen, url, catalogue);
        let bot = Bot::new(
            &COMMANDS,
            store.clone(),
            plan.settings,
            plan.catalogue,
            plan.library,
            Http::new(),
            CancellationToken::new(),
        );
        treasury_bot::bot::start_visit(&bot).await.unwrap();
        Self {
            bot,
            store,
            sandbox,
            asked: 0,
            _folder: folder,
        }
    }

    /// What is answered to a sentence.
    pub async fn says(&mut self, text: &str) -> Content {
        self.asked += 1;
        let key = format!("terminal:{}", self.asked);
        let request = Request {
            key: key.clone(),
            door: Door::Terminal,
            person: Person::terminal("ana"),
            place: Place::terminal(),
            text: text.to_owned(),
            reply: Reply::default(),
        };
        treasury_bot::bot::visit(&self.bot, request).await.unwrap();
        let answer = self.store.outbox_read(&answer_key(&key)).await.unwrap();
        answer.unwrap().0.content
    }

    /// The same, where words are expected: how it is meant, and all of it.
    pub async fn told(&mut self, text: &str) -> (Tone, String) {
        match self.says(text).await {
            Content::Message(message) => (message.tone, words(&message)),
            other => panic!("{text}: {other:?}"),
        }
    }

    pub async fn close(self) {
        treasury_bot::bot::end_visit(&self.bot).await.unwrap();
        self.store.close().await;
        self.sandbox.stop();
    }
}

fn words(message: &Message) -> String {
    serde_json::to_string(message).unwrap()
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn a_metric_is_drawn_from_a_real_prometheus() {
    let server = server().await;
    let mut terminal = Terminal::open(&server).await;
    let Content::Picture { png, alt, .. } = terminal.says("graph api errors --since 10m").await
    else {
        panic!("no picture");
    };
    let png = BASE64.decode(png).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    for part in ["api errors", "api-1", "7.5", "api-2", "2.5"] {
        assert!(alt.contains(part), "no “{part}” in {alt}");
    }
    assert!(!alt.contains("NaN"), "{alt}");
    terminal.close().await;
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn values_are_read_with_their_labels_and_bounded() {
    let server = server().await;
    let probe = probe(&server);
    let ask = async |query: &str| {
        let answer = probe.samples(query, Timestamp::now()).await;
        answer.unwrap().list
    };
    let errors = ask("errors_percent{job=\"shop\"}").await;
    let told: Vec<_> = errors
        .iter()
        .map(|one| (one.labels["replica"].as_str(), one.value))
        .collect();
    assert_eq!(told, [("api-1", 7.5), ("api-2", 2.5)], "NaN is no value");
    assert_eq!(errors[0].labels["__name__"], "errors_percent");
    assert!((ask("max(errors_percent > 0)").await[0].value - 7.5).abs() < 1e-9);
    assert!((ask("6 * 7").await[0].value - 42.0).abs() < 1e-9);
    assert_eq!(ask("nobody_counts_this").await, []);
    let many = probe.samples("many", Timestamp::now()).await.unwrap();
    assert_eq!((many.list.len(), many.truncated), (100, true));

    // The same by its name in the registry, as a runbook asks.
    let terminal = Terminal::open(&server).await;
    let asked = json!({"query": "errors_percent"});
    let told = treasury_bot::bot::ask_probe(&terminal.bot, "prometheus.query", asked)
        .await
        .unwrap();
    assert_eq!(
        (&told["count"], &told["truncated"]),
        (&json!(2), &json!(false))
    );
    let first = &told["result"][0];
    assert_eq!(
        (&first["labels"]["replica"], &first["value"]),
        (&json!("api-1"), &json!(7.5))
    );
    let asked = json!({"query": "max(errors_percent > 0)"});
    let told = treasury_bot::bot::ask_probe(&terminal.bot, "prometheus.query", asked)
        .await
        .unwrap();
    assert_eq!(told["value"], json!(7.5), "the only value");
    let asked = json!({"query": "sum("});
    let Err(Fault::Refusal(refusal)) =
        treasury_bot::bot::ask_probe(&terminal.bot, "prometheus.query", asked).await
    else {
        panic!("a wrong query was answered");
    };
    let told = refusal.title.plain();
    assert!(told.contains("parse error"), "{told}");
    terminal.close().await;
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn a_wrong_query_is_told_in_the_words_of_prometheus() {
    let server = server().await;
    let mut terminal = Terminal::open(&server).await;
    let (tone, told) = terminal.told("graph api wrong").await;
    assert_eq!(tone, Tone::Warning, "the asker can mend it: {told}");
    assert!(
        told.contains("does not understand the query")
            && told.contains("unclosed left parenthesis"),
        "{told}"
    );
    let (_, told) = terminal.told("graph api untyped").await;
    assert!(told.contains("expected type range vector"), "{told}");
    terminal.close().await;
}

#[tokio::test]
#[ignore = "needs Prometheus"]
async fn a_prometheus_that_is_halted_or_gone_is_told() {
    let mut server = server().await;
    let mut terminal = Terminal::open(&server).await;
    let probe = probe(&server);
    server.freeze();
    let asked = Instant::now();
    let (tone, told) = terminal.told("graph api errors").await;
    assert_eq!(tone, Tone::Bad, "{told}");
    assert!(told.contains("did not answer within 2 s"), "{told}");
    assert!(asked.elapsed() < Duration::from_secs(6), "not bounded");
    server.kill();
    let (tone, told) = terminal.told("graph api errors").await;
    assert_eq!(tone, Tone::Bad, "{told}");
    assert!(
        told.contains("can't be reached") && told.contains(&server.url()),
        "{told}"
    );
    let error = probe.samples("up", Timestamp::now()).await.unwrap_err();
    assert_eq!(error.kind, ProbeErrorKind::Connect, "{error}");
    terminal.close().await;
}
