//! `backup list|now|show|verify|drill`.

use super::course::{Order, WORK, Work, plan};
use super::{find, words};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::settings::BackupPlan;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone};

pub(crate) async fn backup_list(context: &Context) -> Result<Effect, Fault> {
    let all = context.store().backups().await?;
    let plans = &context.settings().routine.backups;
    let message = words::list(plans, &all, context.now());
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(crate) async fn backup_show(context: &Context, id: &str) -> Result<Effect, Fault> {
    let all = context.store().backups().await?;
    let row = find::meant(&all, "show", id)?;
    let can_drill = plan(context, &row.name).is_some_and(|plan| plan.drill_url.is_some());
    Ok(Effect::Say(Answer::to_all(words::shown(&row, can_drill))))
}

/// The plan that is meant.
fn named<'c>(context: &'c Context, verb: &str, name: &str) -> Result<&'c BackupPlan, Refusal> {
    if let Some(found) = plan(context, name) {
        return Ok(found);
    }
    let line = Line::new()
        .text("No backup is configured as ")
        .code(cut(name, 60));
    let refusal = Refusal::new(line.text(". Nothing was done"));
    let all = context.settings().routine.backups.iter();
    let names = all.map(|one| one.name.as_str());
    Err(refusal
        .suggest_nearest(name, names, |near| format!("backup {verb} {near}"))
        .suggest("Which are there?", "backup list"))
}

pub(crate) fn backup_now(context: &Context, ask: &Ask, name: &str) -> Result<Effect, Fault> {
    let name = named(context, "now", name)?.name.clone();
    let line = Line::new().text("A backup of ").code(&name);
    let line = line.text(" is taken: one message in the main channel tells how it goes");
    Ok(ordered(ask, name, Work::Take, line))
}

pub(crate) async fn backup_verify(context: &Context, ask: &Ask, id: &str) -> Result<Effect, Fault> {
    let all = context.store().backups().await?;
    let row = find::meant(&all, "verify", id)?;
    named(context, "now", &row.name)?;
    if let Some(why) = words::not_there(&row) {
        return Err(Refusal::new(why).into());
    }
    let line = Line::new().text("The backup ").code(&row.id);
    let line = line.text(" is read back: one message in the main channel tells how it goes");
    Ok(ordered(ask, row.name, Work::Verify(row.id), line))
}

pub(crate) async fn backup_drill(
    context: &Context,
    ask: &Ask,
    meant: &str,
) -> Result<Effect, Fault> {
    let (name, id) = match plan(context, meant) {
        Some(plan) => match find::newest_good(context, &plan.name).await? {
            Some(row) => (plan.name.clone(), row.id),
            None => {
                let line = Line::new().text("There is no good backup of ").code(meant);
                let refusal = Refusal::new(line.text(" to try out"));
                return Err(refusal
                    .suggest("Take one", format!("backup now {meant}"))
                    .into());
            }
        },
        None => {
            let all = context.store().backups().await?;
            let row = find::meant(&all, "drill", meant)?;
            if let Some(why) = words::not_there(&row) {
                return Err(Refusal::new(why).into());
            }
            (row.name, row.id)
        }
    };
    if named(context, "drill", &name)?.drill_url.is_none() {
        let line = Line::new()
            .text("No server is configured to try backups of ")
            .code(&name);
        return Err(Refusal::new(line.text(" out on: set drill_url")).into());
    }
    let line = Line::new().text("The backup ").code(&id);
    let line = line.text(" is tried out: one message in the main channel tells how it goes");
    Ok(ordered(ask, name, Work::Drill(Some(id)), line))
}

/// Has something done as soon as a bot can. What is under way is not begun twice.
fn ordered(ask: &Ask, name: String, work: Work, line: Line) -> Effect {
    let by = ask.request.person.clone();
    let order = Order { name, work, by };
    Effect::write(move |tx| {
        Box::pin(async move {
            let subject = order.subject();
            if tx.timer_is_set(WORK.0, &subject).await? {
                let line = Line::new()
                    .text("That is under way already: ")
                    .code(subject);
                return Err(Refusal::new(line).into());
            }
            WORK.begin(tx, &subject, &order).await?;
            Ok(Answer::to_asker(Message::new(Tone::Progress, line)).into())
        })
    })
}
