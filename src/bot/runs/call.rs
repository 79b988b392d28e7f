//! What a step calls: a probe of the registry, or an action with its intent.

use serde_json::{Map, Value, json};

use crate::bot::actions::{Outcome as Acted, Plan, state_text};
use crate::bot::{Context, Fault};
use crate::command::Change;
use crate::domain::action::{ActionKind, ActionRecord, StepRef};
use crate::domain::service::{End, ServiceStatus};
use crate::domain::{Person, ServiceName};
use crate::runbook::engine::{Outcome, PendingCall, Start};

/// An action that a step wants.
pub(super) struct Planned {
    pub(super) record: ActionRecord,
}

fn text(with: &Map<String, Value>, key: &str) -> Result<String, String> {
    match with.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(format!("`{key}` has to be a text")),
    }
}

fn whole(with: &Map<String, Value>, key: &str) -> Result<i64, String> {
    with.get(key)
        .and_then(Value::as_i64)
        .ok_or_else(|| format!("`{key}` has to be a whole number"))
}

/// Calls a probe for a step.
pub(super) async fn look_for_step(context: Context, wanted: PendingCall) -> Outcome {
    let mut with = wanted.call.with;
    // What is null is left out: most probes know a default.
    with.retain(|_, value| !value.is_null());
    match crate::bot::registry::call(&context, &wanted.call.name, Value::Object(with)).await {
        Ok(called) => Outcome::Good {
            result: called.value,
            line: called.message.title.plain(),
        },
        Err(fault) => Outcome::Bad {
            retry: matches!(fault, Fault::Failure(_)),
            line: fault.line(),
        },
    }
}

/// What a changing step would do: checked as a command would be.
pub(super) async fn plan_step(
    context: &Context,
    run: i64,
    start: &Start,
    wanted: &PendingCall,
) -> Result<Planned, String> {
    let with = &wanted.call.with;
    let (service, what, before, before_text) = match wanted.call.name.as_str() {
        name if name.starts_with("service.") => {
            let change = change(name, with)?;
            let (name, plan) = plan_change(context, &change)
                .await
                .map_err(|fault| fault.line())?;
            let (before, text) = (plan.marks(), state_text(&plan.before));
            (name, plan.kind, before, text)
        }
        "db.cancel" | "db.terminate" => {
            let database = with.get("database").and_then(Value::as_str);
            let found = context.catalogue().database(database);
            let found = found.map_err(|refusal| refusal.title.plain())?;
            let pid = i32::try_from(whole(with, "pid")?)
                .map_err(|_| "`pid` is no session's number".to_owned())?;
            let started_at = text(with, "started_at")?
                .parse()
                .map_err(|_| "`started_at` is no time".to_owned())?;
            let how = if wanted.call.name == "db.cancel" {
                End::Cancel
            } else {
                End::Terminate
            };
            let what = ActionKind::Session {
                database: found.name.clone(),
                pid,
                started_at,
                how,
            };
            (found.service.clone(), what, Vec::new(), String::new())
        }
        "cache.kill" => {
            let cache = with.get("cache").and_then(Value::as_str);
            let found = context.catalogue().cache(cache);
            let found = found.map_err(|refusal| refusal.title.plain())?;
            let what = ActionKind::Client {
                cache: found.name.clone(),
                id: u64::try_from(whole(with, "client")?)
                    .map_err(|_| "`client` is no client's number".to_owned())?,
                server: with
                    .get("server")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            };
            (found.service.clone(), what, Vec::new(), String::new())
        }
        other => return Err(format!("`{other}` can't be done by a runbook")),
    };
    let mut incidents: Vec<_> = context
        .store()
        .incidents_open()
        .await
        .map_err(|error| error.to_string())?
        .into_iter()
        .filter(|incident| {
            incident.services.contains(&service)
                || start
                    .incident
                    .as_ref()
                    .is_some_and(|(id, _)| *id == incident.id.0)
        })
        .map(|incident| incident.id)
        .collect();
    incidents.sort();
    Ok(Planned {
        record: ActionRecord {
            service,
            what,
            actor: Person {
                id: start.by_id.clone(),
                name: start.by.clone(),
            },
            reason: Some(format!("run {run}")),
            incidents,
            messages: Vec::new(),
            before,
            before_text,
            step: Some(StepRef {
                run,
                path: wanted.path.clone(),
                attempt: wanted.attempt,
            }),
        },
    })
}

async fn plan_change(context: &Context, change: &Change) -> Result<(ServiceName, Plan), Fault> {
    let (service, platform) = context
        .catalogue()
        .find(change.service(), |near| format!("status {near}"))?;
    let plan = crate::bot::actions::plan::plan(context, service, platform.as_ref(), change).await?;
    Ok((service.name.clone(), plan))
}

/// The command that a step stands for.
fn change(name: &str, with: &Map<String, Value>) -> Result<Change, String> {
    let (service, reason, exactly) = (text(with, "service")?, None, None);
    Ok(match name {
        "service.restart" => Change::Restart { service, reason },
        "service.scale" => Change::Scale {
            service,
            replicas: u32::try_from(whole(with, "replicas")?)
                .map_err(|_| "`replicas` is 0 or more".to_owned())?,
            reason,
        },
        "service.deploy" => Change::Deploy {
            service,
            image: text(with, "image")?,
            exactly,
            reason,
        },
        "service.rollback" => Change::Rollback {
            service,
            exactly,
            reason,
        },
        "service.isolate" => Change::Isolate { service, reason },
        "service.release" => Change::Release { service, reason },
        other => return Err(format!("`{other}` can't be done by a runbook")),
    })
}

/// What an action gave, in the shape that the registry tells.
pub(in crate::bot) fn result_of(record: &ActionRecord, acted: &Acted) -> Value {
    let after = acted.after.as_ref();
    let mut result = match &record.what {
        ActionKind::Session { .. } => return json!({"ended": acted.there}),
        ActionKind::Client { .. } => return json!({"closed": acted.there}),
        ActionKind::Restart | ActionKind::Scale(_) | ActionKind::Bounds { .. } => json!({}),
        ActionKind::Deploy {
            version, former, ..
        } => json!({
            "image": version.image,
            "former": former.as_ref().map(|former| &former.image),
        }),
        ActionKind::Isolate { attachments } => json!({
            "attachments": attachments.len(),
            "evidence": match &acted.evidence {
                Some(Ok((_, count))) => *count,
                _ => 0,
            },
        }),
        ActionKind::Release { attachments } => json!({"attachments": attachments.len()}),
    };
    result["well"] = after.is_some_and(ServiceStatus::is_well).into();
    result["well_replicas"] = after.map_or(0, ServiceStatus::well).into();
    result["total_replicas"] = after.map_or(0, |after| after.replicas.len()).into();
    result["took_ms"] = (acted.took.as_millis() as u64).into();
    result
}
