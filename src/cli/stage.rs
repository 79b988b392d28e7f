//! What a demo consists of: a local Slack, a simulated treasury stack and the bot.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Plan};
use crate::bot::{COMMANDS, Catalogue, Library};
use crate::config::Config;
use crate::domain::Person;
use crate::probe::web::{self, Web};
use crate::sandbox::page::{self, About, Alerts, BotFacts};
use crate::sandbox::slack::{Sandbox, SandboxConfig};
use crate::sandbox::stack::{self, Stack, StackConfig};
use crate::slack::Mode;

/// Where the demo's page is looked for; any free port is taken when this one is in use.
pub(super) const PORT: u16 = 8900;

/// What a sender of alerts proves itself with.
const ALERTS_TOKEN: &str = "demo";

/// What a demo's bot looks after.
pub(super) enum World {
    /// The simulated stack, so many times as fast as the clock.
    Simulated(f64),
    /// These services of the local Docker Engine.
    Docker(Catalogue),
    /// What this configuration file names.
    Configured(PathBuf),
}

/// Everything of a demo; ends with [`Demo::stop`].
pub(super) struct Demo {
    pub(super) sandbox: Sandbox,
    pub(super) stack: Stack,
    /// How alerts reach the bot.
    pub(super) alerts: Alerts,
    app: App,
    folder: PathBuf,
}

impl Demo {
    /// Starts the sandbox, the stack and the bot on a fresh folder. `second_person`: what a second
    /// person has to agree to.
    pub(super) async fn start(
        listen: SocketAddr,
        world: World,
        second_person: &[&str],
    ) -> anyhow::Result<Self> {
        let stack = Stack::start(StackConfig {
            speed: match world {
                World::Simulated(speed) => speed,
                _ => 1.0,
            },
            ..StackConfig::default()
        });
        let shown = matches!(world, World::Simulated(_)).then(|| stack.clone());
        let about = About::default();
        let sandbox = start_sandbox(listen, shown, &about).await?;
        let folder =
            std::env::temp_dir().join(format!("treasury-bot-demo-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
        let pages = format!("http://{}", sandbox.addr());
        let plan = match world {
            World::Simulated(_) => {
                let catalogue = crate::app::simulated(&stack, Some(&pages))?;
                plan(&sandbox, &folder, catalogue, second_person)?
            }
            World::Docker(catalogue) => {
                let web = Web::new(web::Config::default())?;
                plan(
                    &sandbox,
                    &folder,
                    catalogue.with_web(web, None),
                    second_person,
                )?
            }
            World::Configured(file) => configured(&sandbox, &file)?,
        };
        let service = plan.catalogue.services().last();
        let service = service.map(|one| one.name.to_string());
        let app = App::start(plan, CancellationToken::new()).await?;
        sandbox
            .wait_for_sockets(1, Duration::from_secs(10))
            .await
            .map_err(|_| anyhow::anyhow!("the bot did not connect to the sandbox within 10 s"))?;
        let alerts = alerts(&app, &service.unwrap_or_default());
        about.tell(BotFacts {
            commands: COMMANDS.reference(&sandbox.config().command),
            alerts: Some(alerts.clone()),
        });
        Ok(Self {
            sandbox,
            stack,
            alerts,
            app,
            folder,
        })
    }

    /// Where the bot serves its pages and takes alerts.
    pub(super) fn address(&self) -> SocketAddr {
        self.app.address
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

/// How an alert is sent to the bot from a terminal, as Alertmanager would send it.
fn alerts(app: &App, service: &str) -> Alerts {
    let body = serde_json::json!({"version": "4", "alerts": [{
        "status": "firing",
        "labels": {"alertname": "DiskFull", "service": service, "severity": "critical"},
        "annotations": {"summary": "The disk of the host is 97 % full"},
    }]});
    let address = app.address;
    Alerts {
        token: ALERTS_TOKEN.to_owned(),
        line: format!(
            "curl -H 'Authorization: Bearer {ALERTS_TOKEN}' -d '{body}' \\\n  \
             http://{address}/alerts/alertmanager"
        ),
    }
}

/// What the bot of a demo is built from: a configuration, and the services.
fn plan(
    sandbox: &Sandbox,
    folder: &Path,
    catalogue: Catalogue,
    second_person: &[&str],
) -> anyhow::Result<Plan> {
    let store = format!("sqlite://{}", folder.join("treasury-bot.db").display());
    let text = format!(
        r#"
slack.api_url = {api:?}
store.url = {store:?}
web.listen = "127.0.0.1:0"
policy.second_person = {second_person:?}
watch = {{ every = "5s", lasting = "10s" }}
[access]
viewers = ["*"]
responders = ["U0ANA00001"]
commanders = ["U0BEN00001"]
"#,
        api = sandbox.api_url(),
    );
    let config = Config::parse(&text, "demo.toml", &secrets(sandbox))?;
    let mut plan = Plan {
        catalogue,
        library: Library::open(COMMANDS.callables(), None, None)?,
        ..Plan::from_config(config)?
    };
    // The address is known once it is served.
    plan.settings.public_url = None;
    for name in ["ana", "ben"] {
        let person = sandbox.people().iter().find(|person| person.name == name);
        plan.settings
            .alerts
            .on_call
            .extend(person.map(|person| Person {
                id: person.id.clone(),
                name: person.name.clone(),
            }));
    }
    Ok(plan)
}

/// What a bot of this file is built from, with the sandbox for its Slack.
fn configured(sandbox: &Sandbox, file: &Path) -> anyhow::Result<Plan> {
    let ours = secrets(sandbox);
    let mut config = Config::load(file, &|name| {
        ours(name).or_else(|| std::env::var(name).ok())
    })?;
    config.slack.api_url = Some(sandbox.api_url().parse()?);
    config.slack.mode = Mode::Socket;
    Plan::from_config(config)
}

fn secrets(sandbox: &Sandbox) -> impl Fn(&str) -> Option<String> {
    |name| match name {
        "TREASURY_BOT_SLACK_BOT_TOKEN" => Some(sandbox.bot_token().to_owned()),
        "TREASURY_BOT_SLACK_APP_TOKEN" => Some(sandbox.app_token().to_owned()),
        "TREASURY_BOT_ALERTS_TOKEN" => Some(ALERTS_TOKEN.to_owned()),
        _ => None,
    }
}

async fn start_sandbox(
    listen: SocketAddr,
    stack: Option<Stack>,
    about: &About,
) -> anyhow::Result<Sandbox> {
    let config = |port| SandboxConfig {
        listen: SocketAddr::new(listen.ip(), port),
        ..SandboxConfig::default()
    };
    let port = listen.port();
    let pages = |sandbox: &Sandbox| match &stack {
        Some(stack) => page::router(sandbox, about).merge(stack::router(stack.clone())),
        None => page::router(sandbox, about),
    };
    match Sandbox::start_with(config(port), pages).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && port == PORT => {
            Ok(Sandbox::start_with(config(0), pages).await?)
        }
        result => result.with_context(|| format!("the page can't be served on port {port}")),
    }
}
