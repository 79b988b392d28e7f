//! Old backups are removed, never the last good ones.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::held::note;
use crate::backup::repository::Repository;
use crate::bot::Context;
use crate::bot::settings::BackupPlan;
use crate::domain::Person;
use crate::domain::backup::{Backup, BackupState};
use crate::domain::duration::between;
use crate::store::StoreError;

/// What uploads that broke off left is as old as no upload lasts.
const LEFT_OVER: SignedDuration = SignedDuration::from_hours(24);

/// Removes what is older than it is kept, but for so many good ones.
pub(super) async fn remove_old(context: &Context, plan: &BackupPlan) -> Result<(), StoreError> {
    let now = context.now();
    let repository = Repository::new(plan.to.clone());
    let all = context.store().backups().await?;
    let of_plan: Vec<&Backup> = all.iter().filter(|one| one.name == plan.name).collect();
    for row in old(&of_plan, plan, now) {
        if let Err(error) = repository.remove(&row.name, &row.id).await {
            tracing::warn!(name = row.name, id = row.id, %error, "an old backup stays");
            continue;
        }
        let mut row = row.clone();
        let removed = context.store().write(move |tx| {
            Box::pin(async move {
                row.state = BackupState::Removed;
                let text = format!(
                    "backup {} {} is removed: its time has come",
                    row.name, row.id
                );
                note(tx, &row, &Person::bot(), text).await?;
                tx.backup_put(&row).await
            })
        });
        removed.await?;
    }
    let before = now - LEFT_OVER;
    if let Err(error) = plan.to.tidy(before).await {
        tracing::warn!(name = plan.name, %error, "what broken uploads left stays");
    }
    Ok(())
}

/// Those whose time has come; `all`: the newest first.
fn old<'b>(all: &[&'b Backup], plan: &BackupPlan, now: Timestamp) -> Vec<&'b Backup> {
    let good = all.iter().filter(|one| one.is_good());
    let kept: BTreeSet<&str> = good
        .take(plan.keep_at_least)
        .map(|one| one.id.as_str())
        .collect();
    let is_old = |one: &&&Backup| {
        between(one.started_at, now) > plan.keep
            && matches!(
                one.state,
                BackupState::Taken | BackupState::Verified | BackupState::Damaged
            )
            && !kept.contains(one.id.as_str())
    };
    all.iter().filter(is_old).copied().collect()
}
