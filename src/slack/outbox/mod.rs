//! The poster: brings what `bot/` wants said to where it is to be said, once and in order.
//!
//! Each lane (a channel) is delivered in order, the worst first, lanes side by side. A failure never
//! loses a message: it is repeated until Slack takes it, for a day. What may have been posted by a call whose answer was lost is looked for by its key before it is posted again.

mod channels;
mod file;
mod message;
mod pace;
mod post;
mod poster;
mod room;
mod round;
mod routed;
mod search;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::post::is_closed;
use self::poster::{Failure, Outcome};
use self::round::Round;
use super::client::backoff;
use super::error::{ApiError, hint};
use super::lock::lock;
use super::state::MAIN_CHANNEL;
use crate::domain::duration::between;
use crate::domain::{Content, Destination};
use crate::store::{Delivered, Parcel, StoreError};
use crate::telemetry::metrics;

pub use self::channels::find_channel;
pub use self::poster::Outbox;

/// One delivery with all its calls; shorter than what the store gives it.
const DELIVER_WITHIN: Duration = Duration::from_secs(50);
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// The same for what is refused for a reason of its own.
const ASIDE_MAX: Duration = Duration::from_mins(5);
/// What was put off comes again so much later for each step of urgency.
const AFTER_WORSE: Duration = Duration::from_millis(50);
/// After a call that may have worked: Slack gets this time to show it.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a refused token is left alone.
const TOKEN_WAIT: Duration = Duration::from_mins(1);
/// After this time of failures a delivery is given up.
const GIVE_UP: Duration = Duration::from_hours(24);
/// The same in attempts, for edits of a message that is old already.
const GIVE_UP_ATTEMPTS: i64 = 2_880;

impl Outbox {
    /// Delivers until `shutdown`; what is under way then is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut round = Round::new(Arc::new(self));
        loop {
            let wait = match round.start_due().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "the outbox can't be read");
                    BACKOFF
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = round.outbox.store.outbox_changed() => round.is_told = true,
                Some(done) = round.under_way.join_next() => round.take(done),
                () = tokio::time::sleep(wait) => round.asks_due = true,
            }
        }
        if timeout(DELIVER_WITHIN, round.finish()).await.is_err() {
            tracing::warn!("deliveries were cut short; they are taken up again at the next start");
        }
    }

    /// One delivery, and the record of what came of it. Public so that it can be driven by hand.
    pub async fn deliver(&self, parcel: Parcel) {
        if let Some(delivered) = self.attempt(&parcel).await {
            let mut delivered = vec![delivered];
            let recorded = self.store.outbox_turn(&self.owner, 0, &mut delivered).await;
            told(&parcel, recorded.map(drop));
        }
    }

    /// One delivery. What went well is the caller's to record; anything else is recorded.
    async fn attempt(&self, parcel: &Parcel) -> Option<Delivered> {
        let delivered = timeout(DELIVER_WITHIN, self.try_deliver(parcel)).await;
        let delivered = delivered.unwrap_or_else(|_| {
            Err(ApiError::transient("the delivery took too long", true).into())
        });
        let now = self.store.now();
        let put_off = match delivered {
            Ok(Outcome::Sent(sent)) => {
                self.sent(parcel, now);
                match Delivered::new(parcel, sent) {
                    Ok(delivered) => return Some(delivered),
                    Err(error) => Err(error),
                }
            }
            Ok(Outcome::Later(after)) => self.store.outbox_later(parcel, later(now, after)).await,
            Err(Failure::Api(ApiError::RateLimited { after })) => {
                count("rate_limited");
                // All that waits for the same turn comes again one after another, the worst first.
                let after = after + AFTER_WORSE * parcel.outgoing.urgency() as u32;
                self.store.outbox_later(parcel, later(now, after)).await
            }
            Err(Failure::Api(ref error @ ApiError::Transient { perhaps_done, .. })) => {
                if gives_up(parcel, now) {
                    self.dead(parcel, &format!("given up after a day: {error}"))
                        .await
                } else {
                    count("retry");
                    let mut wait = backoff(parcel.attempts as u32, BACKOFF, BACKOFF_MAX);
                    if perhaps_done {
                        wait = wait.max(SETTLE);
                    }
                    tracing::warn!(
                        key = parcel.outgoing.key, attempts = parcel.attempts, %error,
                        "a delivery failed; again in {} ms", wait.as_millis()
                    );
                    self.store
                        .outbox_retry(parcel, later(now, wait), &error.to_string())
                        .await
                }
            }
            Err(Failure::Api(ref error @ ApiError::Token(ref code))) => {
                // Nothing is lost while somebody corrects the token.
                tracing::error!(key = parcel.outgoing.key, hint = hint(code), "{error}");
                if gives_up(parcel, now) {
                    self.dead(parcel, &error.to_string()).await
                } else {
                    count("token");
                    self.store
                        .outbox_retry(parcel, later(now, TOKEN_WAIT), &error.to_string())
                        .await
                }
            }
            Err(Failure::Api(ApiError::Refused(code))) => self.refused(parcel, &code, now).await,
            Err(Failure::Never(why)) => self.dead(parcel, &why).await,
            Err(Failure::Store(error)) => Err(error),
        };
        told(parcel, put_off);
        None
    }

    async fn try_deliver(&self, parcel: &Parcel) -> Result<Outcome, Failure> {
        match &parcel.outgoing.content {
            Content::Message(message) => self.message(parcel, message).await,
            Content::Room {
                incident,
                name,
                topic,
            } => self.room(parcel, *incident, name.as_deref(), topic).await,
            Content::Topic { incident, topic } => self.topic(*incident, topic).await,
            Content::Invite {
                incident,
                person,
                message,
            } => self.invite(parcel, *incident, person, message).await,
            Content::File { .. } | Content::Picture { .. } => self.file(parcel).await,
        }
    }

    /// Slack takes it when somebody has mended what it refuses, or its words: it waits. What keeps
    /// the whole lane back is waited for in order, anything else aside.
    async fn refused(&self, parcel: &Parcel, code: &str, now: Timestamp) -> Result<(), StoreError> {
        let of_lane = code == "missing_scope" || is_closed(code);
        if of_lane && code != "missing_scope" {
            // A scope that lacks was told where it was noticed.
            self.client.state().refused(MAIN_CHANNEL, code, None);
        } else if !of_lane {
            self.client.state().puzzled(code);
        }
        if gives_up(parcel, now) {
            return self.dead(parcel, code).await;
        }
        count("refused");
        let longest = if of_lane { BACKOFF_MAX } else { ASIDE_MAX };
        let wait = backoff(parcel.attempts as u32, BACKOFF, longest).max(BACKOFF);
        tracing::error!(
            key = parcel.outgoing.key,
            attempts = parcel.attempts,
            code,
            hint = hint(code),
            "Slack refuses a message; again in {} s",
            wait.as_secs()
        );
        let at = later(now, wait);
        if of_lane {
            self.store.outbox_retry(parcel, at, code).await
        } else {
            self.store.outbox_aside(parcel, at, code).await
        }
    }

    fn sent(&self, parcel: &Parcel, now: Timestamp) {
        count("sent");
        if parcel.outgoing.to == Destination::Home {
            self.client.state().works(MAIN_CHANNEL);
        }
        lock(&self.unsent).remove(&parcel.id);
        if parcel.ts.is_none() && parcel.version == 1 {
            metrics::DELIVERY.took(&[], between(parcel.created_at, now));
        }
    }

    async fn dead(&self, parcel: &Parcel, why: &str) -> Result<(), StoreError> {
        count("dead");
        lock(&self.unsent).remove(&parcel.id);
        tracing::error!(
            key = parcel.outgoing.key,
            lane = parcel.outgoing.to.lane(),
            hint = hint(why),
            "a message can't be delivered and is given up: {why}"
        );
        self.store.outbox_dead(parcel, why).await
    }
}

/// Tells why nothing of a delivery is recorded.
fn told(parcel: &Parcel, result: Result<(), StoreError>) {
    let key = &parcel.outgoing.key;
    match result {
        Ok(()) => {}
        Err(error @ StoreError::Lost) => tracing::warn!(key, %error, "a delivery"),
        // It is taken up again after a while.
        Err(error) => tracing::error!(key, %error, "a delivery could not be recorded"),
    }
}

/// Nothing came of it for so long that nobody waits any more.
fn gives_up(parcel: &Parcel, now: Timestamp) -> bool {
    if parcel.ts.is_none() {
        between(parcel.created_at, now) > GIVE_UP
    } else {
        parcel.attempts > GIVE_UP_ATTEMPTS
    }
}

fn later(now: Timestamp, after: Duration) -> Timestamp {
    now.checked_add(after).unwrap_or(now)
}

fn count(outcome: &'static str) {
    metrics::DELIVERIES.count(&[outcome]);
}

#[cfg(test)]
mod tests;
