//! Steps that only write into the bot's own records: the write, the step and its result are one
//! transaction, so that a crash leaves all of it or nothing.

use serde_json::{Map, Value, json};

use super::Event;
use crate::bot::notify::STAKEHOLDERS;
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal, incidents};
use crate::domain::timeline::cut;
use crate::domain::{
    Door, Incident, IncidentId, Message, Person, Place, Reply, Request, Role, Severity, Status,
    Tone,
};
use crate::runbook::engine::{Drive, PendingCall, RunState};
use crate::store::{RunWrite, StoreError};

/// What is to be written.
struct Planned {
    /// `None`: it is so already.
    effect: Option<Effect>,
    /// The incident concerned; `None` for one that is yet to be declared.
    incident: Option<IncidentId>,
}

/// What became of it.
enum Written {
    Done,
    Lost,
}

/// Does it. `Err`: the run is another's now, or this process ends.
pub(super) async fn record_step(
    context: &Context,
    drive: &mut Drive<'_>,
    wanted: &PendingCall,
) -> Result<(), ()> {
    let id = drive.state().id;
    let now = context.store().now();
    let planned = match plan_record(context, drive.state(), wanted).await {
        Ok(planned) => planned,
        Err(fault) => {
            drive.refused(&wanted.path, &fault.line(), now);
            return Ok(());
        }
    };
    let Some(Ok(step)) = drive
        .begun(&wanted.path)
        .map(|step| serde_json::to_string(&step))
    else {
        return Err(());
    };
    let write = RunWrite {
        steps: vec![(wanted.path.clone(), step)],
        ..RunWrite::default()
    };
    let key = format!("run:{id}:{}:{}", wanted.path, wanted.attempt);
    let (path, attempt) = (wanted.path.clone(), wanted.attempt);
    let owner = context.instance().to_owned();
    let written = context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.run_write(id, &owner, &write).await? {
                    return Ok::<_, Fault>(Written::Lost);
                }
                let changed = planned.effect.is_some();
                let done = match planned.effect {
                    Some(Effect::Write(work)) => Some(work(tx).await?),
                    Some(Effect::Say(_)) | None => None,
                };
                let declared = done.as_ref().and_then(|done| done.declared);
                let incident = planned.incident.or(declared).map(|id| id.to_string());
                let line = match done.and_then(|done| done.answer) {
                    Some(answer) => answer.title(),
                    None => "it was so already".to_owned(),
                };
                let event = Event::Ended {
                    path,
                    attempt,
                    good: true,
                    line,
                    result: json!({"incident": incident, "changed": changed}),
                };
                let event = serde_json::to_string(&event).map_err(StoreError::from)?;
                tx.run_tell(id, &key, &event).await?;
                Ok(Written::Done)
            })
        })
        .await;
    match written {
        Ok(Written::Done) => drive.started(&wanted.path),
        Ok(Written::Lost) => return Err(()),
        Err(Fault::Refusal(refusal)) => {
            drive.refused(&wanted.path, &refusal.title.plain(), now);
        }
        Err(Fault::Failure(failure)) => {
            tracing::error!(run = id, cause = %failure.chain(), "a step could not be written");
            let until = now.checked_add(super::drive::QUEUE).unwrap_or(now);
            drive.queued(&wanted.path, "the store", until);
        }
    }
    Ok(())
}

/// The command that the step stands for.
async fn plan_record(
    context: &Context,
    state: &RunState,
    wanted: &PendingCall,
) -> Result<Planned, Fault> {
    let with = &wanted.call.with;
    let start = &state.start;
    let ask = Ask {
        request: Request {
            key: format!("run:{}:{}:{}", state.id, wanted.path, wanted.attempt),
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
    };
    if wanted.call.name == "incident.declare" {
        let services: Vec<String> = text(with, "service").into_iter().collect();
        let title = text(with, "title").unwrap_or_default();
        return Ok(Planned {
            effect: Some(crate::bot::incidents::declare(
                context,
                &ask,
                &title,
                severity(with)?,
                &services,
            )?),
            incident: None,
        });
    }
    let own = start
        .incident
        .as_ref()
        .map(|(id, _)| IncidentId(*id).to_string());
    let named = text(with, "incident").or(own);
    let incident = crate::bot::incidents::meant(context, &ask, named.as_deref()).await?;
    let id = incident.id;
    let name = id.to_string();
    let status = |wanted: Status| already(&incident, wanted);
    let words: Vec<String> = text(with, "text").into_iter().collect();
    let effect = match wanted.call.name.as_str() {
        "incident.severity" => {
            let wanted = severity(with)?;
            if incident.severity == wanted {
                None
            } else {
                Some(crate::bot::incidents::set_severity(context, &ask, Some(&name), wanted).await?)
            }
        }
        "incident.mitigate" if status(Status::Mitigated) => None,
        "incident.mitigate" => {
            let wanted = Status::Mitigated;
            Some(
                crate::bot::incidents::set_status(context, &ask, Some(&name), wanted, &words)
                    .await?,
            )
        }
        "incident.resolve" if status(Status::Resolved) => None,
        "incident.resolve" => {
            let wanted = Status::Resolved;
            Some(
                crate::bot::incidents::set_status(context, &ask, Some(&name), wanted, &words)
                    .await?,
            )
        }
        "incident.note" => {
            Some(crate::bot::incidents::note(context, &ask, Some(&name), words.join(" ")).await?)
        }
        "notify.incident" => Some(say(id, words.join(" "))),
        "notify.email" => {
            let key = &ask.request.key;
            Some(crate::bot::notify::mail_text(
                context,
                incident,
                key,
                &listed(with),
                &words.join(" "),
            )?)
        }
        other => {
            return Err(Refusal::new(format!("`{other}` can't be done by a runbook")).into());
        }
    };
    Ok(Planned {
        effect,
        incident: Some(id),
    })
}

/// Says something in an incident's room.
fn say(id: IncidentId, text: String) -> Effect {
    Effect::write(move |tx| {
        Box::pin(async move {
            let message = Message::new(Tone::Plain, cut(&text, 3_000));
            tx.outbox_put(&incidents::aloud(tx, id, message)).await?;
            Ok(Done {
                answer: Some(Answer::to_all(Message::new(
                    Tone::Good,
                    format!("said in {id}"),
                ))),
                ..Done::default()
            })
        })
    })
}

/// It is as good as that already.
fn already(incident: &Incident, wanted: Status) -> bool {
    incident.status == wanted || incident.status == Status::Closed
}

fn text(with: &Map<String, Value>, key: &str) -> Option<String> {
    with.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
        .map(str::to_owned)
}

/// Who is to get mail.
fn listed(with: &Map<String, Value>) -> Vec<String> {
    match with.get("to").and_then(Value::as_array) {
        Some(all) => all
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        None => vec![STAKEHOLDERS.to_owned()],
    }
}

fn severity(with: &Map<String, Value>) -> Result<Severity, Fault> {
    let given = text(with, "severity").unwrap_or_else(|| "SEV3".to_owned());
    Severity::parse(&given).ok_or_else(|| {
        Refusal::new(format!(
            "`{given}` is no severity: SEV1, SEV2, SEV3 or SEV4"
        ))
        .into()
    })
}
