//! One look at the outbox after another: what was delivered is recorded, what is due is started.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};

use super::poster::Outbox;
use crate::domain::duration::between;
use crate::store::{Delivered, StoreError};
use crate::telemetry::metrics;

/// Deliveries under way at once.
const AT_ONCE: usize = 16;
/// Looked for new work at least so often: a change may go unnoticed, and another process may die.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the poster has in hand.
pub(super) struct Round {
    pub(super) outbox: Arc<Outbox>,
    /// Each ends with what is still to be recorded of it.
    pub(super) under_way: JoinSet<Option<Delivered>>,
    /// Delivered, and not recorded yet.
    delivered: Vec<Delivered>,
    /// Something new may wait.
    pub(super) is_told: bool,
    /// When the next is due is to be asked: time has passed, or something was put off.
    pub(super) asks_due: bool,
    due: Option<Timestamp>,
}

impl Round {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self {
            outbox,
            under_way: JoinSet::new(),
            delivered: Vec::new(),
            is_told: true,
            asks_due: true,
            due: None,
        }
    }

    /// What came of a delivery.
    pub(super) fn take(&mut self, done: Result<Option<Delivered>, JoinError>) {
        match done {
            Ok(Some(delivered)) => self.delivered.push(delivered),
            Ok(None) => self.asks_due = true,
            Err(error) => tracing::error!(%error, "a delivery ended badly"),
        }
    }

    /// Records what was delivered and starts what is due; says how long nothing more will be.
    pub(super) async fn start_due(&mut self) -> Result<Duration, StoreError> {
        while let Some(done) = self.under_way.try_join_next() {
            self.take(done);
        }
        let Outbox { store, owner, .. } = &*self.outbox;
        let free = AT_ONCE - self.under_way.len().min(AT_ONCE);
        let has_news = self.is_told || !self.delivered.is_empty();
        if has_news || free > 0 && store.outbox_is_due(owner).await? {
            // What is not recorded now is by the next round: never delivered again for that.
            let turn = store.outbox_turn(owner, free as i64, &mut self.delivered);
            let parcels = turn.await?;
            self.is_told = parcels.len() == free;
            for parcel in parcels {
                let outbox = self.outbox.clone();
                let delivery = async move { outbox.attempt(&parcel).await };
                self.under_way.spawn(delivery);
            }
        }
        metrics::OUTBOX_UNDER_WAY.set(&[], self.under_way.len() as f64);
        if self.is_told {
            // There may be more; a finished delivery makes room for it.
            return Ok(LOOK_EVERY);
        }
        if self.asks_due {
            self.due = self.outbox.store.outbox_next_due().await?;
            self.asks_due = false;
        }
        let now = self.outbox.store.now();
        let wait = self.due.map_or(LOOK_EVERY, |due| between(now, due));
        Ok(wait.clamp(Duration::from_millis(20), LOOK_EVERY))
    }

    /// Waits for what is under way, and records each as it ends.
    pub(super) async fn finish(&mut self) {
        let Outbox { store, owner, .. } = &*self.outbox.clone();
        loop {
            if let Err(error) = store.outbox_turn(owner, 0, &mut self.delivered).await {
                tracing::error!(%error, "deliveries could not be recorded");
            }
            match self.under_way.join_next().await {
                Some(done) => self.take(done),
                None => return,
            }
        }
    }
}
