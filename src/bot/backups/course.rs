//! When something is due, and how it is held while it is done.

use serde::{Deserialize, Serialize};

use super::{drill, find, take, verify};
use crate::bot::Context;
use crate::bot::settings::BackupPlan;
use crate::bot::timers::{self, Kind};
use crate::domain::Person;
use crate::domain::schedule::Schedule;
use crate::store::{StoreError, TimerRow};

/// A backup or its drill is due by the calendar; the subject is that of the [`Order`].
pub(super) const DUE: Kind = Kind("backup-due");
/// An [`Order`] is to be carried out.
pub(super) const WORK: Kind = Kind("backup-work");

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

/// Sets when each is due. What became due while no bot was there is due still: of two times the earlier
/// counts.
pub(crate) async fn begin_backups(context: &Context) -> Result<(), StoreError> {
    let plans = context.settings().routine.backups.iter();
    let by_itself = |plan: &BackupPlan| {
        [
            (Work::Take, &plan.schedule),
            (Work::Drill(None), &plan.drill_schedule),
        ]
        .map(|(work, schedule)| Some((by_itself(plan, work), schedule.clone()?)))
    };
    let orders: Vec<(Order, Schedule)> = plans.flat_map(by_itself).flatten().collect();
    if orders.is_empty() {
        return Ok(());
    }
    let begin = context.store().write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            for (order, schedule) in orders {
                if let Some(next) = schedule.next(now) {
                    DUE.set_with(tx, &order.subject(), next, &order).await?;
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
        Work::Verify(id) => match context.store().backup(&order.name, &id).await? {
            Some(row) => verify::verify(context, timer, &plan, row, &order.by).await,
            None => timers::discard(context, timer).await,
        },
        Work::Drill(id) => {
            let row = match id {
                Some(id) => context.store().backup(&order.name, &id).await?,
                None => find::newest_good(context, &order.name).await?,
            };
            match row {
                Some(row) => drill::drill(context, timer, &plan, row, &order.by).await,
                None => timers::discard(context, timer).await,
            }
        }
    }
}
