//! Processes beside the one that serves: one command from the terminal.

use super::{appear, disappear, handle, understood};
use crate::bot::Context;
use crate::domain::Request;
use crate::store::StoreError;

/// Carries out one request of this process's own (`treasury-bot exec`) and what follows from
/// it; then returns. The answer is in the outbox.
pub async fn visit(context: &Context, request: Request) -> Result<(), StoreError> {
    let key = request.key.clone();
    context
        .store()
        .accept(request, Some(context.instance().to_owned()))
        .await?;
    if let Some(claim) = context.store().claim_own(&key).await? {
        let understood = understood(context, &claim);
        handle(context, claim, understood).await;
    }
    Ok(())
}

/// Starts a process that visits: it is known in the store and says that it is alive.
pub async fn start_visit(context: &Context) -> Result<(), StoreError> {
    appear(context, false).await?;
    context
        .tasks()
        .spawn(crate::bot::runs::keep_telling(context.clone()));
    Ok(())
}

/// Waits for the actions under way and takes leave of the store.
pub async fn end_visit(context: &Context) -> Result<(), StoreError> {
    context.shutdown().cancel();
    context.tasks().close();
    context.tasks().wait().await;
    disappear(context).await
}
