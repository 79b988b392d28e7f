//! The Slack door: what Slack sends becomes a [`crate::domain::Request`], what the bot wants said
//! becomes messages.
//!
//! # Layout
//! - [`inbound`], [`render`]: pure: payloads to requests, messages to blocks
//! - [`socket`], [`http`]: the two ways in; both end in [`dispatch`]
//! - [`outbox`]: the way out; [`directory`]: who is who; [`client`]: the Web API
//! - [`scopes`]: which of its methods are called, and the scopes that takes

pub mod client;
pub mod directory;
pub mod dispatch;
pub mod error;
pub mod granted;
pub mod http;
pub mod inbound;
mod lock;
pub mod outbox;
mod plain;
pub mod render;
pub mod scopes;
pub mod socket;
mod state;

use std::sync::Arc;

use axum::Router;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::client::{Client, ClientError};
use self::directory::{Directory, People};
use self::dispatch::{Accept, Dispatch};
use self::inbound::Reader;
use self::outbox::Outbox;
use self::socket::{SocketHealth, SocketTimes};
use self::state::State;
use crate::bot::ChatRefusal;
use crate::store::Store;

/// How Slack's payloads come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The bot opens WebSockets to Slack.
    Socket,
    /// Slack sends requests to the bot.
    Http,
}

/// What the door needs to know.
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// How Slack's payloads come in.
    pub mode: Mode,
    /// Another Slack (the sandbox, a test); Slack itself if none.
    pub api_url: Option<Url>,
    /// `xoxb-…`
    pub bot_token: SecretString,
    /// `xapp-…`, for Socket Mode.
    pub app_token: Option<SecretString>,
    /// For HTTP mode.
    pub signing_secret: Option<SecretString>,
    /// The main channel, by name or id.
    pub channel: String,
    /// The slash command's own name, such as `/treasury`.
    pub command: String,
    /// Ids of the user groups whose members are to be known.
    pub groups: Vec<String>,
}

/// Why the door can't be opened. Nothing of it depends on Slack being up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client can't be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A secret that the mode needs is missing.
    #[error("{0} is needed for this mode of Slack")]
    Missing(&'static str),
}

pub use self::outbox::find_channel;
pub use self::state::Refused;

/// Who tells people what Slack refuses.
pub type Tell = Arc<dyn Fn(ChatRefusal) -> BoxFuture<'static, ()> + Send + Sync>;

/// How the door is, for `/health/ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Requests can come in, and Slack does not refuse the token or messages.
    pub connected: bool,
    /// Open sockets; `None` in HTTP mode, where Slack calls us.
    pub sockets: Option<usize>,
    /// When Slack last said hello on a socket.
    pub last_hello: Option<Timestamp>,
    /// What Slack refuses now, else why the last socket failed.
    pub last_error: Option<String>,
    /// What Slack refuses now, by method.
    pub refused: Vec<(&'static str, Refused)>,
}

/// The open door. Ends with its `shutdown` token; [`Slack::ended`] waits for that.
pub struct Slack {
    mode: Mode,
    router: Router,
    sockets: SocketHealth,
    people: People,
    state: State,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Slack {
    /// Opens the door: everything runs in the background, whether or not Slack can be reached. `owner`:
    /// this process's name in the store.
    pub fn start(
        config: SlackConfig,
        accept: Accept,
        tell: Tell,
        store: Store,
        owner: &str,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let (state, mut news) = State::new();
        let client = Client::new(
            config.api_url.as_ref(),
            &config.bot_token,
            config.app_token.as_ref(),
        )?
        .remembering(state.clone());
        let people = People::default();
        let sockets = SocketHealth::default();
        let ended = shutdown.clone();
        let telling = async move {
            while let Some(Some(refusal)) = ended.run_until_cancelled(news.recv()).await {
                tell(refusal).await;
            }
        };
        let mut tasks = vec![tokio::spawn(telling)];
        let dispatch =
            Dispatch::new(accept, people.clone(), config.api_url.clone()).telling(client.clone());
        let router = match config.mode {
            Mode::Http => {
                let secret = config
                    .signing_secret
                    .as_ref()
                    .ok_or(StartError::Missing("TREASURY_BOT_SLACK_SIGNING_SECRET"))?;
                http::router(secret, dispatch)
            }
            Mode::Socket => {
                if config.app_token.is_none() {
                    return Err(StartError::Missing("TREASURY_BOT_SLACK_APP_TOKEN"));
                }
                tasks.push(tokio::spawn(socket::run(
                    client.clone(),
                    dispatch,
                    SocketTimes::default(),
                    sockets.clone(),
                    shutdown.clone(),
                )));
                Router::new()
            }
        };
        let directory = Directory {
            client: client.clone(),
            store: store.clone(),
            people: people.clone(),
            groups: config.groups,
        };
        tasks.push(tokio::spawn(directory.run(shutdown.clone())));
        let reader = Reader {
            api_url: config.api_url,
            bot_user: None,
        };
        let outbox = Outbox::new(
            (store, owner),
            client,
            people.clone(),
            &config.channel,
            reader,
        );
        tasks.push(tokio::spawn(outbox.run(shutdown)));
        Ok(Self {
            mode: config.mode,
            router,
            sockets,
            people,
            state,
            tasks: Mutex::new(tasks),
        })
    }

    /// The routes for Slack's requests; empty in Socket Mode.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// How the door is.
    pub fn health(&self) -> Health {
        let sockets = (self.mode == Mode::Socket).then(|| self.sockets.connected());
        let refused = self.state.all();
        let mutes = |(method, one): &(&str, Refused)| {
            one.is_token || method.starts_with("chat.post") || *method == state::MAIN_CHANNEL
        };
        let words = refused.first().map(|(what, one)| {
            let needed = one.needed.as_ref();
            let needed = needed.map_or(String::new(), |scope| format!(" (needed: {scope})"));
            format!("{what}: {}{needed}", one.error)
        });
        Health {
            connected: sockets != Some(0) && !refused.iter().any(mutes),
            sockets,
            last_hello: self.sockets.last_hello(),
            last_error: words.or_else(|| self.sockets.last_error()),
            refused,
        }
    }

    /// The bot's own user id, once Slack has told it.
    pub fn bot_user(&self) -> Option<String> {
        self.people.bot_user()
    }

    /// Waits, after `shutdown`, until acknowledgements and deliveries under way are done.
    pub async fn ended(&self) {
        for task in self.tasks.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the Slack door ended badly");
            }
        }
    }
}

#[cfg(test)]
mod tests;
