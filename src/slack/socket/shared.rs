//! What all connections share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::slack::client::Client;
use crate::slack::dispatch::Dispatch;
use crate::slack::lock::lock;
use crate::telemetry::metrics::SLACK_CONNECTIONS;

/// Waits and limits. The default is for production; tests are in more of a hurry.
#[derive(Debug, Clone)]
pub struct SocketTimes {
    /// Connections held at once; Slack allows ten.
    pub connections: usize,
    /// For connecting, and again for `hello`.
    pub open: Duration,
    /// How often we ping.
    pub ping: Duration,
    /// A peer that says nothing for so long is dead.
    pub silence: Duration,
    /// How long a connection that Slack renews may still deliver.
    pub drain: Duration,
    /// The first wait after a failure.
    pub backoff: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// The wait after an error that only a person can correct.
    pub refused: Duration,
    /// How long acknowledgements may take at the end.
    pub close_within: Duration,
}

impl Default for SocketTimes {
    fn default() -> Self {
        Self {
            connections: 2,
            open: Duration::from_secs(10),
            ping: Duration::from_secs(15),
            silence: Duration::from_mins(1),
            drain: Duration::from_secs(30),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            refused: Duration::from_mins(1),
            close_within: Duration::from_secs(5),
        }
    }
}

/// How the sockets are, for `/health/ready`.
#[derive(Clone, Default)]
pub struct SocketHealth(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    connected: usize,
    last_hello: Option<Timestamp>,
    last_error: Option<String>,
}

impl SocketHealth {
    /// Connections over which Slack has said hello and that are still up.
    pub fn connected(&self) -> usize {
        lock(&self.0).connected
    }

    /// When Slack last said hello.
    pub fn last_hello(&self) -> Option<Timestamp> {
        lock(&self.0).last_hello
    }

    /// Why the last connection could not be opened or ended.
    pub fn last_error(&self) -> Option<String> {
        lock(&self.0).last_error.clone()
    }

    pub(super) fn hello(&self) {
        let mut state = lock(&self.0);
        state.last_hello = Some(Timestamp::now());
        state.connected += 1;
        gauge(state.connected);
    }

    pub(super) fn gone(&self) {
        let mut state = lock(&self.0);
        state.connected -= 1;
        gauge(state.connected);
    }

    pub(super) fn failed(&self, why: &str) {
        lock(&self.0).last_error = Some(why.to_owned());
    }
}

fn gauge(connected: usize) {
    SLACK_CONNECTIONS.set(&[], connected as f64);
}

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub client: Client,
    pub dispatch: Dispatch,
    pub times: Arc<SocketTimes>,
    pub health: SocketHealth,
    pub in_hand: Arc<Semaphore>,
    pub shutdown: CancellationToken,
}
