//! Runs that begin.

use serde_json::{Map, Value};

use super::about::About;
use super::caller::{called_key, step_of};
use super::params::{Unfilled, fill};
use crate::bot::{Context, Failure, Fault, Refusal};
use crate::domain::{Content, IncidentId, Message, Outgoing, Person, Reply, Role, Tone};
use crate::runbook::engine::{PendingCall, RunState, Start};
use crate::runbook::model::{Param, Runbook};
use crate::runbook::read::parse_param;
use crate::store::NewRun;

/// A start by a person, or by the bot itself.
pub(super) fn start(
    context: &Context,
    by: &Person,
    role: Role,
    params: Map<String, Value>,
    incident: Option<(i64, String)>,
    rehearsal: bool,
) -> Start {
    Start {
        params,
        by_id: by.id.clone(),
        by: by.name.clone(),
        role,
        callers: Vec::new(),
        approvals: Vec::new(),
        incident,
        rehearsal,
        at: context.now(),
        hold_ms: context.settings().hold.as_millis() as u64,
    }
}

/// A run that is told in this message.
pub(super) fn new_run(
    key: String,
    runbook: &Runbook,
    start: &Start,
    message: &Outgoing,
) -> Result<NewRun, Fault> {
    let json = |error: serde_json::Error| Fault::Failure(Failure::new(error));
    Ok(NewRun {
        key,
        name: runbook.name.value.clone(),
        source: runbook.source.text.to_string(),
        start: serde_json::to_string(start).map_err(json)?,
        message: serde_json::to_string(message).map_err(json)?,
        incident: start.incident.as_ref().map(|(id, _)| IncidentId(*id)),
    })
}

/// The run that a step of another calls, once for each attempt.
pub(super) fn called_run(
    context: &Context,
    caller: &RunState,
    callers_runbook: &Runbook,
    message: &Outgoing,
    call: &PendingCall,
    name: &str,
) -> Result<NewRun, String> {
    let runbook = named_runbook(context, name)?;
    let with = &call.call.with;
    let above = &caller.start;
    // The database of the caller is that of what it calls.
    let same = |param: &Param| {
        let mut params = callers_runbook.params.iter();
        let same = params.find(|one| param.kind.is_found() && one.kind == param.kind)?;
        above.params.get(&same.name.value).cloned()
    };
    let about = About::default();
    let params = fill(context, runbook, &about, |param| {
        let value = match with.get(&param.name.value) {
            Some(Value::String(text)) => Some(parse_param(param.kind, text)?),
            value => value.cloned(),
        };
        let value = value.filter(|value| !value.is_null());
        Ok(value.or_else(|| same(param).filter(|value| !value.is_null())))
    })
    .map_err(Unfilled::line)?;
    let start = Start {
        params,
        callers: above.callers.iter().copied().chain([caller.id]).collect(),
        approvals: caller.approvals(callers_runbook),
        at: context.now(),
        ..above.clone()
    };
    let key = called_key(&step_of(caller.id, call));
    let message = Outgoing {
        key: key.clone(),
        reply: Reply::default(),
        content: Content::Message(Message::new(Tone::Progress, "")),
        ..message.clone()
    };
    new_run(key, runbook, &start, &message).map_err(|fault| fault.line())
}

fn named_runbook<'a>(context: &'a Context, name: &str) -> Result<&'a Runbook, String> {
    let found = context.library().find(name);
    found.ok_or_else(|| format!("there is no runbook {name}"))
}

/// A run that the bot begins by itself, about what its alerts are about. `Err`: why not; as a question
/// where somebody only has to choose, by a sentence that ends with `tail`.
pub(in crate::bot) fn run_by_itself(
    context: &Context,
    name: &str,
    about: &About,
    incident: Option<(i64, String)>,
    rehearsal: bool,
    (message, tail): (&Outgoing, &str),
) -> Result<NewRun, Refusal> {
    let runbook = named_runbook(context, name).map_err(Refusal::new)?;
    let params = fill(context, runbook, about, |_| Ok(None)).map_err(|unfilled| {
        let verb = if rehearsal { "rehearse" } else { "run" };
        unfilled.question(runbook, |choice| {
            format!("runbook {verb} {name} {choice}{tail}")
        })
    })?;
    // What needs a commander is not done by itself.
    let role = Role::Responder;
    let start = start(context, &Person::bot(), role, params, incident, rehearsal);
    let new = new_run(message.key.clone(), runbook, &start, message);
    new.map_err(|fault| Refusal::new(fault.line()))
}
