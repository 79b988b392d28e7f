//! `treasury-bot demo`: the main job on embedded defaults, in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use secrecy::SecretString;

use super::tour;
use crate::app::{App, Plan};
use crate::bot::{Access, COMMANDS, Catalogue, Library, Settings};
use crate::domain::Person;
use crate::domain::service::{Patience, PlatformKey};
use crate::platform::Platform;
use crate::platform::docker::Docker;
use crate::probe::web::{self, Web};
use crate::sandbox::page;
use crate::sandbox::slack::{Sandbox, SandboxConfig};
use crate::sandbox::stack::{self, Stack, StackConfig};
use crate::slack::{Mode, SlackConfig};

/// Where the demo's page is looked for; any free port is taken when this one is in use.
const PORT: u16 = 8900;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Play a whole incident in this terminal and exit: 0 if every step went as it should
    #[arg(long)]
    tour: bool,
    /// Use the Compose services of the local Docker Engine instead of the simulated stack
    #[arg(long, conflicts_with = "tour")]
    docker: bool,
    /// The page's port on 127.0.0.1
    #[arg(long, default_value_t = PORT)]
    port: u16,
}

/// Everything of a demo; ends with [`Demo::stop`].
pub(super) struct Demo {
    pub(super) sandbox: Sandbox,
    pub(super) stack: Stack,
    app: App,
    folder: PathBuf,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    super::log("warn", false);
    if options.tour {
        let demo = Demo::start(0, tour::SPEED, None).await?;
        let result = tour::play(&demo).await;
        demo.stop().await;
        return result;
    }
    let docker = if options.docker {
        Some(docker_catalogue().await?)
    } else {
        None
    };
    let simulated = docker.is_none();
    let demo = Demo::start(options.port, 1.0, docker).await?;
    println!("treasury-bot demo: open {}\n", demo.sandbox.page_url());
    println!("  Type /treasury help, or only /treasury, in #treasury-incidents.");
    if simulated {
        println!("  Put a fault into the simulated stack with the panel on the right.");
    } else {
        println!("  The services are those of your local Docker Engine: restart is real.");
    }
    println!("  /treasury page gives you a link to the incident pages.");
    println!("  You are ana, the on-call engineer; chloe may only look. Ctrl-C ends it.");
    super::asked_to_end().await;
    demo.stop().await;
    Ok(ExitCode::SUCCESS)
}

impl Demo {
    /// Starts the sandbox, the stack and the bot on a fresh folder.
    pub(super) async fn start(
        port: u16,
        speed: f64,
        docker: Option<Catalogue>,
    ) -> anyhow::Result<Self> {
        let stack = Stack::start(StackConfig {
            speed,
            ..StackConfig::default()
        });
        let shown = docker.is_none().then(|| stack.clone());
        let sandbox = start_sandbox(port, shown).await?;
        let folder =
            std::env::temp_dir().join(format!("treasury-bot-demo-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
        let pages = format!("http://{}", sandbox.addr());
        let catalogue = match docker {
            Some(catalogue) => catalogue.with_web(Web::new(web::Config::default())?, None),
            None => crate::app::simulated(&stack, Some(&pages))?,
        };
        let app = App::start(
            Plan {
                store_url: format!("sqlite://{}", folder.join("treasury-bot.db").display()),
                slack: SlackConfig {
                    mode: Mode::Socket,
                    api_url: Some(sandbox.api_url().parse().context("the sandbox's address")?),
                    bot_token: SecretString::from(sandbox.bot_token()),
                    app_token: Some(SecretString::from(sandbox.app_token())),
                    signing_secret: None,
                    channel: "#treasury-incidents".into(),
                    command: "/treasury".into(),
                    groups: Vec::new(),
                },
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                health_listen: None,
                smtp: None,
                alerts_token: Some(SecretString::from("demo")),
                sources: Vec::new(),
                settings: Settings {
                    command: "/treasury".into(),
                    access: Access {
                        viewers: vec!["*".into()],
                        responders: vec!["U0ANA00001".into()],
                        commanders: vec!["U0BEN00001".into()],
                    },
                    confirm: crate::domain::Guarded::all(),
                    second_person: std::collections::BTreeSet::new(),
                    confirm_within: Duration::from_secs(300),
                    patience: Patience::default(),
                    hold: Duration::from_secs(900),
                    alerts: crate::bot::AlertSettings {
                        watch: Some(crate::domain::alert::WatchSettings {
                            every: Duration::from_secs(5),
                            lasting: Duration::from_secs(10),
                            ..crate::domain::alert::WatchSettings::default()
                        }),
                        on_call: ["ana", "ben"]
                            .iter()
                            .filter_map(|name| sandbox.people().iter().find(|p| p.name == *name))
                            .map(|person| Person {
                                id: person.id.clone(),
                                name: person.name.clone(),
                            })
                            .collect(),
                        ..crate::bot::AlertSettings::default()
                    },
                    mail: None,
                    incident_channels: true,
                    public_url: None,
                },
                catalogue,
                library: Library::open(&COMMANDS, None, None)?,
            },
            tokio_util::sync::CancellationToken::new(),
        )
        .await?;
        sandbox
            .wait_for_sockets(1, Duration::from_secs(10))
            .await
            .map_err(|_| anyhow::anyhow!("the bot did not connect to the sandbox within 10 s"))?;
        Ok(Self {
            sandbox,
            stack,
            app,
            folder,
        })
    }

    /// Ends everything and removes the folder.
    pub(super) async fn stop(self) {
        self.app.stop().await;
        self.sandbox.stop();
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "left behind");
        }
    }
}

async fn start_sandbox(port: u16, stack: Option<Stack>) -> anyhow::Result<Sandbox> {
    let config = |port| SandboxConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        ..SandboxConfig::default()
    };
    let pages = |sandbox: &Sandbox| match &stack {
        Some(stack) => page::router(sandbox).merge(stack::router(stack.clone())),
        None => page::router(sandbox),
    };
    match Sandbox::start_with(config(port), pages).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && port == PORT => {
            Ok(Sandbox::start_with(config(0), pages).await?)
        }
        result => result.with_context(|| format!("the page can't be served on port {port}")),
    }
}

async fn docker_catalogue() -> anyhow::Result<Catalogue> {
    let docker = Docker::new(None)?;
    let services = docker.discover().await?;
    anyhow::ensure!(
        !services.is_empty(),
        "the local Docker Engine has no Compose services: start some, or leave --docker out"
    );
    Ok(Catalogue::new(
        services,
        [(
            PlatformKey::Docker(None),
            Arc::new(docker) as Arc<dyn Platform>,
        )],
    ))
}
