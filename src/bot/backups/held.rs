//! How what takes its time is held and told of.

use std::time::Duration;

use serde_json::json;

use crate::bot::settings::BackupPlan;
use crate::bot::{Context, hear};
use crate::domain::backup::Backup;
use crate::domain::heartbeat::Beat;
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, Message, Outgoing, Person, Stream};
use crate::store::{StoreError, TimerRow, Tx};

/// So often the bot says that it is still at it.
const BEAT: Duration = Duration::from_secs(5);

/// Does what takes its time, and says now and then that it goes on. `None`: the bot is to end, or another
/// has taken it over: then it is not ours to say how it ended.
pub(super) async fn while_held<T>(
    context: &Context,
    timer: &TimerRow,
    work: impl Future<Output = T>,
    say: impl Fn() -> Outgoing,
) -> Result<Option<T>, StoreError> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(Some(done)),
            () = context.shutdown().cancelled() => return Ok(None),
            () = tokio::time::sleep(BEAT) => {}
        }
        if !context
            .store()
            .timer_keep(timer, context.instance())
            .await?
        {
            return Ok(None);
        }
        let message = say();
        let said = context
            .store()
            .write(move |tx| Box::pin(async move { tx.outbox_put(&message).await }));
        said.await?;
    }
}

/// The one message that tells of something done with a backup.
pub(super) fn told(what: &str, row: &Backup, message: Message) -> Outgoing {
    let key = format!("backup:{what}:{}:{}", row.name, row.id);
    Outgoing::announcement(key, Destination::Home, message)
}

/// Says on the audit what was done with a backup.
pub(super) async fn note(
    tx: &mut Tx,
    row: &Backup,
    by: &Person,
    text: String,
) -> Result<(), StoreError> {
    let about = json!({"backup": row.name, "id": row.id});
    let draft = Draft::new(by, EntryKind::Note, text).data(about);
    tx.append(&Stream::Audit, draft).await?;
    Ok(())
}

/// Tells the heartbeat of this backup how it went: late, failed, or half the usual size is an alert.
pub(super) async fn beat(
    context: &Context,
    plan: &BackupPlan,
    size: Option<u64>,
    took: Option<Duration>,
    failed: Option<String>,
) -> Result<(), StoreError> {
    let beat = |at| Beat {
        at,
        size,
        took,
        failed,
    };
    hear(context, &plan.heartbeat(), beat).await.map(drop)
}
