//! From typed words to a question, or to a recorded intent.

use serde_json::json;

use super::kind::{Intent, Plan, Words};
use super::kinds::{intent_text, kind_of};
use super::outcome::progress_message;
use crate::bot::confirm::{self, must_ask};
use crate::bot::request::{Answer, Ask, Done, Effect, Next};
use crate::bot::{Context, Fault, Refusal};
use crate::command::words::quote;
use crate::domain::action::{ActionRecord, ActionRow};
use crate::domain::question::QuestionRow;
use crate::domain::service::foretold;
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Audience, Content, Destination, EntryKind, Incident, IncidentId, Line, Message, Outgoing, Part,
    Reply, ServiceName, Tone, duration,
};
use crate::store::StoreError;

/// Checks what was typed, asks whether it is meant where the policy wants that, and otherwise
/// records the intent; the worker carries it out after the commit.
pub(in crate::bot) async fn propose(
    context: &Context,
    ask: &Ask,
    words: &dyn Words,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    let plan = words.plan(context).await?;
    let service = &plan.intent.service;
    let on_platform = kind_of(&plan.intent.kind).is_on_platform();
    if on_platform && let Some(row) = context.store().action_on(service).await? {
        return Err(busy(&row, context.now()).into());
    }
    if let (Some(nothing), None) = (&plan.nothing, &confirmed) {
        let title = Line::new().code(service).text(nothing);
        let answer = Answer::to_all(Message::new(Tone::Good, title));
        return Ok(Effect::Say(answer));
    }
    if must_ask(context, plan.rules.guarded) && confirmed.is_none() {
        return Ok(question(context, ask, plan, on_platform));
    }
    intend(context, ask, plan.intent, plan.reason, confirmed).await
}

fn question(context: &Context, ask: &Ask, plan: Plan, on_platform: bool) -> Effect {
    let (mut sentence, mut fields) = (plan.sentence, plan.fields);
    if on_platform {
        fields.insert(0, ("Now".to_owned(), plan.intent.before_text.into()));
        let requester = Line::new().person(&ask.request.person);
        fields.push(("Asked by".to_owned(), requester));
    }
    if let Some(reason) = plan.reason {
        sentence.push_str(&format!(" --reason {}", quote(&reason)));
        fields.push(("Reason".to_owned(), Line::mentioning(&reason)));
    }
    let mut message = Message::new(Tone::Question, plan.title).text(plan.effect);
    if let Some(foretold) = foretold(&plan.intent.along) {
        message = message.text(format!("⛓ {foretold}"));
    }
    if !fields.is_empty() {
        message = message.part(Part::Fields(fields));
    }
    let label = cut(&plan.label, 70);
    confirm::question(context, ask, sentence, &label, message.code(plan.detail))
}

fn busy(row: &ActionRow, now: jiff::Timestamp) -> Refusal {
    let record = &row.record;
    let doing = kind_of(&record.what).sentences(record).participle;
    let since = duration::text(duration::between(row.intended_at, now));
    Refusal::new(
        Line::new()
            .code(&record.service)
            .text(format!(" is being {doing} by "))
            .person(&record.actor)
            .text(format!(" since {since}. Nothing further was done")),
    )
    .suggest("Status", format!("status {}", record.service))
}

/// Records the intent; the worker carries it out after the commit.
async fn intend(
    context: &Context,
    ask: &Ask,
    intent: Intent,
    reason: Option<String>,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    let here = ask.here.as_ref().map(|here| here.id);
    let incidents = incidents_of(context, &intent.service, here).await?;
    let own = match &confirmed {
        Some(row) => row.question.message.clone(),
        None => ask.outgoing(
            Content::Message(Message::new(Tone::Progress, "")),
            Audience::Everyone,
        ),
    };
    // The action's key: a question has one action for ever, and so has a request.
    let key = confirmed
        .as_ref()
        .map_or(&ask.request.key, |row| &row.token)
        .clone();
    let record = ActionRecord {
        service: intent.service,
        what: intent.kind,
        actor: ask.request.person.clone(),
        reason,
        incidents: incidents.iter().map(|incident| incident.id).collect(),
        messages: messages(&own, &incidents, &key),
        before: intent.before,
        before_text: intent.before_text,
        along: intent.along,
        step: None,
    };
    let owner = context.instance().to_owned();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            if let Some(row) = &confirmed {
                confirm::answer_yes(tx, row).await?;
            }
            let Some(id) = tx.action_intend(&key, &owner, &record).await? else {
                return Err(Refusal::new(
                    Line::new().code(&record.service).text(
                        " is being changed by somebody else at this moment. Nothing was done",
                    ),
                )
                .suggest("Status", format!("status {}", record.service))
                .into());
            };
            let text = match &record.reason {
                Some(reason) => format!("{}: {reason}", intent_text(&record)),
                None => intent_text(&record),
            };
            let draft = Draft::new(&record.actor, EntryKind::Intent, text).data(json!({
                "action": id,
                "service": record.service,
                "what": record.what,
                "asked_by": confirmed.as_ref().map(|row| &row.question.requester),
                "before": record.before,
            }));
            for stream in record.streams() {
                tx.append(&stream, draft.clone()).await?;
            }
            let message = progress_message(&record, None);
            for outgoing in &record.messages {
                tx.outbox_put(&outgoing.with(Content::Message(message.clone())))
                    .await?;
            }
            let row = ActionRow {
                id,
                record,
                intended_at: tx.now(),
            };
            Ok(Done {
                next: Some(Next::Drive(Box::new(row))),
                ..Done::default()
            })
        })
    }))
}

/// The open incidents on whose timelines an action on this service belongs, in ascending order:
/// those of the service, and the one in whose place or run it is done.
pub(in crate::bot) async fn incidents_of(
    context: &Context,
    service: &ServiceName,
    here: Option<IncidentId>,
) -> Result<Vec<Incident>, StoreError> {
    let mut incidents = context.store().incidents_open().await?;
    incidents.retain(|one| one.services.contains(service) || here == Some(one.id));
    incidents.sort_by_key(|incident| incident.id);
    Ok(incidents)
}

/// The requester's own message, and one in the place of each incident that is worked on elsewhere.
fn messages(own: &Outgoing, incidents: &[Incident], key: &str) -> Vec<Outgoing> {
    let elsewhere = incidents.iter().filter(|incident| match &own.to {
        Destination::Incident(id) => *id != incident.id,
        Destination::Place(place) => incident
            .place
            .as_ref()
            .is_none_or(|room| room.channel != place.channel),
        Destination::Home | Destination::Channel(_) => true,
    });
    let others = elsewhere.map(|incident| Outgoing {
        key: format!("action:{key}:{}", incident.id),
        to: Destination::Incident(incident.id),
        audience: Audience::Everyone,
        requester: None,
        reply: Reply::default(),
        severity: None,
        content: own.content.clone(),
    });
    std::iter::once(own.clone()).chain(others).collect()
}
