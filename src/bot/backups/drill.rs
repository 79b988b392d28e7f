//! A backup is tried out.

use super::held::{beat, note, told, while_held};
use super::words;
use crate::backup::Fault;
use crate::backup::postgres::{Database, Drilled};
use crate::backup::repository::Repository;
use crate::bot::settings::BackupPlan;
use crate::bot::{Context, timers};
use crate::domain::Person;
use crate::domain::backup::{Backup, Drill};
use crate::domain::duration::between;
use crate::store::{StoreError, TimerRow};

pub(super) async fn drill(
    context: &Context,
    timer: &TimerRow,
    plan: &BackupPlan,
    mut row: Backup,
    by: &Person,
) -> Result<(), StoreError> {
    let since = std::time::Instant::now();
    let say = || told("drill", &row, words::tries(&row, since.elapsed()));
    let Some(drilled) = while_held(context, timer, tried(plan, &row), say).await? else {
        return Ok(());
    };
    let at = context.now();
    let (good, restored_in_ms, found) = match drilled {
        Ok(drilled) => (
            drilled.is_good(),
            drilled.restored_in.as_millis() as u64,
            words::found(&drilled),
        ),
        Err(fault) => (false, 0, vec![format!("it could not be restored: {fault}")]),
    };
    if !good {
        let why = found.first().cloned().unwrap_or_default();
        let failed = format!("the drill of {} failed: {why}", row.id);
        beat(context, plan, None, None, Some(failed)).await?;
    }
    row.drill = Some(Drill {
        at,
        good,
        restored_in_ms,
        data_age_s: between(row.started_at, at).as_secs(),
        found,
    });
    let by = by.clone();
    timers::take(context, timer, move |tx, _, _| {
        Box::pin(async move {
            let message = words::drilled(&row);
            note(tx, &row, &by, message.title.plain()).await?;
            tx.outbox_put(&told("drill", &row, message)).await?;
            if let Some(mut known) = tx.backup(&row.name, &row.id).await? {
                known.drill = row.drill;
                tx.backup_put(&known).await?;
            }
            Ok(())
        })
    })
    .await
}

async fn tried(plan: &BackupPlan, row: &Backup) -> Result<Drilled, Fault> {
    let url = plan
        .drill_url
        .as_ref()
        .ok_or_else(|| Fault::Refused("no `drill_url` is configured".to_owned()))?;
    let admin = plan.server_at(url)?;
    let repository = Repository::new(plan.to.clone());
    let manifest = repository.manifest(&row.name, &row.id).await?;
    let keys = plan.keys()?;
    Database::drill(&admin, &repository, &manifest, keys.as_ref(), &plan.asks).await
}
