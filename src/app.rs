//! The composition root: builds the parts and hands them to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use secrecy::{ExposeSecret, SecretString};

use crate::bot::{self, Bot, COMMANDS, Catalogue, Library, Named, Settings};
use crate::config::{Config, Probed};
use crate::domain::ServiceName;
use crate::domain::service::{Charted, MetricsPage, PlatformKey};
use crate::notify::http::{HttpWay, WayConfig};
use crate::notify::{Sender, Smtp, SmtpConfig};
use crate::platform::Platform;
use crate::platform::docker::{Docker, Swarm};
use crate::platform::kubernetes::Kubernetes;
use crate::probe::alertmanager::Alertmanager;
use crate::probe::log_store::LogStore;
use crate::probe::postgres::Postgres;
use crate::probe::prometheus::{self, Prometheus};
use crate::probe::redis::Redis;
use crate::probe::web::{self as web_probe, Web};
use crate::probe::{self, Cache, Database, Http};
use crate::sandbox::stack::Stack;
use crate::slack::{self, Slack, SlackConfig};
use crate::store::{Store, Use};
use crate::telemetry::metrics;
use crate::web;

/// Everything the bot is built from.
pub struct Plan {
    /// `sqlite://…` or `postgres://…`
    pub store_url: String,
    /// The chat.
    pub slack: SlackConfig,
    /// Where Slack's requests, health and metrics are served.
    pub listen: SocketAddr,
    /// A listener of their own for health and metrics.
    pub health_listen: Option<SocketAddr>,
    /// What the bot goes by.
    pub settings: Settings,
    /// Where mail is handed over; without it none is sent.
    pub smtp: Option<SmtpConfig>,
    /// Ways to reach people by HTTP.
    pub ways: Vec<WayConfig>,
    /// What senders of alerts have to show; without it none is taken in.
    pub alerts_token: Option<SecretString>,
    /// Senders of alerts beside Alertmanager.
    pub sources: Vec<web::AlertSource>,
    /// Who may send which heartbeat.
    pub heartbeat_senders: Vec<web::HeartbeatSender>,
    /// The services and their platforms.
    pub catalogue: Catalogue,
    /// The runbooks.
    pub library: Library,
}

impl Plan {
    /// What the configuration asks for. Nothing is connected yet.
    pub fn from_config(config: Config) -> anyhow::Result<Self> {
        let platforms = platforms(&config)?;
        let databases = named(config.databases, |config| {
            Ok(Arc::new(Postgres::new(&config)?) as Arc<dyn Database>)
        })?;
        let caches = named(config.caches, |config| {
            Ok(Arc::new(Redis::new(config)?) as Arc<dyn Cache>)
        })?;
        let prometheus = config.prometheus.map(Prometheus::new);
        Ok(Self {
            store_url: config.store_url.expose_secret().to_owned(),
            slack: config.slack,
            listen: config.listen,
            health_listen: config.health_listen,
            settings: config.settings,
            smtp: config.smtp,
            ways: config.ways,
            alerts_token: config.alerts_token,
            sources: config.sources,
            heartbeat_senders: config.heartbeat_senders,
            catalogue: Catalogue::new(config.services, platforms)
                .with_probes(databases, caches)
                .with_web(Web::new(config.check)?, prometheus)
                .with_alertmanager(config.alertmanager.map(Alertmanager::new))
                .with_logs(config.logs.map(LogStore::new)),
            library: config.library,
        })
    }

    /// A bot beside a running one, and without one: on the same store, for one command. Slack is not
    /// spoken to.
    pub async fn visit(self) -> anyhow::Result<(Bot, Store)> {
        let store = Store::open(&self.store_url, Use::Visit).await?;
        let bot = Bot::new(
            &COMMANDS,
            store.clone(),
            self.settings,
            self.catalogue,
            self.library,
            Http::new(),
            CancellationToken::new(),
        );
        Ok((bot, store))
    }
}

/// A driver for each platform that a service is on. Nothing is asked of them yet: only what the
/// configuration, or its files, say of them can be wrong.
pub fn platforms(config: &Config) -> anyhow::Result<BTreeMap<PlatformKey, Arc<dyn Platform>>> {
    let known = &config.platforms;
    let keys = config.services.iter().map(|one| one.target.platform());
    let drivers = keys.collect::<BTreeSet<_>>().into_iter().map(|key| {
        let driver: Arc<dyn Platform> = match &key {
            PlatformKey::Docker(name) => Arc::new(Docker::with(known.engine(name.as_deref()))?),
            PlatformKey::Swarm(name) => Arc::new(Swarm::with(known.engine(name.as_deref()))?),
            PlatformKey::Kubernetes(name) => {
                Arc::new(Kubernetes::new(known.cluster(name.as_deref())))
            }
            PlatformKey::Simulated => anyhow::bail!("the simulated stack is not configured"),
        };
        Ok((key, driver))
    });
    drivers.collect()
}

/// The probes of databases or caches under their names.
fn named<C, P: ?Sized>(
    configured: Vec<Probed<C>>,
    open: impl Fn(C) -> anyhow::Result<Arc<P>>,
) -> anyhow::Result<Vec<Named<P>>> {
    let probes = configured.into_iter().map(|one| {
        Ok(Named {
            name: one.name,
            service: one.service,
            probe: open(one.config)?,
        })
    });
    probes.collect()
}

/// The simulated stack and all that can be asked of it; its pages where they are served, at an
/// address such as `http://127.0.0.1:8900`.
pub fn simulated(stack: &Stack, pages: Option<&str>) -> anyhow::Result<Catalogue> {
    let platform: Arc<dyn Platform> = Arc::new(stack.clone());
    let mut services = stack.services();
    let mut asked = web_probe::Config::default();
    let mut figures = None;
    if let Some(pages) = pages {
        asked
            .hosts
            .extend(pages.strip_prefix("http://").map(str::to_owned));
        figures = Some(Prometheus::new(prometheus::Config {
            url: format!("{pages}/stack/prometheus"),
            token: None,
            timeout: Duration::from_secs(5),
        }));
        for service in &mut services {
            let name = service.name.to_string();
            if name == "frontend" {
                let site = format!("{pages}/stack/site/");
                service.check = vec![site.clone(), site + "assets/app.js"];
            } else if name != "api" {
                continue;
            }
            service.metrics_page = Some(MetricsPage {
                url: format!("{pages}/stack/metrics"),
                counter: Some("treasury_http_requests_total".to_owned()),
                label: Some("code".to_owned()),
                only: [("service".to_owned(), name.clone())].into(),
            });
            let metric = |(metric, series): (&str, &str)| {
                let query = format!("treasury:{series}{{service=\"{name}\"}}");
                (metric.to_owned(), Charted { query, unit: None })
            };
            let errors = ("errors", "error_percent");
            let requests = ("requests", "requests_per_second");
            service.metrics = [errors, ("p95", "p95_ms"), requests].map(metric).into();
        }
    }
    let database: Arc<dyn Database> = Arc::new(stack.database());
    let cache: Arc<dyn Cache> = Arc::new(stack.cache());
    let catalogue = Catalogue::new(services, [(PlatformKey::Simulated, platform)])
        .with_probes(
            vec![of_service("postgres", database)?],
            vec![of_service("redis", cache)?],
        )
        .with_web(Web::new(asked)?, figures);
    Ok(catalogue)
}

/// A probe that is called as its service is.
fn of_service<P: ?Sized>(name: &str, probe: Arc<P>) -> anyhow::Result<Named<P>> {
    let name = ServiceName::parse(name)?;
    let service = name.clone();
    Ok(Named {
        name,
        service,
        probe,
    })
}

/// A running bot.
pub struct App {
    /// The bot itself.
    pub bot: Bot,
    /// Its store.
    pub store: Store,
    /// The address that is served.
    pub address: SocketAddr,
    shutdown: CancellationToken,
    slack: Arc<Slack>,
    /// What works for the bot, with its name.
    workers: Vec<(&'static str, JoinHandle<()>)>,
    servers: Vec<JoinHandle<()>>,
}

/// Whether Slack lets the bot in, and more of it for `/health/ready`.
fn door_details(health: &slack::Health) -> (bool, usize, Value) {
    let refused = health.refused.iter().map(|(what, one)| {
        json!({
            "what": what,
            "error": one.error,
            "needed": one.needed,
            "since": one.since.to_string(),
        })
    });
    let details = json!({
        "connected": health.connected,
        "sockets": health.sockets,
        "last_hello": health.last_hello.map(|at| at.to_string()),
        "last_error": health.last_error,
        "refused": refused.collect::<Vec<_>>(),
    });
    (health.connected, health.refused.len(), details)
}

impl App {
    /// Starts everything. Slack, the platforms and the services may be away; the store may not.
    pub async fn start(mut plan: Plan, shutdown: CancellationToken) -> anyhow::Result<Self> {
        metrics::begin(
            env!("CARGO_PKG_VERSION"),
            option_env!("TREASURY_BOT_COMMIT"),
        );
        let listener = TcpListener::bind(plan.listen)
            .await
            .with_context(|| format!("can't listen on {}: set [web] listen", plan.listen))?;
        let address = listener.local_addr()?;
        // A certificate authority that can't be read is told before anything runs.
        let mut senders: Vec<Arc<dyn Sender>> = Vec::new();
        if let Some(smtp) = plan.smtp {
            senders.push(Arc::new(Smtp::new(smtp)?));
        }
        for way in plan.ways {
            senders.push(Arc::new(HttpWay::new(way, probe::connector())));
        }
        let public_url = plan.settings.public_url.get_or_insert_with(|| {
            // Where no address is set, the one that is served will do: on this machine.
            format!("http://{address}")
        });
        let is_https = public_url.starts_with("https://");
        let store = Store::open(&plan.store_url, Use::Serve)
            .await
            .context("the store")?;
        senders.push(Arc::new(bot::DirectMessages(store.clone())));
        let bot = Bot::new(
            &COMMANDS,
            store.clone(),
            plan.settings,
            plan.catalogue,
            plan.library,
            Http::new(),
            shutdown.clone(),
        );
        bot::appear(&bot, true).await.context("the store")?;
        let (accepting, telling) = (bot.clone(), bot.clone());
        let slack = Arc::new(Slack::start(
            plan.slack,
            Arc::new(move |request| {
                let bot = accepting.clone();
                async move {
                    let accepted = bot::accept(&bot, request).await;
                    accepted.map_err(|error| error.to_string())
                }
                .boxed()
            }),
            Arc::new(move |refusal| {
                let bot = telling.clone();
                async move { bot::chat_refuses(&bot, refusal).await }.boxed()
            }),
            store.clone(),
            bot.instance(),
            shutdown.clone(),
        )?);
        let door = slack.clone();
        let health = web::health_router(web::Health {
            store: store.clone(),
            bot: bot.clone(),
            door: Arc::new(move || door_details(&door.health())),
        });
        let token = plan.alerts_token.as_ref();
        let heartbeats = web::heartbeats_router(bot.clone(), token, plan.heartbeat_senders);
        let mut router = slack
            .router()
            .merge(web::alerts_router(bot.clone(), token, plan.sources))
            .merge(heartbeats)
            .merge(web::pages_router(bot.clone(), is_https));
        let mut servers = Vec::new();
        match plan.health_listen {
            None => router = router.merge(health),
            Some(own) => {
                let listener = TcpListener::bind(own)
                    .await
                    .with_context(|| format!("can't listen on {own}: set [web] health_listen"))?;
                servers.push(tokio::spawn(web::serve(listener, health, shutdown.clone())));
            }
        }
        servers.push(tokio::spawn(web::serve(listener, router, shutdown.clone())));
        let working = bot.clone();
        let worker = tokio::spawn(async move {
            if let Err(error) = bot::run(&working).await {
                tracing::error!(%error, "the worker ended");
            }
        });
        let mut workers = vec![("worker", worker)];
        for sender in senders {
            workers.push(("delivery", tokio::spawn(bot::deliver(bot.clone(), sender))));
        }
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "treasury-bot serves");
        Ok(Self {
            bot,
            store,
            address,
            shutdown,
            slack,
            workers,
            servers,
        })
    }

    /// Ends everything in order: no new work, work under way to its end, then the store.
    pub async fn stop(self) {
        self.shutdown.cancel();
        for (task, handle) in self.workers {
            if let Err(error) = handle.await {
                tracing::error!(%error, task, "ended badly");
            }
        }
        self.slack.ended().await;
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a web server ended badly");
            }
        }
        if let Err(error) = bot::disappear(&self.bot).await {
            tracing::error!(%error, "what this process left is taken over only when it counts as dead");
        }
        self.store.close().await;
    }
}
