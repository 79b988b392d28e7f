//! The whole door against the sandbox: real sockets, real HTTP, a real store; only the bot behind
//! it is a shelf on which requests are put.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::bot::Acceptance;
use crate::domain::{Audience, Content, Destination, Message, Outgoing, Place, Reply, Request};
use crate::sandbox::slack::{self as sandbox, Human, Sandbox, SandboxConfig};
use crate::store::Use;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Bench {
    pub sandbox: Sandbox,
    pub slack: Slack,
    pub store: Store,
    pub shutdown: CancellationToken,
    pub library: Arc<Mutex<Vec<Request>>>,
    pub duplicates: Arc<Mutex<usize>>,
    pub told: Arc<Mutex<Vec<ChatRefusal>>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub async fn start() -> Self {
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let bench = Self::around(sandbox).await;
        bench.sandbox.wait_for_sockets(2, PATIENCE).await.unwrap();
        bench
    }

    pub async fn around(sandbox: Sandbox) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bot.db").display());
        let store = Store::open(&url, Use::Serve).await.unwrap();
        let library = Arc::new(Mutex::new(Vec::<Request>::new()));
        let duplicates = Arc::new(Mutex::new(0));
        let shutdown = CancellationToken::new();
        let accept: Accept = {
            let (library, duplicates) = (library.clone(), duplicates.clone());
            Arc::new(move |request: Request| {
                let mut library = library.lock().unwrap();
                let known = library.iter().any(|r| r.key == request.key);
                let accepted = if known {
                    *duplicates.lock().unwrap() += 1;
                    Acceptance::Duplicate
                } else {
                    library.push(request);
                    Acceptance::New
                };
                Box::pin(async move { Ok(accepted) })
            })
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell: Tell = {
            let told = told.clone();
            Arc::new(move |refusal| {
                told.lock().unwrap().push(refusal);
                Box::pin(async {})
            })
        };
        let slack = Slack::start(
            config(&sandbox),
            accept,
            tell,
            store.clone(),
            "test",
            shutdown.clone(),
        )
        .unwrap();
        Self {
            sandbox,
            slack,
            store,
            shutdown,
            library,
            duplicates,
            told,
            _folder: folder,
        }
    }

    pub fn ana(&self) -> Human {
        self.sandbox.person("ana")
    }

    pub fn asked(&self) -> Vec<String> {
        self.library
            .lock()
            .unwrap()
            .iter()
            .map(|r| r.text.clone())
            .collect()
    }

    /// Closes the door but keeps the store and the sandbox, to drive deliveries by hand.
    pub async fn by_hand(self) -> Self {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.slack.ended())
            .await
            .unwrap();
        self
    }

    /// A poster without any memory, as after a crash; its calls take at most `patience`.
    pub fn outbox(&self, patience: Duration) -> Outbox {
        let config = config(&self.sandbox);
        let client = Client::new(config.api_url.as_ref(), &config.bot_token, None)
            .unwrap()
            .timeout(patience);
        let people = self.slack.people.clone();
        let reader = Reader {
            api_url: config.api_url,
            bot_user: None,
        };
        let store = (self.store.clone(), "test");
        Outbox::new(store, client, people, &config.channel, reader)
    }

    pub async fn put(&self, key: &str, to: Destination, content: Content) {
        self.store
            .outbox_put(outgoing(key, to, content))
            .await
            .unwrap();
    }

    /// What the bot has said in a channel, as it stands, once `enough` of it is there.
    pub async fn said(
        &self,
        channel: &str,
        enough: impl Fn(&[sandbox::Message]) -> bool,
    ) -> Vec<String> {
        let wanted = channel.trim_start_matches('#').to_owned();
        let found = self.sandbox.wait_for(PATIENCE, |world| {
            let channel = world.channels.values().find(|c| c.name == wanted)?;
            let by_bot: Vec<_> = channel
                .messages
                .iter()
                .filter(|m| m.by_bot && !m.deleted)
                .cloned()
                .collect();
            enough(&by_bot).then_some(by_bot)
        });
        let messages = found.await.unwrap_or_else(|timeout| panic!("{timeout}"));
        messages.into_iter().map(|m| m.text).collect()
    }

    pub fn calls(&self, method: &str) -> usize {
        self.sandbox
            .calls()
            .iter()
            .filter(|call| call.method == method)
            .count()
    }

    pub async fn until_empty(&self) {
        let empty = async {
            while self.store.outbox_depth().await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, empty).await.unwrap();
    }

    /// Ends the door and waits for it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.slack.ended())
            .await
            .unwrap();
        self.store.close().await;
        self.sandbox.stop();
    }
}

pub(super) fn config(sandbox: &Sandbox) -> SlackConfig {
    SlackConfig {
        mode: Mode::Socket,
        api_url: Url::parse(&sandbox.api_url()).ok(),
        bot_token: sandbox.bot_token().into(),
        app_token: Some(sandbox.app_token().into()),
        signing_secret: Some(sandbox.signing_secret().into()),
        channel: "#treasury-incidents".into(),
        command: "/treasury".into(),
        groups: vec!["S0ONCALL01".into()],
    }
}

pub(super) fn outgoing(key: &str, to: Destination, content: Content) -> Outgoing {
    Outgoing {
        key: key.into(),
        to,
        audience: Audience::Everyone,
        requester: None,
        reply: Reply::default(),
        severity: None,
        content,
    }
}

pub(super) fn in_channel(name: &str) -> Destination {
    Destination::Place(Place::channel(name))
}

pub(super) fn message(tone: crate::domain::Tone, title: &str) -> Content {
    Content::Message(Message::new(tone, title))
}

#[tokio::test]
async fn the_directory_is_read_into_the_store() {
    let bench = Bench::start().await;
    let known = async {
        loop {
            let ana = bench.store.person("U0ANA00001").await.unwrap();
            let groups = bench.store.groups_of("U0ANA00001").await.unwrap();
            if ana.is_some_and(|ana| ana.name == "ana") && groups == ["S0ONCALL01"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.unwrap();
    assert_eq!(bench.slack.bot_user().as_deref(), Some("UTREASURYBOT"));
    bench.stop().await;
}

#[tokio::test]
async fn the_door_opens_while_slack_is_down_and_finds_it_when_it_is_back() {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    sandbox
        .faults()
        .next("apps.connections.open", 3, sandbox::Fault::ServerError(503));
    sandbox.faults().next(
        "auth.test",
        1,
        sandbox::Fault::ApiError("invalid_auth".into()),
    );
    let bench = Bench::around(sandbox).await;
    assert!(!bench.slack.health().connected);
    bench.sandbox.wait_for_sockets(2, PATIENCE).await.unwrap();
    bench
        .ana()
        .types("treasury-incidents", "/treasury status")
        .await
        .unwrap();
    assert_eq!(bench.asked(), ["status"]);
    // The token was refused once; the next call that works says that it is good.
    let connected = async {
        while !bench.slack.health().connected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.unwrap();
    bench.stop().await;
}
