//! When something is due, and how it is held while it is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{drill, find, take, verify};
use crate::backup::Fault;
use crate::backup::postgres::Database;
use crate::bot::settings::BackupPlan;
use crate::bot::timers::{self, Kind};
use crate::bot::{Context, hear};
use crate::domain::backup::Backup;
use crate::domain::heartbeat::Beat;
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, Message, Outgoing, Person, Stream};
use crate::store::{StoreError, TimerRow, Tx};

/// A backup or its drill is due by the calendar; the subject is that of the [`Order`].
pub(super) const DUE: Kind = Kind("backup-due");
/// An [`Order`] is to be carried out.
pub(super) const WORK: Kind = Kind("backup-work");

/// So often the bot says that it is still at it.
const BEAT: Duration = Duration::from_secs(5);

/// What is to be done with a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    Take,
    Verify(String),
    /// `None`: the newest good one.
    Drill(Option<String>),
}

/// Something to be done, by whose wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) name: String,
    pub(super) work: Work,
    pub(super) by: Person,
}

impl Order {
    /// One subject has one timer: what is under way is not begun twice.
    pub(super) fn subject(&self) -> String {
        match &self.work {
            Work::Take => format!("take {}", self.name),
            Work::Verify(id) => format!("verify {}/{id}", self.name),
            Work::Drill(_) => format!("drill {}", self.name),
        }
    }
}

pub(super) fn plan<'c>(context: &'c Context, name: &str) -> Option<&'c BackupPlan> {
    let mut all = context.settings().routine.backups.iter();
    all.find(|one| one.name == name)
}

pub(super) fn database(plan: &BackupPlan) -> Result<Database, Fault> {
    Ok(Database::new(plan.server()?))
}

/// Sets when each is due. What became due while no bot was there is due still: of two times the earlier
/// counts.
pub(crate) async fn begin_backups(context: &Context) -> Result<(), StoreError> {
    let plans = context.settings().routine.backups.clone();
    let begin = context.store().write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            for plan in plans {
                for (work, schedule) in [
                    (Work::Take, &plan.schedule),
                    (Work::Drill(None), &plan.drill_schedule),
                ] {
                    let next = schedule.as_ref().and_then(|schedule| schedule.next(now));
                    if let Some(next) = next {
                        let order = by_itself(&plan, work);
                        DUE.set_with(tx, &order.subject(), next, &order).await?;
                    }
                }
            }
            Ok(())
        })
    });
    begin.await
}

fn by_itself(plan: &BackupPlan, work: Work) -> Order {
    Order {
        name: plan.name.clone(),
        work,
        by: Person::bot(),
    }
}

/// Begins what is due, and sets the next time.
pub(super) async fn look(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let order: Order = serde_json::from_str(&timer.payload)?;
    timers::take(context, timer, move |tx, bot, subject| {
        Box::pin(async move {
            // What the configuration has no more is left.
            let Some(plan) = plan(bot, &order.name) else {
                return Ok(());
            };
            let schedule = match order.work {
                Work::Take => &plan.schedule,
                _ => &plan.drill_schedule,
            };
            let Some(schedule) = schedule else {
                return Ok(());
            };
            WORK.begin(tx, subject, &order).await?;
            if let Some(next) = schedule.next(tx.now()) {
                DUE.set_with(tx, subject, next, &order).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Carries an order out.
pub(super) async fn work(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let order: Order = serde_json::from_str(&timer.payload)?;
    let Some(plan) = plan(context, &order.name).cloned() else {
        return timers::discard(context, timer).await;
    };
    match order.work {
        Work::Take => take::take(context, timer, &plan, order.by).await,
        Work::Verify(id) => match find::row(context, &order.name, &id).await? {
            Some(row) => verify::verify(context, timer, &plan, row, &order.by).await,
            None => timers::discard(context, timer).await,
        },
        Work::Drill(id) => {
            let row = match id {
                Some(id) => find::row(context, &order.name, &id).await?,
                None => find::newest_good(context, &order.name).await?,
            };
            match row {
                Some(row) => drill::drill(context, timer, &plan, row, &order.by).await,
                None => timers::discard(context, timer).await,
            }
        }
    }
}

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
