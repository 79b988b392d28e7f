//! Steps that only write into the bot's own records: the write, the step and its result are one
//! transaction, so that a crash leaves all of it or nothing.

use serde_json::{Value, json};

use super::begun::Begun;
use super::caller::step_of;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Recorded, Written};
use crate::bot::{Context, Fault};
use crate::domain::{Door, IncidentId, Person, Place, Reply, Request, Role};
use crate::runbook::engine::{Event, Outcome, PendingCall, RunState};
use crate::store::{RunWrite, StoreError};

/// Writes it, with the step as it is begun.
pub(super) async fn record_step(
    context: &Context,
    state: &RunState,
    call: &PendingCall,
    write: RunWrite,
) -> Result<Begun, Fault> {
    let planned = match recorded(context, state, call).await {
        Ok(planned) => planned,
        Err(fault) => return Ok(Begun::Refused(fault.line())),
    };
    let step = step_of(state.id, call);
    let owner = context.instance().to_owned();
    let written = context.store().write(move |tx| {
        Box::pin(async move {
            if !tx.run_write(step.run, &owner, &write).await? {
                return Ok::<_, Fault>(Begun::Lost);
            }
            let changed = planned.effect.is_some();
            let done = match planned.effect {
                Some(Effect::Write(work)) => Some(work(tx).await?),
                Some(Effect::Say(_)) | None => None,
            };
            let declared = done.as_ref().and_then(|done| done.declared);
            let incident = planned.incident.or(declared);
            let incident = incident.map(|id| id.to_string()).unwrap_or_default();
            let line = match done.and_then(|done| done.answer) {
                Some(answer) => answer.title(),
                None => "it was so already".to_owned(),
            };
            let result = json!(Written { incident, changed });
            let event = Event::Ended {
                path: step.path.clone(),
                attempt: step.attempt,
                outcome: Outcome::Good { result, line },
            };
            let event = serde_json::to_string(&event).map_err(StoreError::from)?;
            tx.run_tell(step.run, &step.key(), &event).await?;
            Ok(Begun::Started(None))
        })
    });
    written.await
}

/// What the step writes: asked of the bot as if somebody had typed it.
async fn recorded(
    context: &Context,
    state: &RunState,
    call: &PendingCall,
) -> Result<Recorded, Fault> {
    let start = &state.start;
    let ask = Ask {
        request: Request {
            key: step_of(state.id, call).key(),
            door: Door::Terminal,
            person: Person {
                id: start.by_id.clone(),
                name: start.by.clone(),
            },
            place: Place::terminal(),
            text: String::new(),
            reply: Reply::default(),
        },
        role: Role::Responder,
        here: None,
        confirmed: None,
    };
    let own = start.incident.as_ref().map(|(id, _)| IncidentId(*id));
    let (name, params) = (&call.call.name, Value::Object(call.call.with.clone()));
    context
        .commands()
        .record(context, &ask, own, name, params)
        .await
}
