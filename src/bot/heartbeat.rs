//! Saying that this process is alive: from before it takes anything up until nothing of it is under way.

use std::sync::{Mutex, PoisonError};

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::Context;
use crate::store::{DEAD_AFTER, HEARTBEAT_EVERY, StoreError};

/// Who says that this process is alive, while it does.
#[derive(Default)]
pub(super) struct Heartbeat(Mutex<Option<AbortOnDropHandle<()>>>);

impl Heartbeat {
    fn replace(&self, beating: Option<AbortOnDropHandle<()>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = beating;
    }
}

/// Makes this process known in the store: only then what it claims is its own.
pub async fn appear(context: &Context, serves: bool) -> Result<(), StoreError> {
    let (store, id) = (context.store().clone(), context.instance().to_owned());
    store.instance_start(&id, serves).await?;
    let beating = async move {
        loop {
            sleep(HEARTBEAT_EVERY).await;
            // One that hangs must not keep the next from being tried.
            match timeout(DEAD_AFTER / 2, store.instance_heartbeat(&id, serves)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the heartbeat could not be recorded"),
                Err(_) => tracing::error!("the heartbeat was not recorded in time"),
            }
        }
    };
    let beating = AbortOnDropHandle::new(tokio::spawn(beating));
    context.heartbeat().replace(Some(beating));
    Ok(())
}

/// Nothing of this process is under way any more: what it left may be taken over at once.
pub async fn disappear(context: &Context) -> Result<(), StoreError> {
    context.heartbeat().replace(None);
    context.store().instance_stop(context.instance()).await
}
