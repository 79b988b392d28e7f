//! Socket Mode: our own loop, because an incident bot must not go deaf in silence.
//!
//! Several connections at once, so that one may be renewed while another serves. Every step has a
//! time-out; a peer that says nothing is dropped; failures are retried with growing, jittered waits;
//! an envelope is acknowledged only after its request is recorded, so what is lost comes again; of a
//! command the acknowledgement says why it was not recorded, since Slack sends none again.

mod connection;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::connection::{Connection, End, OpenError};
use self::shared::Shared;
use super::client::{Client, backoff};
use super::dispatch::Dispatch;
use super::error::hint;
use crate::telemetry::metrics;

pub use self::shared::{SocketHealth, SocketTimes};

/// Requests being recorded at once; what comes beyond is turned away.
const IN_HAND: usize = 256;
/// A connection that lived shorter than this counts as a failure.
const SHORT_LIFE: Duration = Duration::from_secs(10);

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
                    End::Renew(reason) | End::Lost(reason) | End::Refused(reason) => reason,
                };
                metrics::SLACK_RECONNECTS.count(&[reason]);
                match end {
                    End::Renew(_) => {
                        tracing::info!(reason, "Slack renews a connection");
                        failures = 0;
                        Duration::ZERO
                    }
                    End::Refused(_) => {
                        refused_by_slack(shared, reason);
                        shared.times.refused
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
            Err(OpenError::Refused(code)) => {
                refused_by_slack(shared, &code);
                shared.times.refused
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
                metrics::SLACK_CONNECT_FAILURES.count(&[]);
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

fn refused_by_slack(shared: &Shared, code: &str) {
    shared.health.failed(code);
    tracing::error!(
        code,
        hint = hint(code).unwrap_or("see the app's settings at api.slack.com/apps"),
        "Slack refuses Socket Mode; trying again every {} s",
        shared.times.refused.as_secs(),
    );
}

#[cfg(test)]
mod tests;
