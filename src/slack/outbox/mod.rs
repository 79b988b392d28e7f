//! The poster: brings what `bot/` wants said to where it is to be said, once and in order.
//!
//! Each lane (a channel) is delivered in order, lanes side by side. A failure never loses a
//! message: it is repeated until Slack takes it or says that it never will. What may have been
//! posted by a call whose answer was lost is looked for by its key before it is posted again.

mod channels;
mod file;
mod message;
mod pace;
mod post;
mod poster;
mod room;
mod routed;
mod search;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::poster::{Failure, Outcome};
use super::client::backoff;
use super::error::{ApiError, hint};
use super::lock::lock;
use crate::domain::Content;
use crate::domain::duration::between;
use crate::store::{Parcel, StoreError};

pub use self::poster::Outbox;

/// Deliveries under way at once.
const AT_ONCE: usize = 16;
/// One delivery with all its calls; shorter than the store's lease.
const DELIVER_WITHIN: Duration = Duration::from_secs(50);
/// Looked for new work at least so often, should a change ever go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_mins(1);
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
        let outbox = Arc::new(self);
        let mut deliveries = JoinSet::new();
        loop {
            while deliveries.try_join_next().is_some() {}
            let wait = match outbox.start_due(&mut deliveries).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "the outbox can't be read");
                    BACKOFF
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = outbox.store.outbox_changed() => {}
                Some(_) = deliveries.join_next() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        let rest = async { while deliveries.join_next().await.is_some() {} };
        if timeout(DELIVER_WITHIN, rest).await.is_err() {
            tracing::warn!("deliveries were cut short; they are taken up again at the next start");
        }
    }

    /// Starts what is due; says how long nothing more will be.
    async fn start_due(
        self: &Arc<Self>,
        deliveries: &mut JoinSet<()>,
    ) -> Result<Duration, StoreError> {
        let free = AT_ONCE - deliveries.len().min(AT_ONCE);
        if free == 0 {
            return Ok(LOOK_EVERY);
        }
        let parcels = self.store.outbox_claim(&self.owner, free as i64).await?;
        let claimed = parcels.len();
        for parcel in parcels {
            let outbox = self.clone();
            deliveries.spawn(async move { outbox.deliver(parcel).await });
        }
        metrics::gauge!("treasury_bot_outbox_under_way").set(deliveries.len() as f64);
        if claimed == free {
            // There may be more; a finished delivery makes room for it.
            return Ok(LOOK_EVERY);
        }
        let due = self.store.outbox_next_due().await?;
        let wait = due.map_or(LOOK_EVERY, |due| between(self.store.now(), due));
        Ok(wait.clamp(Duration::from_millis(20), LOOK_EVERY))
    }

    /// One delivery, and the record of what came of it. Public so that it can be driven by hand.
    pub async fn deliver(&self, parcel: Parcel) {
        let id = parcel.id;
        let delivered = timeout(DELIVER_WITHIN, self.try_deliver(&parcel)).await;
        let delivered = delivered.unwrap_or_else(|_| {
            Err(ApiError::transient("the delivery took too long", true).into())
        });
        let now = self.store.now();
        let recorded = match delivered {
            Ok(Outcome::Sent(sent)) => {
                self.sent(&parcel, now);
                self.store.outbox_sent(id, parcel.version, sent).await
            }
            Ok(Outcome::Later(after)) => self.store.outbox_later(id, later(now, after)).await,
            Err(Failure::Api(ApiError::RateLimited { after })) => {
                count("rate_limited");
                self.store.outbox_later(id, later(now, after)).await
            }
            Err(Failure::Api(ref error @ ApiError::Transient { perhaps_done, .. })) => {
                if gives_up(&parcel, now) {
                    self.dead(&parcel, &format!("given up after a day: {error}"))
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
                        .outbox_retry(id, later(now, wait), &error.to_string())
                        .await
                }
            }
            Err(Failure::Api(ref error @ ApiError::Token(ref code))) => {
                // Nothing is lost while somebody corrects the token.
                tracing::error!(key = parcel.outgoing.key, hint = hint(code), "{error}");
                if gives_up(&parcel, now) {
                    self.dead(&parcel, &error.to_string()).await
                } else {
                    count("token");
                    self.store
                        .outbox_retry(id, later(now, TOKEN_WAIT), &error.to_string())
                        .await
                }
            }
            Err(Failure::Api(ApiError::Refused(code))) => self.dead(&parcel, &code).await,
            Err(Failure::Never(why)) => self.dead(&parcel, &why).await,
            Err(Failure::Store(error)) => Err(error),
        };
        if let Err(error) = recorded {
            // The lease runs out, and the delivery is taken up again.
            tracing::error!(key = parcel.outgoing.key, %error, "a delivery could not be recorded");
        }
    }

    async fn try_deliver(&self, parcel: &Parcel) -> Result<Outcome, Failure> {
        match &parcel.outgoing.content {
            Content::Message(message) => self.message(parcel, message).await,
            Content::Room { .. } => self.room(parcel).await,
            Content::Topic { incident, topic } => self.topic(parcel, *incident, topic).await,
            Content::File { .. } | Content::Picture { .. } => self.file(parcel).await,
        }
    }

    fn sent(&self, parcel: &Parcel, now: Timestamp) {
        count("sent");
        lock(&self.unsent).remove(&parcel.id);
        if parcel.ts.is_none() && parcel.version == 1 {
            metrics::histogram!("treasury_bot_outbox_delivery_seconds")
                .record(between(parcel.created_at, now).as_secs_f64());
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
        self.store.outbox_dead(parcel.id, why).await
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
    metrics::counter!("treasury_bot_outbox_deliveries_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests;
