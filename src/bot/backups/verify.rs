//! A backup is read back whole.

use super::held::{beat, note, told, while_held};
use super::words;
use crate::backup::postgres::Database;
use crate::backup::repository::Repository;
use crate::backup::{Fault, Manifest};
use crate::bot::settings::BackupPlan;
use crate::bot::{Context, timers};
use crate::domain::Person;
use crate::domain::backup::{Backup, BackupState};
use crate::store::{StoreError, TimerRow};

pub(super) async fn verify(
    context: &Context,
    timer: &TimerRow,
    plan: &BackupPlan,
    mut row: Backup,
    by: &Person,
) -> Result<(), StoreError> {
    let since = std::time::Instant::now();
    let say = || told("verify", &row, words::reads(&row, since.elapsed()));
    let Some(read) = while_held(context, timer, read(plan, &row), say).await? else {
        return Ok(());
    };
    let unknown = match read {
        Ok(opened) => {
            row.state = BackupState::read_back(opened);
            row.verified_at = Some(context.now());
            row.why = None;
            None
        }
        Err(Fault::Damaged(why)) => {
            row.state = BackupState::Damaged;
            let failed = format!("the backup {} is damaged: {why}", row.id);
            row.why = Some(why);
            beat(context, plan, None, None, Some(failed)).await?;
            None
        }
        // The store may be away: that says nothing of the backup.
        Err(fault) => Some(fault.to_string()),
    };
    let by = by.clone();
    timers::take(context, timer, move |tx, _, _| {
        Box::pin(async move {
            let message = words::verified(&row, unknown.as_deref());
            note(tx, &row, &by, message.title.plain()).await?;
            tx.outbox_put(&told("verify", &row, message)).await?;
            match tx.backup(&row.name, &row.id).await? {
                Some(known) if known.state == BackupState::Removed => Ok(()),
                _ if unknown.is_some() => Ok(()),
                _ => tx.backup_put(&row).await,
            }
        })
    })
    .await
}

async fn read(plan: &BackupPlan, row: &Backup) -> Result<bool, Fault> {
    let repository = Repository::new(plan.to.clone());
    let manifest = repository.manifest(&row.name, &row.id).await?;
    read_back(plan, &repository, &manifest).await
}

/// Reads it back whole; whether it could be opened, so that it was more than its checksums.
pub(super) async fn read_back(
    plan: &BackupPlan,
    repository: &Repository,
    manifest: &Manifest,
) -> Result<bool, Fault> {
    let keys = plan.keys()?;
    let database = Database::new(plan.server()?);
    let read = database.verify(repository, manifest, keys.as_ref()).await?;
    Ok(read.is_some())
}
