//! Saying that this process is alive: from before it takes anything up until nothing of it is under way.

use std::sync::{Mutex, PoisonError};

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::store::{DEAD_AFTER, HEARTBEAT_EVERY, Store, StoreError};

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

    /// One asks for a write at a time.
    pub(super) async fn probe(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.probing.lock().await
    }

    /// Says no more that it lives.
    pub(super) fn end(&self) {
        self.replace(None);
    }

    fn replace(&self, beating: Option<AbortOnDropHandle<()>>) {
        *self.beating.lock().unwrap_or_else(PoisonError::into_inner) = beating;
    }
}
