//! Runs that begin.

use serde_json::{Map, Value};

use super::caller::{called_key, step_of};
use super::params::fill;
use crate::bot::{Context, Failure, Fault};
use crate::domain::{Content, Message, Outgoing, Person, Reply, Role, ServiceName, Tone};
use crate::runbook::engine::{PendingCall, RunState, Start};
use crate::runbook::model::{ParamKind, Runbook};
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
    let params = fill(runbook, |param| match with.get(&param.name.value) {
        Some(Value::String(text)) => parse_param(param.kind, text).map(Some),
        value => Ok(value.filter(|value| !value.is_null()).cloned()),
    })?;
    let above = &caller.start;
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

/// A run that the bot begins by itself. What the runbook has to be told is the service, or has a
/// default.
pub(in crate::bot) fn run_by_itself(
    context: &Context,
    name: &str,
    service: Option<&ServiceName>,
    incident: Option<(i64, String)>,
    rehearsal: bool,
    message: &Outgoing,
) -> Result<NewRun, String> {
    let runbook = named_runbook(context, name)?;
    let params = fill(runbook, |param| {
        let service = service.filter(|_| param.kind == ParamKind::Service);
        Ok(service.map(|service| Value::String(service.to_string())))
    })?;
    // What needs a commander is not done by itself.
    let role = Role::Responder;
    let start = start(context, &Person::bot(), role, params, incident, rehearsal);
    new_run(message.key.clone(), runbook, &start, message).map_err(|fault| fault.line())
}
