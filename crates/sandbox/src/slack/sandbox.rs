//! The handle: looks into the workspace, changes it, waits for things to happen.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::config::{Person, SandboxConfig};
use super::fault_plan::FaultPlan;
use super::hub::Hub;
use super::workspace::{Channel, File, Message, View, Workspace, locked, unix_millis};

/// Calls remembered by [`Sandbox::calls`].
const CALLS: usize = 10_000;

/// One call of the Web API, for tests and for the page.
#[derive(Debug, Clone, Serialize)]
pub struct ApiCall {
    /// Unix milliseconds.
    pub at: i64,
    pub method: String,
    /// The arguments, without the token.
    pub body: Value,
    pub answer: Value,
    pub status: u16,
}

/// What did not come about in time, and what was there instead.
#[derive(Debug, thiserror::Error)]
#[error("nothing fitting within {waited:?}; the last messages:\n{dump}")]
pub struct Timeout {
    pub waited: Duration,
    /// The last messages of every channel, one a line.
    pub dump: String,
}

struct Inner {
    config: SandboxConfig,
    addr: SocketAddr,
    world: Mutex<Workspace>,
    changes: watch::Sender<u64>,
    hub: Hub,
    plan: Mutex<FaultPlan>,
    calls: Mutex<VecDeque<ApiCall>>,
    stop: CancellationToken,
}

/// A running sandbox. Clones are the same sandbox.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

impl Sandbox {
    /// A sandbox that is about to be served at `addr`.
    pub(super) fn new(config: SandboxConfig, addr: SocketAddr) -> Self {
        Self(Arc::new(Inner {
            world: Mutex::new(Workspace::new(&config, format!("http://{addr}"))),
            config,
            addr,
            changes: watch::Sender::new(0),
            hub: Hub::default(),
            plan: Mutex::default(),
            calls: Mutex::default(),
            stop: CancellationToken::new(),
        }))
    }

    /// Ends the server and cuts every connection.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// `http://127.0.0.1:PORT/api`, for the bot's `slack.api_url`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.0.addr)
    }

    /// `http://127.0.0.1:PORT/`
    pub fn page_url(&self) -> String {
        format!("http://{}/", self.0.addr)
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    pub fn config(&self) -> &SandboxConfig {
        &self.0.config
    }

    pub fn bot_token(&self) -> &str {
        &self.0.config.bot_token
    }

    pub fn app_token(&self) -> &str {
        &self.0.config.app_token
    }

    pub fn signing_secret(&self) -> &str {
        &self.0.config.signing_secret
    }

    pub fn people(&self) -> &[Person] {
        &self.0.config.people
    }

    /// All channels, without their messages.
    pub fn channels(&self) -> Vec<Channel> {
        self.look(|world| {
            let bare = |c: &Channel| Channel {
                messages: VecDeque::new(),
                ..c.clone()
            };
            world.channels.values().map(bare).collect()
        })
    }

    /// Every message of a channel (`#name`, `name` or id), ephemeral and deleted ones included.
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        self.look(|world| {
            world
                .channel(channel)
                .map(|c| c.messages.iter().cloned().collect())
                .unwrap_or_default()
        })
    }

    /// The public replies under a message.
    pub fn thread(&self, channel: &str, root: &str) -> Vec<Message> {
        self.look(|world| {
            world
                .channel(channel)
                .map(|c| c.replies(root).cloned().collect())
                .unwrap_or_default()
        })
    }

    /// The pinned messages of a channel.
    pub fn pins(&self, channel: &str) -> Vec<Message> {
        self.look(|world| {
            let Some(channel) = world.channel(channel) else {
                return Vec::new();
            };
            channel
                .pins
                .iter()
                .filter_map(|pin| channel.message(&pin.ts).cloned())
                .collect()
        })
    }

    /// The files that were shared or kept.
    pub fn files(&self) -> Vec<File> {
        self.look(|world| {
            world
                .files
                .iter()
                .filter(|f| f.is_complete())
                .cloned()
                .collect()
        })
    }

    /// The modals a person has open, the topmost last.
    pub fn views(&self, person: &str) -> Vec<View> {
        self.look(|world| {
            let id = world.person(person).map(|p| p.id.as_str());
            id.and_then(|id| world.views.get(id))
                .cloned()
                .unwrap_or_default()
        })
    }

    /// A person's home tab.
    pub fn home(&self, person: &str) -> Option<View> {
        self.look(|world| world.homes.get(&world.person(person)?.id).cloned())
    }

    /// The calls of the Web API, oldest first; the last 10,000 of them.
    pub fn calls(&self) -> Vec<ApiCall> {
        locked(&self.0.calls).iter().cloned().collect()
    }

    /// How many sockets the bot has open.
    pub fn sockets(&self) -> usize {
        self.hub().count()
    }

    /// A number that rises with every change of the workspace and of the open sockets.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Waits until `find` finds something. It is asked after every change, under the workspace's
    /// lock: it must not call the sandbox.
    pub async fn wait_for<T>(
        &self,
        patience: Duration,
        mut find: impl FnMut(&Workspace) -> Option<T>,
    ) -> Result<T, Timeout> {
        let mut changes = self.subscribe();
        let search = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = self.look(&mut find) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let found = tokio::time::timeout(patience, search).await;
        found.map_err(|_| Timeout {
            waited: patience,
            dump: self.dump(20),
        })
    }

    /// Waits until the bot has at least `count` sockets open.
    pub async fn wait_for_sockets(&self, count: usize, patience: Duration) -> Result<(), Timeout> {
        self.wait_for(patience, |_| (self.hub().count() >= count).then_some(()))
            .await
    }

    /// The last messages of every channel as text.
    pub fn dump(&self, per_channel: usize) -> String {
        self.look(|world| {
            let mut out = String::new();
            for channel in world.channels.values() {
                out.push_str(&format!("#{} ({})\n", channel.name, channel.id));
                let from = channel.messages.len().saturating_sub(per_channel);
                for m in channel.messages.iter().skip(from) {
                    let mark = match (m.deleted, &m.visible_to) {
                        (true, _) => " (deleted)".to_string(),
                        (_, Some(only)) => format!(" (only {only})"),
                        _ => String::new(),
                    };
                    let indent = if m.is_reply() { "    ↳ " } else { "  " };
                    let words = m.shown().replace('\n', " ⏎ ");
                    out.push_str(&format!("{indent}{} {}{mark}: {words}\n", m.ts, m.user));
                }
            }
            out
        })
    }

    /// Reads the workspace.
    pub fn look<T>(&self, read: impl FnOnce(&Workspace) -> T) -> T {
        read(&locked(&self.0.world))
    }

    /// Changes the workspace and tells everybody who waits.
    pub(super) fn change<T>(&self, write: impl FnOnce(&mut Workspace) -> T) -> T {
        let out = write(&mut locked(&self.0.world));
        self.touch();
        out
    }

    pub(super) fn touch(&self) {
        self.0.changes.send_modify(|n| *n += 1);
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, FaultPlan> {
        locked(&self.0.plan)
    }

    pub(super) fn stopped(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Remembers a call of the Web API and tells everybody who waits.
    pub(super) fn record(&self, method: &str, body: Value, answer: Value, status: u16) {
        let call = ApiCall {
            at: unix_millis(),
            method: method.to_string(),
            body,
            answer,
            status,
        };
        let mut calls = locked(&self.0.calls);
        if calls.len() == CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
        drop(calls);
        self.touch();
    }
}
