//! Saying that this process is alive: from before it takes anything up until nothing of it is under way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::store::{DEAD_AFTER, HEARTBEAT_EVERY, Store, StoreError};

/// Readiness asks the store for a write at most this often.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A write that failed so lately means that the store takes none; then it is tried once more.
const FAILED_LATELY: Duration = Duration::from_secs(5);

/// That one may take so long, and what failed before is why it takes longer.
const PROBE: Duration = Duration::from_millis(1_500);
const FAILED_BEFORE: Duration = Duration::from_mins(1);

/// Who says that this process is alive, while it does.
#[derive(Default)]
pub(super) struct Heartbeat {
    beating: Mutex<Option<AbortOnDropHandle<()>>>,
    /// Held while readiness asks for a write.
    probing: tokio::sync::Mutex<()>,
}

impl Heartbeat {
    /// Makes a process of this name known in the store, and says from now on that it lives.
    pub(super) async fn begin(
        &self,
        store: Store,
        id: String,
        serves: bool,
    ) -> Result<(), StoreError> {
        store.instance_start(&id, serves).await?;
        let beating = async move {
            loop {
                sleep(HEARTBEAT_EVERY).await;
                // One that hangs must not keep the next from being tried.
                match timeout(DEAD_AFTER / 2, store.instance_heartbeat(&id, serves)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(%error, "the heartbeat could not be recorded");
                    }
                    Err(_) => tracing::error!("the heartbeat was not recorded in time"),
                }
            }
        };
        self.replace(Some(AbortOnDropHandle::new(tokio::spawn(beating))));
        Ok(())
    }

    /// Says no more that it lives.
    pub(super) fn end(&self) {
        self.replace(None);
    }

    fn replace(&self, beating: Option<AbortOnDropHandle<()>>) {
        *self.beating.lock().unwrap_or_else(PoisonError::into_inner) = beating;
    }

    /// Whether the store takes writes of this process, which serves: by the last that failed and by a
    /// heartbeat. A full disk answers questions still.
    pub(super) async fn store_takes_writes(&self, store: &Store, id: &str) -> Result<(), String> {
        let _one = self.probing.lock().await;
        if let Some(why) = store.failed_within(FAILED_LATELY) {
            return Err(why);
        }
        if store.has_beaten_within(PROBE_EVERY) {
            return Ok(());
        }
        match timeout(PROBE, store.instance_heartbeat(id, true)).await {
            Ok(beat) => beat.map_err(|error| error.to_string()),
            Err(_) => Err(store
                .failed_within(FAILED_BEFORE)
                .unwrap_or_else(|| "it does not take a write in time".to_owned())),
        }
    }
}
