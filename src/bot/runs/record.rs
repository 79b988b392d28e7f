//! Steps that only write into the bot's own records: the write, the step and its result are one
//! transaction, so that a crash leaves all of it or nothing.

use serde::Deserialize;
use serde_json::{Value, json};

use super::begun::Begun;
use super::caller::step_of;
use crate::bot::notify::{self, STAKEHOLDERS};
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal, incidents};
use crate::domain::timeline::cut;
use crate::domain::{
    Door, Incident, IncidentId, Line, Message, Person, Place, Reply, Request, Role, Severity,
    Status, Tone,
};
use crate::runbook::engine::{Event, Outcome, PendingCall, RunState};
use crate::store::{RunWrite, StoreError};

/// What is to be written.
struct Planned {
    /// `None`: it is so already.
    effect: Option<Effect>,
    /// The incident concerned; `None` for one that is yet to be declared.
    incident: Option<IncidentId>,
}

/// Writes it, with the step as it is begun.
pub(super) async fn record_step(
    context: &Context,
    state: &RunState,
    call: &PendingCall,
    write: RunWrite,
) -> Result<Begun, Fault> {
    let planned = match plan_record(context, state, call).await {
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
            let incident = planned.incident.or(declared).map(|id| id.to_string());
            let line = match done.and_then(|done| done.answer) {
                Some(answer) => answer.title(),
                None => "it was so already".to_owned(),
            };
            let result = json!({"incident": incident, "changed": changed});
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

/// What such steps are given; none takes all of it.
#[derive(Debug, Deserialize)]
struct Params {
    incident: Option<String>,
    service: Option<String>,
    severity: Option<String>,
    text: Option<String>,
    title: Option<String>,
    to: Option<Vec<String>>,
}

impl Params {
    fn severity(&self) -> Result<Severity, Refusal> {
        let given = self.severity.as_deref().unwrap_or("SEV3");
        Severity::parse(given).ok_or_else(|| {
            let title = format!("`{given}` is no severity: SEV1, SEV2, SEV3 or SEV4");
            Refusal::new(title)
        })
    }
}

/// The command that the step stands for.
async fn plan_record(
    context: &Context,
    state: &RunState,
    call: &PendingCall,
) -> Result<Planned, Fault> {
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
    };
    let name = call.call.name.as_str();
    let params = Value::Object(call.call.with.clone());
    let params: Params = serde_json::from_value(params)
        .map_err(|error| Refusal::new(Line::new().code(name).text(format!(": {error}"))))?;
    if name == "incident.declare" {
        let services: Vec<String> = params.service.iter().cloned().collect();
        let title = params.title.as_deref().unwrap_or_default();
        let effect = incidents::declare(context, &ask, title, params.severity()?, &services)?;
        return Ok(Planned {
            effect: Some(effect),
            incident: None,
        });
    }
    let own = start
        .incident
        .as_ref()
        .map(|(id, _)| IncidentId(*id).to_string());
    let named = params.incident.clone().filter(|id| !id.trim().is_empty());
    let incident = incidents::meant(context, &ask, named.or(own).as_deref()).await?;
    let id = incident.id;
    let named = id.to_string();
    let named = Some(named.as_str());
    let words: Vec<String> = params.text.iter().cloned().collect();
    let status = |status| incidents::set_status(context, &ask, named, status, &words);
    let effect = match name {
        "incident.severity" => {
            let wanted = params.severity()?;
            if incident.severity == wanted {
                None
            } else {
                Some(incidents::set_severity(context, &ask, named, wanted).await?)
            }
        }
        "incident.mitigate" if already(&incident, Status::Mitigated) => None,
        "incident.mitigate" => Some(status(Status::Mitigated).await?),
        "incident.resolve" if already(&incident, Status::Resolved) => None,
        "incident.resolve" => Some(status(Status::Resolved).await?),
        "incident.note" => Some(incidents::note(context, &ask, named, words.join(" ")).await?),
        "notify.incident" => Some(say(id, words.join(" "))),
        "notify.email" => {
            let key = &ask.request.key;
            let to = params.to.unwrap_or_else(|| vec![STAKEHOLDERS.to_owned()]);
            Some(notify::mail_text(
                context,
                incident,
                key,
                &to,
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
