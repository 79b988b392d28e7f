//! Those beside the bot: databases, caches, web addresses, Prometheus, Alertmanager, mail.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::Fault;

/// A service's page.
pub struct Page {
    pub address: SocketAddr,
}

impl Page {
    pub async fn start() -> Self {
        let router = Router::new()
            .route("/health", get(|| async { "ok" }))
            .route("/health/live", get(|| async { "somebody else" }))
            .route(
                "/broken",
                get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
            )
            .route(
                "/metrics",
                get(|| async { "http_requests_total{code=\"200\"} 1\n" }),
            )
            .route(
                "/shop",
                get(|| async { "shop_answers_total{outcome=\"200\"} 1\n" }),
            );
        let router = router.route("/loki/api/v1/query_range", get(loki));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Loki cannot be had here: it is played, in the shape of its documentation. It has a line of each
/// service by the label `app`.
async fn loki(Query(pairs): Query<Vec<(String, String)>>) -> axum::Json<serde_json::Value> {
    let now = jiff::Timestamp::now().as_nanosecond().to_string();
    let asked = pairs.iter().any(|(_, value)| value.contains("app=\""));
    let streams = if asked {
        json!([{"stream": {"container": "web-1"}, "values": [[now, "a line"]]}])
    } else {
        json!([])
    };
    axum::Json(json!({"status": "success", "data": {"resultType": "streams", "result": streams}}))
}

/// Servers with TLS, by their ports.
pub struct Tls {
    /// The file with the authority that vouches for all of them.
    pub authority: PathBuf,
    /// Good for a year.
    pub good: u16,
    /// Good for five days.
    pub soon: u16,
    /// Of an authority that nobody knows.
    pub unknown: u16,
}

impl Tls {
    pub async fn start(folder: &Path) -> Self {
        let (root, issuer) = authority("Doctors");
        let (_, stranger) = authority("Strangers");
        let file = folder.join("authority.pem");
        std::fs::write(&file, root).unwrap();
        Self {
            authority: file,
            good: serve(&issuer, 365).await,
            soon: serve(&issuer, 5).await,
            unknown: serve(&stranger, 365).await,
        }
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, name);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = root.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(root, key))
}

/// Answers everybody with 200, and a certificate that is good for so many days.
async fn serve(issuer: &Issuer<'static, KeyPair>, days: u64) -> u16 {
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = jiff::Timestamp::now().as_second().cast_unsigned();
    let at = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    leaf.not_before = at(now - 3_600);
    leaf.not_after = at(now + days * 86_400 + 1_800);
    let key = KeyPair::generate().unwrap();
    let certificate = leaf.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Whoever only looks at the certificate hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = [0; 4_096];
                if stream
                    .read(&mut request)
                    .await
                    .is_ok_and(|length| length > 0)
                {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                    stream.write_all(answer).await.ok();
                    stream.shutdown().await.ok();
                }
            });
        }
    });
    port
}

fn user(name: &str) -> String {
    format!("postgres://{name}@")
}

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "nobody listens at the database's port",
        only: "databases",
        plant: |world, case| {
            case.edit(&format!("{}/postgres", world.postgres.port()), "1/postgres");
        },
        id: "databases.server",
        state: "failed",
        found: "refuses the connection",
        mend: "is it running",
    },
    Fault {
        name: "the database's password is wrong",
        only: "databases",
        plant: |_, case| {
            case.edit(&user("doctor"), &user("guarded"));
            case.set("TREASURY_BOT_DATABASE_PASSWORD", "hunter2");
        },
        id: "databases.server",
        state: "failed",
        found: "does not let the user \"guarded\" in",
        mend: "check the password",
    },
    Fault {
        name: "there is no database of this name",
        only: "databases",
        plant: |world, case| {
            let port = world.postgres.port();
            case.edit(&format!("{port}/postgres"), &format!("{port}/tresaury"));
        },
        id: "databases.server",
        state: "failed",
        found: "\"tresaury\" does not exist",
        mend: "correct the database's name",
    },
    Fault {
        name: "the bot's user lacks pg_monitor",
        only: "databases",
        plant: |_, case| case.edit(&user("doctor"), &user("blind")),
        id: "databases.monitor",
        state: "warning",
        found: "blind does not see",
        mend: "GRANT pg_monitor TO blind",
    },
    Fault {
        name: "the bot's user lacks pg_signal_backend",
        only: "databases",
        plant: |_, case| case.edit(&user("doctor"), &user("meek")),
        id: "databases.signal",
        state: "warning",
        found: "db terminate will fail",
        mend: "GRANT pg_signal_backend TO meek",
    },
    Fault {
        name: "a database without pg_stat_statements",
        only: "databases",
        plant: |world, case| {
            let port = world.postgres.port();
            case.edit(&format!("{port}/postgres"), &format!("{port}/bare"));
        },
        id: "databases.statements",
        state: "warning",
        found: "only what runs at the moment",
        mend: "CREATE EXTENSION pg_stat_statements",
    },
    Fault {
        name: "nobody listens at the cache's port",
        only: "caches",
        plant: |world, case| case.edit(&world.redis.address(), "127.0.0.1:1"),
        id: "caches.server",
        state: "failed",
        found: "refuses the connection",
        mend: "is it running",
    },
    Fault {
        name: "the cache's password is wrong",
        only: "caches",
        plant: |_, case| case.set("TREASURY_BOT_CACHE_PASSWORD", "hunter2"),
        id: "caches.server",
        state: "failed",
        found: "does not let the user \"doctor\" in",
        mend: "check the password",
    },
    Fault {
        name: "the cache refuses SLOWLOG",
        only: "caches",
        plant: |_, case| case.edit("redis://doctor@", "redis://deaf@"),
        id: "caches.rights",
        state: "warning",
        found: "it refuses SLOWLOG GET",
        mend: "ACL SETUSER deaf",
    },
    Fault {
        name: "the cache refuses CLIENT KILL",
        only: "caches",
        plant: |_, case| case.edit("redis://doctor@", "redis://meek@"),
        id: "caches.rights",
        state: "warning",
        found: "CLIENT KILL",
        mend: "+client|kill",
    },
    Fault {
        name: "the cache hangs",
        only: "caches,databases",
        plant: |world, case| {
            world.redis.signal("-STOP");
            world.after(|world| world.redis.signal("-CONT"));
            case.timeout = "1s";
        },
        id: "caches.server",
        state: "failed",
        found: "no answer within 1s",
        mend: "is the server running",
    },
    Fault {
        name: "the health address answers 500",
        only: "web",
        plant: |_, case| case.edit("/health\"", "/broken\""),
        id: "web.health",
        state: "failed",
        found: "answered 500",
        mend: "correct `health`",
    },
    Fault {
        name: "nobody answers where `check` looks",
        only: "web",
        plant: |world, case| {
            let good = world.tls.good;
            case.edit(
                &format!("check = [\"https://localhost:{good}/\"]"),
                "check = [\"http://127.0.0.1:1/\"]",
            );
        },
        id: "web.check",
        state: "failed",
        found: "nobody listens there",
        mend: "correct `check`",
    },
    Fault {
        name: "the page of metrics moved",
        only: "web",
        plant: |_, case| case.edit("/metrics\"", "/metricsz\""),
        id: "web.metrics",
        state: "failed",
        found: "answered 404",
        mend: "correct `metrics_page`",
    },
    Fault {
        name: "the page of metrics counts under another name",
        only: "web",
        plant: |_, case| case.edit("/metrics\"", "/shop\""),
        id: "web.metrics",
        state: "failed",
        found: "holds no counter of requests by status that is known, but one metric: shop_answers_total",
        mend: "counter = \"shop_answers_total\", label = \"outcome\"",
    },
    Fault {
        name: "something else has the bot's port",
        only: "web",
        plant: |world, case| {
            let own = format!("listen = \"127.0.0.1:{}\"", world.port);
            case.edit(&own, &format!("listen = \"{}\"", world.page.address));
        },
        id: "web.listen",
        state: "failed",
        found: "something else serves there",
        mend: "choose another port",
    },
    Fault {
        name: "the public address leads to another server",
        only: "web",
        plant: |world, case| {
            let own = format!("public_url = \"http://127.0.0.1:{}\"", world.port);
            case.edit(&own, &format!("public_url = \"{}\"", world.page.url()));
        },
        id: "web.public-url",
        state: "failed",
        found: "something else answers there",
        mend: "correct `public_url`",
    },
    Fault {
        name: "Prometheus is away",
        only: "prometheus",
        plant: |world, case| case.edit(&world.prometheus.url(), "http://127.0.0.1:1"),
        id: "prometheus.server",
        state: "failed",
        found: "can't be reached",
        mend: "is it running",
    },
    Fault {
        name: "the address of Prometheus is that of another server",
        only: "prometheus",
        plant: |world, case| case.edit(&world.prometheus.url(), &world.page.url()),
        id: "prometheus.server",
        state: "failed",
        found: "answered 404",
        mend: "really Prometheus'",
    },
    Fault {
        name: "a metric is misspelt",
        only: "prometheus",
        plant: |_, case| case.edit("up = \"up\"", "up = \"upp\""),
        id: "prometheus.metric",
        state: "warning",
        found: "there is no value now: upp",
        mend: "correct the query",
    },
    Fault {
        name: "Prometheus sends alerts nowhere",
        only: "prometheus",
        plant: |world, case| case.edit(&world.prometheus.url(), &world.lonely.url()),
        id: "prometheus.alertmanager",
        state: "warning",
        found: "to no Alertmanager",
        mend: "alertmanagers:",
    },
    Fault {
        name: "the log store is away",
        only: "logs",
        plant: |world, case| {
            let own = format!("kind = \"loki\"\nurl = \"{}\"", world.page.url());
            case.edit(&own, "kind = \"loki\"\nurl = \"http://127.0.0.1:1\"");
        },
        id: "logs.server",
        state: "failed",
        found: "can't be reached",
        mend: "is it running",
    },
    Fault {
        name: "the label that names the service is another one",
        only: "logs",
        plant: |_, case| case.edit("field = \"app\"", "field = \"service_name\""),
        id: "logs.service",
        state: "warning",
        found: "no line of the last day where service_name is frontend",
        mend: "correct `field` or `names`",
    },
];
