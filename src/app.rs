//! The composition root: builds the parts and hands them to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use secrecy::{ExposeSecret, SecretString};

use crate::bot::{Access, AlertSettings, Bot, Catalogue, Library, MailSettings, Named, Settings};
use crate::config::{
    ClusterSection, Config, EmailSection, EmailSecurity, EngineSection, SlackMode,
};
use crate::domain::alert::Routes;
use crate::domain::service::{MetricsPage, Patience, PlatformKey};
use crate::domain::{Person, ServiceName};
use crate::notify::{Security, Smtp, SmtpConfig};
use crate::platform::Platform;
use crate::platform::docker::{Docker, EngineConfig, Identity, Tls};
use crate::platform::kubernetes::{self, Kubernetes};
use crate::probe::alertmanager::{self, Alertmanager};
use crate::probe::postgres::{self, Postgres};
use crate::probe::prometheus::{self, Prometheus};
use crate::probe::redis::{self, Redis};
use crate::probe::web::{self as web_probe, Web};
use crate::probe::{Cache, Database, Http};
use crate::sandbox::stack::Stack;
use crate::slack::{Mode, Slack, SlackConfig};
use crate::store::{Store, Use};
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
    /// What senders of alerts have to show; without it none is taken in.
    pub alerts_token: Option<SecretString>,
    /// Senders of alerts beside Alertmanager.
    pub sources: Vec<web::AlertSource>,
    /// The services and their platforms.
    pub catalogue: Catalogue,
    /// The runbooks.
    pub library: Library,
}

impl Plan {
    /// What the configuration asks for. Nothing is connected yet.
    pub fn from_config(config: &Config) -> anyhow::Result<Self> {
        let slack = &config.slack;
        let access = &config.access;
        let policy = &config.policy;
        let groups = [&access.viewers, &access.responders, &access.commanders]
            .into_iter()
            .flatten()
            .filter(|item| item.starts_with('S'))
            .cloned()
            .collect();
        Ok(Self {
            store_url: config.store_url.expose_secret().to_owned(),
            slack: SlackConfig {
                mode: match slack.mode {
                    SlackMode::Socket => Mode::Socket,
                    SlackMode::Http => Mode::Http,
                },
                api_url: slack.api_url.clone(),
                bot_token: slack.bot_token.clone(),
                app_token: slack.app_token.clone(),
                signing_secret: slack.signing_secret.clone(),
                channel: slack.channel.clone(),
                command: slack.command.clone(),
                groups,
            },
            listen: config.web.listen,
            smtp: config.email.as_ref().map(smtp),
            alerts_token: config.alerts.token.clone(),
            sources: sources(config),
            health_listen: config.web.health_listen,
            settings: Settings {
                command: slack.command.clone(),
                access: Access {
                    viewers: access.viewers.clone(),
                    responders: access.responders.clone(),
                    commanders: access.commanders.clone(),
                },
                confirm: policy.confirm.clone(),
                second_person: policy.second_person.clone(),
                confirm_within: policy.confirm_within,
                patience: Patience {
                    stop: policy.stop_grace,
                    healthy: policy.healthy_within,
                },
                hold: config.runbooks.hold,
                alerts: alerts(config),
                mail: config.email.as_ref().map(|email| MailSettings {
                    people: config
                        .people
                        .iter()
                        .map(|person| (person.id.clone(), person.mailbox.clone()))
                        .collect(),
                    stakeholders: email.stakeholders.clone(),
                    from_severity: email.from_severity,
                }),
                incident_channels: slack.incident_channels,
                public_url: Some(config.web.public_url()),
            },
            library: Library::open(
                config.runbooks.folder.as_deref(),
                Some(config.services.iter().map(|s| s.name.to_string()).collect()),
            )?,
            catalogue: Catalogue::new(config.services.clone(), platforms(config)?)
                .with_probes(databases(config)?, caches(config)?)
                .with_web(web_probe(config)?, prometheus(config))
                .with_alertmanager(alertmanager(config)),
        })
    }
}

/// A driver for each platform that a service is on. Nothing is asked of them yet: only what the
/// configuration, or its files, say of them can be wrong.
pub fn platforms(config: &Config) -> anyhow::Result<BTreeMap<PlatformKey, Arc<dyn Platform>>> {
    let keys = config.services.iter().map(|one| one.target.platform());
    let drivers = keys.collect::<BTreeSet<_>>().into_iter().map(|key| {
        let driver: Arc<dyn Platform> = match &key {
            PlatformKey::Docker(name) => Arc::new(Docker::with(engine(config, name.as_deref()))?),
            PlatformKey::Kubernetes(name) => {
                Arc::new(Kubernetes::new(cluster(config, name.as_deref())))
            }
            PlatformKey::Simulated => anyhow::bail!("the simulated stack is not configured"),
        };
        Ok((key, driver))
    });
    drivers.collect()
}

/// What `[docker]`, or the `[[engine]]` of this name, says.
fn engine(config: &Config, name: Option<&str>) -> EngineConfig {
    let section = name.map_or(Some(&config.docker), |name| {
        let named = |one: &&EngineSection| one.name.as_deref() == Some(name);
        config.engines.iter().find(named)
    });
    let section = section.cloned().unwrap_or_default();
    EngineConfig {
        name: section.name,
        host: section.host,
        tls: Tls {
            ca: section.ca,
            identity: section
                .identity
                .map(|(certificate, key)| Identity { certificate, key }),
        },
    }
}

/// What `[[cluster]]` says of the one of this name.
fn cluster(config: &Config, name: Option<&str>) -> kubernetes::Config {
    let section = config.clusters.iter().find(|one| Some(&*one.name) == name);
    let Some(section) = section else {
        return kubernetes::Config {
            server: kubernetes::Server::Infer,
            timeout: ClusterSection::TIMEOUT,
        };
    };
    let server = match (&section.kubeconfig, &section.context) {
        (None, None) => kubernetes::Server::Infer,
        (path, context) => kubernetes::Server::Kubeconfig {
            path: path.clone(),
            context: context.clone(),
        },
    };
    kubernetes::Config {
        server,
        timeout: section.timeout,
    }
}

/// What `[email]` says of the server.
fn smtp(email: &EmailSection) -> SmtpConfig {
    SmtpConfig {
        host: email.host.clone(),
        port: email.port,
        security: match email.security {
            EmailSecurity::StartTls => Security::StartTls,
            EmailSecurity::Tls => Security::Tls,
            EmailSecurity::None => Security::Plain,
        },
        login: email.login.clone(),
        from: email.from.clone(),
        reply_to: email.reply_to.clone(),
        extra_roots_pem: email.extra_roots_pem.clone(),
        timeout: email.timeout,
    }
}

/// What `[alerts]` and `[[route]]` say.
fn alerts(config: &Config) -> AlertSettings {
    let section = &config.alerts;
    AlertSettings {
        routes: Routes {
            routes: config.routes.clone(),
            auto: section.auto,
        },
        declare_from: section.declare_from,
        ack_within: section.ack_within,
        follow_up: section.follow_up,
        quiet: section.quiet,
        watch: config.watch,
        resolves: section.resolves,
        silence_check: AlertSettings::default().silence_check,
        damping: section.damping,
        rotations: config.rotations.clone(),
        on_call: section
            .on_call
            .iter()
            .map(|id| Person {
                id: id.clone(),
                name: id.clone(),
            })
            .collect(),
    }
}

/// The simulated stack and all that can be asked of it; its pages where they are served, at an
/// address such as `http://127.0.0.1:8900`.
pub fn simulated(stack: &Stack, pages: Option<&str>) -> anyhow::Result<Catalogue> {
    let platform: Arc<dyn Platform> = Arc::new(stack.clone());
    let mut services = stack.services();
    let mut asked = web_probe::Config::default();
    let mut figures = None;
    if let Some(pages) = pages {
        let url = url::Url::parse(pages)?;
        asked.hosts.extend(
            url.host_str()
                .zip(url.port())
                .map(|(host, port)| format!("{host}:{port}")),
        );
        figures = Some(Prometheus::new(prometheus::Config {
            url: format!("{pages}/stack/prometheus"),
            token: None,
            timeout: Duration::from_secs(5),
        }));
        for service in &mut services {
            let name = service.name.clone();
            match name.as_str() {
                "frontend" => {
                    service.check = vec![
                        format!("{pages}/stack/site/"),
                        format!("{pages}/stack/site/assets/app.js"),
                    ];
                }
                "api" => {}
                _ => continue,
            }
            service.metrics_page = Some(MetricsPage {
                url: format!("{pages}/stack/metrics"),
                counter: Some("treasury_http_requests_total".to_owned()),
                label: Some("code".to_owned()),
                only: [("service".to_owned(), name.to_string())].into(),
            });
            service.metrics = [
                ("errors", "error_percent"),
                ("p95", "p95_ms"),
                ("requests", "requests_per_second"),
            ]
            .map(|(metric, series)| {
                let query = format!("treasury:{series}{{service=\"{name}\"}}");
                (metric.to_owned(), query)
            })
            .into();
        }
    }
    let named = |name: &str| ServiceName::parse(name);
    let database: Arc<dyn Database> = Arc::new(stack.database());
    let cache: Arc<dyn Cache> = Arc::new(stack.cache());
    Ok(
        Catalogue::new(services, [(PlatformKey::Simulated, platform)])
            .with_probes(
                vec![Named {
                    name: named("postgres")?,
                    service: named("postgres")?,
                    probe: database,
                }],
                vec![Named {
                    name: named("redis")?,
                    service: named("redis")?,
                    probe: cache,
                }],
            )
            .with_web(Web::new(asked)?, figures),
    )
}

/// Who asks web addresses: those of the configured services always, public ones, and the private
/// ones that are listed.
fn web_probe(config: &Config) -> anyhow::Result<Web> {
    let addresses = config.services.iter().flat_map(|service| &service.check);
    let own = addresses.filter_map(|address| {
        let url = url::Url::parse(address).ok()?;
        Some(format!(
            "{}:{}",
            url.host_str()?,
            url.port_or_known_default()?
        ))
    });
    Ok(Web::new(web_probe::Config {
        timeout: config.check.timeout,
        extra_roots_pem: config.check.extra_roots_pem.clone(),
        hosts: own.chain(config.check.hosts.iter().cloned()).collect(),
    })?)
}

/// What `[[source]]` says.
fn sources(config: &Config) -> Vec<web::AlertSource> {
    let source = |section: &crate::config::SourceSection| web::AlertSource {
        name: section.name.clone(),
        token: section.token.clone(),
        mapping: section.mapping.clone(),
    };
    config.sources.iter().map(source).collect()
}

fn alertmanager(config: &Config) -> Option<Alertmanager> {
    let section = config.alertmanager.as_ref()?;
    Some(Alertmanager::new(alertmanager::Config {
        url: section.url.clone(),
        token: section.token.clone(),
        login: section.login.clone(),
        timeout: section.timeout,
    }))
}

fn prometheus(config: &Config) -> Option<Prometheus> {
    let section = config.prometheus.as_ref()?;
    Some(Prometheus::new(prometheus::Config {
        url: section.url.clone(),
        token: section.token.clone(),
        timeout: section.timeout,
    }))
}

fn databases(config: &Config) -> anyhow::Result<Vec<Named<dyn Database>>> {
    let databases = config.databases.iter().map(|section| {
        let probe = Postgres::new(&postgres::Config {
            name: section.name.to_string(),
            url: section.url.clone(),
            timeout: section.timeout,
        })?;
        Ok(Named {
            name: section.name.clone(),
            service: section.service.clone().unwrap_or(section.name.clone()),
            probe: Arc::new(probe) as Arc<dyn Database>,
        })
    });
    databases.collect()
}

fn caches(config: &Config) -> anyhow::Result<Vec<Named<dyn Cache>>> {
    let caches = config.caches.iter().map(|section| {
        let probe = Redis::new(redis::Config {
            name: section.name.to_string(),
            url: section.url.clone(),
            password: section.password.clone(),
            sentinel_master: section.sentinel_master.clone(),
            timeout: section.timeout,
        })?;
        Ok(Named {
            name: section.name.clone(),
            service: section.service.clone().unwrap_or(section.name.clone()),
            probe: Arc::new(probe) as Arc<dyn Cache>,
        })
    });
    caches.collect()
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
    worker: JoinHandle<()>,
    post: Option<JoinHandle<()>>,
    servers: Vec<JoinHandle<()>>,
}

impl App {
    /// Starts everything. Slack, the platforms and the services may be away; the store may not.
    pub async fn start(mut plan: Plan, shutdown: CancellationToken) -> anyhow::Result<Self> {
        web::recorder();
        let listener = TcpListener::bind(plan.listen)
            .await
            .with_context(|| format!("can't listen on {}: set [web] listen", plan.listen))?;
        let address = listener.local_addr()?;
        // A certificate authority that can't be read is told before anything runs.
        let smtp = plan.smtp.map(Smtp::new).transpose()?;
        let public_url = plan.settings.public_url.get_or_insert_with(|| {
            // Where no address is set, the one that is served will do: on this machine.
            format!("http://{address}")
        });
        let is_https = public_url.starts_with("https://");
        let store = Store::open(&plan.store_url, Use::Serve)
            .await
            .context("the store")?;
        let bot = Bot::new(
            store.clone(),
            plan.settings,
            plan.catalogue,
            plan.library,
            Http::new(),
            shutdown.clone(),
        );
        let accepting = bot.clone();
        let slack = Arc::new(Slack::start(
            plan.slack,
            Arc::new(move |request| {
                let bot = accepting.clone();
                async move {
                    crate::bot::accept(&bot, request)
                        .await
                        .map_err(|error| error.to_string())
                }
                .boxed()
            }),
            store.clone(),
            shutdown.clone(),
        )?);
        let door = slack.clone();
        let health = web::health_router(web::Health {
            store: store.clone(),
            bot: bot.clone(),
            door: Arc::new(move || {
                let health = door.health();
                let details = json!({
                    "sockets": health.connected,
                    "last_hello": health.last_hello.map(|at| at.to_string()),
                    "last_error": health.last_error,
                });
                (health.ready, details)
            }),
        });
        let token = plan.alerts_token.as_ref();
        let mut router = slack
            .router()
            .merge(web::alerts_router(bot.clone(), token, plan.sources))
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
            if let Err(error) = crate::bot::run(&working).await {
                tracing::error!(%error, "the worker ended");
            }
        });
        let post = smtp.map(|smtp| tokio::spawn(crate::bot::keep_mailing(bot.clone(), smtp)));
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "treasury-bot serves");
        Ok(Self {
            bot,
            store,
            address,
            shutdown,
            slack,
            worker,
            post,
            servers,
        })
    }

    /// Ends everything in order: no new work, work under way to its end, then the store.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if let Err(error) = self.worker.await {
            tracing::error!(%error, "the worker ended badly");
        }
        if let Some(post) = self.post
            && let Err(error) = post.await
        {
            tracing::error!(%error, "the post ended badly");
        }
        self.slack.ended().await;
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a web server ended badly");
            }
        }
        self.store.close().await;
    }
}
