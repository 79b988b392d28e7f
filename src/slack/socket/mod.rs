//! Socket Mode: our own loop, because an incident bot must not go deaf in silence.
//!
//! Several connections at once, so that one may be renewed while another serves. Every step has a
//! time-out; a peer that says nothing is dropped; failures are retried with growing, jittered waits;
//! an envelope is acknowledged only after its request is recorded, so what is lost comes again.

mod connection;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::connection::{Connection, End, OpenError};
use super::client::{Client, backoff, hint};
use super::dispatch::Dispatch;

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
    /// The wait after an error that only a person can mend.
    pub hopeless: Duration,
    /// How long acknowledgements may take at the end.
    pub farewell: Duration,
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
            hopeless: Duration::from_mins(1),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Requests being recorded at once; what comes beyond is left for Slack to send again.
const IN_HAND: usize = 256;
/// A connection that lived shorter than this counts as a failure.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// How the sockets are, for `/health/ready`.
#[derive(Clone, Default)]
pub struct SocketHealth(Arc<State>);

#[derive(Default)]
struct State {
    connected: AtomicUsize,
    last_hello: Mutex<Option<Timestamp>>,
    last_error: Mutex<Option<String>>,
}

impl SocketHealth {
    /// Connections over which Slack has said hello and that are still up.
    pub fn connected(&self) -> usize {
        self.0.connected.load(Ordering::SeqCst)
    }

    /// When Slack last said hello.
    pub fn last_hello(&self) -> Option<Timestamp> {
        *self
            .0
            .last_hello
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last connection could not be opened or ended.
    pub fn last_error(&self) -> Option<String> {
        self.0
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn hello(&self) {
        *self
            .0
            .last_hello
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
        gauge(self.0.connected.fetch_add(1, Ordering::SeqCst) + 1);
    }

    fn gone(&self) {
        gauge(self.0.connected.fetch_sub(1, Ordering::SeqCst) - 1);
    }

    fn failed(&self, why: &str) {
        *self
            .0
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }
}

fn gauge(connected: usize) {
    metrics::gauge!("treasury_bot_slack_connections").set(connected as f64);
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

/// Keeps the connections up until `shutdown`; returns when the last acknowledgement is out.
pub async fn run(
    client: Client,
    dispatch: Dispatch,
    times: SocketTimes,
    health: SocketHealth,
    shutdown: CancellationToken,
) {
    let shared = Shared {
        client,
        dispatch,
        times: Arc::new(times),
        health,
        in_hand: Arc::new(Semaphore::new(IN_HAND)),
        shutdown,
    };
    let slots = (0..shared.times.connections).map(|_| async {
        let mut connections = JoinSet::new();
        keep_up(&shared, &mut connections).await;
        while connections.join_next().await.is_some() {}
    });
    futures_util::future::join_all(slots).await;
}

/// One connection after another. A connection that is renewed lives on beside its successor.
async fn keep_up(shared: &Shared, connections: &mut JoinSet<()>) {
    let mut failures = 0;
    loop {
        while connections.try_join_next().is_some() {}
        let opened = tokio::select! {
            () = shared.shutdown.cancelled() => return,
            opened = Connection::open(shared) => opened,
        };
        let wait = match opened {
            Ok(connection) => {
                let since = tokio::time::Instant::now();
                let (renew, renewed) = tokio::sync::oneshot::channel();
                connections.spawn(connection.serve(shared.clone(), renew));
                // Told when the connection asks for a successor, or has ended.
                let end = renewed.await.unwrap_or(End::Lost("ended"));
                let reason = match end {
                    End::Shutdown => return,
                    End::Renew(reason) | End::Lost(reason) | End::Hopeless(reason) => reason,
                };
                metrics::counter!("treasury_bot_slack_reconnects_total", "reason" => reason)
                    .increment(1);
                match end {
                    End::Renew(_) => {
                        tracing::info!(reason, "Slack renews a connection");
                        failures = 0;
                        Duration::ZERO
                    }
                    End::Hopeless(_) => {
                        complain(shared, reason);
                        shared.times.hopeless
                    }
                    _ => {
                        shared.health.failed(reason);
                        tracing::warn!(reason, "a connection to Slack was lost");
                        failures = if since.elapsed() < SHORT_LIFE {
                            failures + 1
                        } else {
                            0
                        };
                        backoff(failures, shared.times.backoff, shared.times.backoff_max)
                    }
                }
            }
            Err(OpenError::Hopeless(code)) => {
                complain(shared, &code);
                shared.times.hopeless
            }
            Err(OpenError::Wait(after)) => {
                tracing::warn!(
                    seconds = after.as_secs(),
                    "Slack asks to wait before connecting again"
                );
                after
            }
            Err(OpenError::Again(why)) => {
                shared.health.failed(&why);
                metrics::counter!("treasury_bot_slack_connect_failures_total").increment(1);
                tracing::warn!(why, failures, "no connection to Slack");
                failures += 1;
                backoff(failures, shared.times.backoff, shared.times.backoff_max)
            }
        };
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn complain(shared: &Shared, code: &str) {
    shared.health.failed(code);
    tracing::error!(
        code,
        hint = hint(code).unwrap_or("see the app's settings at api.slack.com/apps"),
        "Slack refuses Socket Mode; trying again every {} s",
        shared.times.hopeless.as_secs(),
    );
}

#[cfg(test)]
mod tests;
