//! A change of a step begins: with the approval it needs, the locks and the intent.

use std::time::Duration;

use serde_json::Value;

use super::begun::Begun;
use super::caller::step_of;
use super::messages::{RunMessages, approval_question};
use super::record::record_step;
use crate::bot::actions::{Intent, action_step, engine, incidents_of};
use crate::bot::{Context, Fault};
use crate::domain::action::{ActionRecord, ActionRow};
use crate::domain::service::foretold;
use crate::domain::{IncidentId, Person, Role};
use crate::runbook::engine::{APPROVAL_TIMEOUT, Approval, Drive, Outcome, PendingCall, RunState};
use crate::store::{RunLock, RunWrite, StoreError};
use tracing::Instrument;

/// A change that has to wait for somebody else's is tried again after this.
const QUEUE: Duration = Duration::from_secs(2);

/// The run is another process's now, or this one can't go on with it.
pub(super) struct Lost;

/// Begins a change, unless it has to be approved or to wait first.
pub(super) async fn begin_step(
    context: &Context,
    drive: &mut Drive<'_>,
    messages: &RunMessages<'_>,
    call: &PendingCall,
) -> Result<(), Lost> {
    let (path, name, now) = (&call.path, &call.call.name, context.now());
    let needed = approval_needed(context, name);
    if !drive.state().may(messages.runbook, path, &needed) {
        let text = approval_question(drive.state(), path, &needed);
        let until = now.checked_add(APPROVAL_TIMEOUT).unwrap_or(now);
        drive.request_approval(path, needed, &text, until);
        return Ok(());
    }
    let Some(step) = drive.begun(path) else {
        return Ok(());
    };
    let Ok(step) = serde_json::to_string(&step) else {
        return Err(Lost);
    };
    let write = RunWrite {
        steps: vec![(path.clone(), step)],
        ..RunWrite::default()
    };
    let state = drive.state();
    let begun = if context.commands().records(name) {
        record_step(context, state, call, write).await
    } else {
        begin_action(context, state, messages, call, write).await
    };
    let behind = match begun {
        Ok(Begun::Started(row)) => {
            drive.started(path);
            if let Some(row) = row {
                let work = engine::drive(context.clone(), *row);
                context.tasks().spawn(work.in_current_span());
            }
            return Ok(());
        }
        Ok(Begun::Refused(why)) => {
            drive.refused(path, &why, now);
            return Ok(());
        }
        Err(Fault::Refusal(refusal)) => {
            drive.refused(path, &refusal.title.plain(), now);
            return Ok(());
        }
        Ok(Begun::Lost) => return Err(Lost),
        Ok(Begun::Behind(what)) => what,
        Err(Fault::Failure(failure)) => {
            let (run, cause) = (drive.state().id, failure.chain());
            tracing::error!(run, %cause, "a change could not be begun");
            "the store".to_owned()
        }
    };
    let until = now.checked_add(QUEUE).unwrap_or(now);
    drive.queued(path, &behind, until);
    Ok(())
}

/// Who has to approve a step of this name, by the same policy as a typed command.
fn approval_needed(context: &Context, step: &str) -> Approval {
    let callable = context.library().vocabulary().callables.get(step);
    let guarded = action_step(step).map(|action| action.rules.guarded);
    let second_person = &context.settings().second_person;
    Approval {
        by: callable.map_or(Role::Commander, |callable| callable.needs),
        other: guarded.is_some_and(|one| second_person.contains(&one)),
        attempt: 0,
    }
}

/// What a changing step comes to now: checked as a command would be; nothing is touched.
async fn intent_of(context: &Context, call: &PendingCall) -> Result<Intent, String> {
    let name = &call.call.name;
    let action = action_step(name);
    let action = action.ok_or_else(|| format!("`{name}` can't be done by a runbook"))?;
    let params = Value::Object(call.call.with.clone());
    let words = (action.read)(params).map_err(|error| format!("{name}: {error}"))?;
    let intent = words.plan_step(context).await;
    intent.map_err(|fault| fault.line())
}

/// What a changing step would touch besides its service, for a rehearsal, or why it would be
/// refused as it stands now.
pub(super) async fn rehearse(context: &Context, call: &PendingCall) -> Outcome {
    // What only records something touches nothing.
    if action_step(&call.call.name).is_none() {
        return Outcome::Good {
            result: Value::Null,
            line: String::new(),
        };
    }
    match intent_of(context, call).await {
        Ok(intent) => Outcome::Good {
            result: Value::Null,
            line: foretold(&intent.along).unwrap_or_default(),
        },
        Err(line) => Outcome::Bad { line, retry: false },
    }
}

/// What a changing step would do.
async fn plan_step(
    context: &Context,
    state: &RunState,
    call: &PendingCall,
) -> Result<ActionRecord, String> {
    let start = &state.start;
    let intent = intent_of(context, call).await?;
    let here = start.incident.as_ref().map(|(id, _)| IncidentId(*id));
    let incidents = incidents_of(context, &intent.service, here).await;
    let incidents = incidents.map_err(|error| error.to_string())?;
    Ok(ActionRecord {
        service: intent.service,
        what: intent.kind,
        actor: Person {
            id: start.by_id.clone(),
            name: start.by.clone(),
        },
        reason: Some(format!("run {}", state.id)),
        incidents: incidents.iter().map(|incident| incident.id).collect(),
        messages: Vec::new(),
        before: intent.before,
        before_text: intent.before_text,
        along: intent.along,
        step: Some(step_of(state.id, call)),
    })
}

/// Takes the services' locks and writes the intent and the step, in one transaction.
async fn begin_action(
    context: &Context,
    state: &RunState,
    messages: &RunMessages<'_>,
    call: &PendingCall,
    write: RunWrite,
) -> Result<Begun, Fault> {
    let record = match plan_step(context, state, call).await {
        Ok(record) => record,
        Err(why) => return Ok(Begun::Refused(why)),
    };
    let (run, callers) = (state.id, state.start.callers.clone());
    let key = step_of(run, call).key();
    let entry = messages.intent(state, &call.path, &record);
    let owner = context.instance().to_owned();
    let begun = context.store().write(move |tx| {
        Box::pin(async move {
            let service = &record.service;
            // What a run that called this one has, is this one's to change.
            if let RunLock::Behind(other) = tx.run_lock(service, run).await?
                && !callers.contains(&other)
            {
                return Ok::<_, StoreError>(Begun::Behind(format!("{service}: run {other}")));
            }
            let Some(id) = tx.action_intend(&key, &owner, &record).await? else {
                let what = format!("{service}: somebody else's change of it");
                return Ok(Begun::Behind(what));
            };
            if !tx.run_write(run, &owner, &write).await? {
                return Ok(Begun::Lost);
            }
            for stream in record.streams() {
                tx.append(&stream, entry.clone()).await?;
            }
            Ok(Begun::Started(Some(Box::new(ActionRow {
                id,
                record,
                intended_at: tx.now(),
            }))))
        })
    });
    Ok(begun.await?)
}
