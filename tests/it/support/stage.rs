//! A stage for stories: the sandbox Slack, the simulated stack, the bot, and people.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use treasury_bot::app::{App, Plan, simulated};
use treasury_bot::bot::{
    Access, AlertSettings, COMMANDS, Catalogue, Library, Named, NotifySettings, ReachSettings,
    Routine, Settings,
};
use treasury_bot::domain::service::Patience;
use treasury_bot::domain::{Entry, Guarded, IncidentId, Stream};
use treasury_bot::notify::SmtpConfig;
use treasury_bot::notify::http::WayConfig;
use treasury_bot::probe::Database;
use treasury_bot::probe::alertmanager::{self, Alertmanager};
use treasury_bot::sandbox::slack::{Delivery, Human, Message, Receipt, Sandbox, SandboxConfig};
use treasury_bot::sandbox::stack::{Stack, StackConfig};
use treasury_bot::slack::{Mode, SlackConfig};
use treasury_bot::web::AlertSource;

use super::free_port;
use crate::page::sandbox_with_pages;

/// How long anything may take before a test fails: an engine under load restarts two containers and looks
/// whether they stay up in twenty seconds and more.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The main channel.
pub const HOME: &str = "#treasury-incidents";

/// How a stage is set.
#[derive(Clone)]
pub struct Scenery {
    /// Slack reaches the bot by HTTP.
    pub http: bool,
    /// `sqlite://…` or `postgres://…`; a file of its own if none.
    pub store_url: Option<String>,
    /// The chat page is served, too.
    pub pages: bool,
    /// Each incident gets a channel.
    pub incident_channels: bool,
    /// How long a question can be answered.
    pub confirm_within: Duration,
    /// Names of keys are told whole.
    pub show_keys: bool,
    /// Texts of further runbooks.
    pub runbooks: Vec<String>,
    /// How long a failed step of a run waits for somebody.
    pub hold: Duration,
    /// Simulated seconds in a second.
    pub speed: f64,
    /// What `db` asks; the simulated database where this is empty.
    pub databases: Vec<Named<dyn Database>>,
    /// What a second person has to confirm.
    pub second_person: BTreeSet<Guarded>,
    /// What is done with alerts.
    pub alerts: AlertSettings,
    /// Further commanders, by id.
    pub commanders: Vec<String>,
    /// Where mail is handed over.
    pub smtp: Option<SmtpConfig>,
    /// Who gets mail.
    pub mail: Option<NotifySettings>,
    /// By which ways people are asked.
    pub reach: ReachSettings,
    /// Ways by HTTP.
    pub ways: Vec<WayConfig>,
    /// Senders of alerts beside Alertmanager.
    pub sources: Vec<AlertSource>,
    /// Where silences are made: the addresses of the members of a cluster, with commas.
    pub alertmanager: Option<String>,
    /// Who may read.
    pub viewers: Vec<String>,
    /// What comes again and again by the calendar.
    pub routine: Routine,
    /// How people reach the incident pages; at the address that is served if none.
    pub public_url: Option<String>,
}

impl Default for Scenery {
    fn default() -> Self {
        Self {
            http: false,
            pages: false,
            store_url: None,
            incident_channels: true,
            confirm_within: Duration::from_secs(60),
            show_keys: false,
            runbooks: Vec::new(),
            hold: Duration::from_secs(60),
            speed: 50.0,
            databases: Vec::new(),
            second_person: BTreeSet::new(),
            alerts: AlertSettings::default(),
            commanders: Vec::new(),
            smtp: None,
            mail: None,
            reach: ReachSettings::default(),
            ways: Vec::new(),
            sources: Vec::new(),
            alertmanager: None,
            viewers: vec!["*".into()],
            routine: Routine::default(),
            public_url: None,
        }
    }
}

/// Everything of one story.
pub struct Stage {
    pub sandbox: Sandbox,
    pub stack: Stack,
    pub app: App,
    folder: tempfile::TempDir,
}

impl Stage {
    /// The usual stage: Socket Mode, SQLite.
    pub async fn new() -> Self {
        Self::set(Scenery::default()).await
    }

    /// A stage with other scenery.
    pub async fn set(scenery: Scenery) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], if scenery.http { free_port() } else { 0 }));
        let delivery = if scenery.http {
            Delivery::Http {
                base_url: format!("http://{listen}"),
            }
        } else {
            Delivery::Socket
        };
        let stack = Stack::start(StackConfig {
            speed: scenery.speed,
            ..StackConfig::default()
        });
        let config = SandboxConfig {
            delivery,
            ..SandboxConfig::default()
        };
        let sandbox = if scenery.pages {
            sandbox_with_pages(config, stack.clone()).await
        } else {
            Sandbox::start(config).await.unwrap()
        };
        let store_url = scenery
            .store_url
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", folder.path().join("bot.db").display()));
        let pages = scenery.pages.then(|| format!("http://{}", sandbox.addr()));
        let mut catalogue = simulated(&stack, pages.as_deref()).unwrap();
        if !scenery.databases.is_empty() {
            catalogue = catalogue.with_probes(scenery.databases.clone(), Vec::new());
        }
        let silences = scenery.alertmanager.clone().map(|url| {
            Alertmanager::new(alertmanager::Config {
                urls: url.split(',').map(str::to_owned).collect(),
                token: None,
                login: None,
                timeout: Duration::from_secs(5),
            })
        });
        catalogue = catalogue.with_alertmanager(silences);
        let plan = plan(&sandbox, &scenery, listen, store_url, catalogue);
        let app = App::start(plan, CancellationToken::new()).await.unwrap();
        if !scenery.http {
            sandbox.wait_for_sockets(1, PATIENCE).await.unwrap();
        }
        Self {
            sandbox,
            stack,
            app,
            folder,
        }
    }

    /// A further bot on the same Slack and stack, with the store of the scenery.
    pub async fn another_bot(&self, scenery: &Scenery) -> App {
        another_bot(&self.sandbox, &self.stack, scenery).await
    }

    /// Ends the story in order.
    pub async fn finish(self) {
        self.app.stop().await;
        self.sandbox.stop();
        drop(self.folder);
    }

    /// Somebody of the workspace: ana responds, ben commands, chloe only looks.
    pub fn person(&self, name: &str) -> Human {
        self.sandbox.person(name)
    }

    /// On-call types a command in the main channel.
    pub async fn ana(&self, words: &str) -> Receipt {
        self.types("ana", HOME, words).await
    }

    /// Somebody types a command.
    pub async fn types(&self, who: &str, channel: &str, words: &str) -> Receipt {
        let line = format!("/treasury {words}");
        self.person(who).types(channel, line.trim()).await.unwrap()
    }

    /// Waits until the bot has said these words in a channel.
    pub async fn said(&self, channel: &str, words: &str) -> Message {
        said(&self.sandbox, channel, words).await
    }

    /// Waits until a message has come to say these words.
    pub async fn becomes(&self, message: &Message, words: &str) -> Message {
        self.sandbox
            .wait_for(PATIENCE, |workspace| {
                let now = workspace.channel(&message.channel)?.message(&message.ts)?;
                words_of(now).contains(words).then(|| now.clone())
            })
            .await
            .unwrap_or_else(|error| panic!("the message never said “{words}”: {error}"))
    }

    /// The channel of an incident, once there is one and ana has been invited.
    pub async fn room(&self, id: i64) -> String {
        self.sandbox
            .wait_for(PATIENCE, |workspace| {
                let name = format!("inc-{id}");
                workspace
                    .channels
                    .values()
                    .find(|c| c.name == name || c.name.starts_with(&format!("{name}-")))
                    .filter(|c| c.members.contains("U0ANA00001"))
                    .map(|c| c.id.clone())
            })
            .await
            .unwrap()
    }

    /// How many of the bot's messages hold these words.
    pub fn count(&self, words: &str) -> usize {
        self.sandbox.look(|workspace| {
            workspace
                .messages()
                .filter(|m| m.by_bot && words_of(m).contains(words))
                .count()
        })
    }

    /// An incident's timeline.
    pub async fn timeline(&self, id: i64) -> Vec<Entry> {
        self.app
            .store
            .entries(&Stream::Incident(IncidentId(id)))
            .await
            .unwrap()
    }

    /// The audit.
    pub async fn audit(&self) -> Vec<Entry> {
        self.app.store.entries(&Stream::Audit).await.unwrap()
    }

    /// The embedded database, by another way than the bot's.
    pub async fn pool(&self) -> sqlx::SqlitePool {
        let file = self.folder.path().join("bot.db");
        sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display()))
            .await
            .unwrap()
    }

    /// Waits until everything asked has been answered and every answer is in Slack.
    pub async fn quiet(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (inbox, outbox) = (
                self.app.store.inbox_depth().await.unwrap(),
                self.app.store.outbox_depth().await.unwrap(),
            );
            if inbox == 0 && outbox == 0 {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{inbox} requests and {outbox} deliveries wait:\n{}",
                self.sandbox.dump(10)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A bot on this Slack and stack, with the store of the scenery.
pub async fn another_bot(sandbox: &Sandbox, stack: &Stack, scenery: &Scenery) -> App {
    let catalogue = simulated(stack, None).unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let store_url = scenery
        .store_url
        .clone()
        .expect("a store that outlives the stage");
    let plan = plan(sandbox, scenery, listen, store_url, catalogue);
    App::start(plan, CancellationToken::new()).await.unwrap()
}

/// A bot's plan against a sandbox.
pub fn plan(
    sandbox: &Sandbox,
    scenery: &Scenery,
    listen: SocketAddr,
    store_url: String,
    catalogue: Catalogue,
) -> Plan {
    Plan {
        store_url,
        slack: SlackConfig {
            mode: if scenery.http {
                Mode::Http
            } else {
                Mode::Socket
            },
            api_url: Some(sandbox.api_url().parse().unwrap()),
            bot_token: SecretString::from(sandbox.bot_token()),
            app_token: Some(SecretString::from(sandbox.app_token())),
            signing_secret: Some(SecretString::from(sandbox.signing_secret())),
            channel: HOME.into(),
            command: "/treasury".into(),
            groups: Vec::new(),
        },
        listen,
        smtp: scenery.smtp.clone(),
        ways: scenery.ways.clone(),
        alerts_token: Some(SecretString::from("alerts-token")),
        sources: scenery.sources.clone(),
        heartbeat_senders: Vec::new(),
        health_listen: None,
        settings: settings(scenery),
        catalogue,
        library: library(scenery),
    }
}

/// Waits until the bot has said these words in a channel.
pub async fn said(sandbox: &Sandbox, channel: &str, words: &str) -> Message {
    let found = sandbox.wait_for(PATIENCE, |workspace| {
        let mut messages = workspace.channel(channel)?.messages.iter().rev();
        let found = messages.find(|m| m.by_bot && words_of(m).contains(words));
        found.cloned()
    });
    let found = found.await;
    found.unwrap_or_else(|error| panic!("nobody said “{words}” in {channel}: {error}"))
}

/// What a bot of this scenery goes by.
pub fn settings(scenery: &Scenery) -> Settings {
    Settings {
        command: "/treasury".into(),
        access: Access {
            viewers: scenery.viewers.clone(),
            responders: vec!["U0ANA00001".into()],
            commanders: std::iter::once("U0BEN00001".to_owned())
                .chain(scenery.commanders.clone())
                .collect(),
            ..Access::default()
        },
        confirm: Guarded::all(),
        second_person: scenery.second_person.clone(),
        confirm_within: scenery.confirm_within,
        show_keys: scenery.show_keys,
        patience: Patience::default(),
        hold: scenery.hold,
        alerts: scenery.alerts.clone(),
        notify: scenery.mail.clone(),
        reach: scenery.reach.clone(),
        incident_channels: scenery.incident_channels,
        public_url: scenery.public_url.clone(),
        routine: scenery.routine.clone(),
        keep: Settings::KEEP,
    }
}

/// The runbooks that come with the bot, and those of the scenery.
fn library(scenery: &Scenery) -> Library {
    let folder = tempfile::tempdir().unwrap();
    for text in &scenery.runbooks {
        let name = text.lines().next().unwrap().strip_prefix("name: ").unwrap();
        std::fs::write(folder.path().join(format!("{name}.yml")), text).unwrap();
    }
    let library = Library::open(COMMANDS.callables(), Some(folder.path()), None).unwrap();
    let mistakes: Vec<String> = library
        .problems()
        .iter()
        .filter(|problem| problem.is_error())
        .flat_map(|problem| {
            problem
                .findings
                .iter()
                .map(|f| problem.source.explain(f).to_string())
        })
        .collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    library
}

/// The words of a message without Slack's marks.
pub fn words_of(message: &Message) -> String {
    message
        .shown()
        .replace("```", "")
        .replace(['`', '*'], "")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
