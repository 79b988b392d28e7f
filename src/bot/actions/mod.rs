//! Actions: question, intent, work with progress, outcome.

pub(in crate::bot) mod evidence;
pub(in crate::bot) mod plan;
pub(in crate::bot) mod relapse;
pub(in crate::bot) mod sessions;
pub(in crate::bot) mod words;

use std::time::{Duration, Instant};

use serde_json::json;

pub(super) use self::plan::Plan;
pub(super) use self::words::{intent_text, joined_to, outcome_failed, state_text, verb};
use self::words::{outcome_good, told, working};
use super::request::{Ask, Done, Effect};
use super::{Context, Fault, Refusal, confirm};
use crate::domain::action::{ActionKind, ActionRecord, ActionRow};
use crate::domain::question::{QuestionRow, QuestionState};
use crate::domain::service::{ReplicaMark, ReplicaOutcome, Service, ServiceStatus, well_text};
use crate::domain::timeline::Draft;
use crate::domain::{
    Audience, Content, Destination, EntryKind, Incident, Line, Message, Outgoing, Reply,
    ServiceName, Stream, Tone,
};
use crate::platform::{Platform, PlatformError, ProgressSink};
use crate::store::StoreError;

/// Progress is written at most this often; the outbox keeps only the newest state anyway.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Why an intent can't be carried out any more.
pub(super) const NOT_CONFIGURED: &str = "it is no longer configured";

/// What is about to be recorded.
struct Intent<'a> {
    /// Whose lock is taken, and whose incidents are told.
    service: &'a ServiceName,
    kind: ActionKind,
    reason: Option<String>,
    before: Vec<ReplicaMark>,
    before_text: String,
}

/// What came of an action.
pub(super) struct Outcome {
    /// It is as it was meant to be.
    pub(super) good: bool,
    /// One line for the chat.
    pub(super) title: Line,
    /// The same and more for the timeline.
    pub(super) text: String,
    /// The state after, if it is known.
    pub(super) after: Option<ServiceStatus>,
    /// What is wrong, if it is.
    pub(super) cause: Option<String>,
    /// How long it took.
    pub(super) took: Duration,
    /// What was to be ended was there.
    pub(super) there: bool,
    /// The action under which how many pieces of evidence were kept, or why none could be.
    pub(super) evidence: Option<Result<(i64, usize), String>>,
}

/// Records the intent; the worker carries it out after the commit.
async fn intend(
    context: &Context,
    ask: &Ask,
    intent: Intent<'_>,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    let incidents = incidents_of(context, ask, intent.service).await?;
    let own = match &confirmed {
        Some(row) => row.question.message.clone(),
        None => ask.outgoing(
            Content::Message(Message::new(Tone::Progress, "")),
            Audience::Everyone,
        ),
    };
    let mut record = ActionRecord {
        service: intent.service.clone(),
        what: intent.kind,
        actor: ask.request.person.clone(),
        reason: intent.reason,
        incidents: incidents.iter().map(|incident| incident.id).collect(),
        messages: Vec::new(),
        before: intent.before,
        before_text: intent.before_text,
        step: None,
    };
    // The action's key: a question has one action for ever, and so has a request.
    let key = confirmed
        .as_ref()
        .map_or(&ask.request.key, |row| &row.token)
        .clone();
    record.messages = told_in(&own, &incidents, &key);
    let owner = context.instance().to_owned();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            if let Some(row) = &confirmed {
                confirm::take(
                    tx.question_answer(&row.token, QuestionState::Confirmed)
                        .await?,
                    row,
                )?;
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
            for stream in streams(&record) {
                tx.append(&stream, draft.clone()).await?;
            }
            let message = working(&record, None);
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
                answer: None,
                drive: Some(row),
                ..Done::default()
            })
        })
    }))
}

/// The open incidents on whose timelines an action on this service belongs.
async fn incidents_of(
    context: &Context,
    ask: &Ask,
    service: &ServiceName,
) -> Result<Vec<Incident>, Fault> {
    let mut incidents: Vec<Incident> = context
        .store()
        .incidents_open()
        .await?
        .into_iter()
        .filter(|incident| {
            incident.services.contains(service)
                || ask.here.as_ref().is_some_and(|here| here.id == incident.id)
        })
        .collect();
    incidents.sort_by_key(|incident| incident.id);
    Ok(incidents)
}

/// Carries out a recorded intent and records its outcome.
pub(super) async fn drive(context: Context, row: ActionRow) {
    let started = Instant::now();
    let outcome = if !context.heartbeat().is_surely_alive() {
        // Another process may have taken this action over; acting as well could do it twice.
        let cause = "this process was cut off from the store; nothing was done by it";
        outcome_failed(&row.record, cause, None, started)
    } else if row.record.what.is_on_platform() {
        match context.catalogue().get(&row.record.service) {
            None => outcome_failed(&row.record, NOT_CONFIGURED, None, started),
            Some((service, platform)) => {
                let (sink, steps) = ProgressSink::channel();
                let work = perform(&context, &row, service, &*platform, &sink, started);
                with_progress(&context, &row, work, steps).await
            }
        }
    } else {
        crate::bot::actions::sessions::end(&context, &row.record, started).await
    };
    finish(&context, &row, outcome).await;
}

/// Has the platform do it. All of it but the restart may be asked for twice: it comes to the
/// same.
pub(super) async fn perform(
    context: &Context,
    row: &ActionRow,
    service: &Service,
    platform: &dyn Platform,
    sink: &ProgressSink,
    started: Instant,
) -> Outcome {
    let patience = context.settings().patience;
    let mut evidence = None;
    let result = match &row.record.what {
        ActionKind::Restart => {
            let intent = row.intent();
            platform
                .restart(service, None, &intent, patience, sink)
                .await
        }
        ActionKind::Scale(n) => platform.scale(service, *n, patience, sink).await,
        ActionKind::Bounds { wanted, .. } => platform.set_bounds(service, *wanted).await,
        ActionKind::Deploy { version, .. } => {
            platform.deploy(service, version, patience, sink).await
        }
        ActionKind::Isolate { attachments } => {
            sink.report(0, attachments.len() as u32, "keeping evidence");
            evidence = Some(
                crate::bot::actions::evidence::keep_evidence(context, row, service, platform).await,
            );
            platform.isolate(service, attachments, sink).await
        }
        ActionKind::Release { attachments } => {
            match platform.release(service, attachments, sink).await {
                Ok(status) => settle(context, service, platform, status, sink).await,
                Err(error) => Err(error),
            }
        }
        ActionKind::Session { .. } | ActionKind::Client { .. } => {
            return outcome_failed(&row.record, "no platform does this", None, started);
        }
    };
    let outcome = judge(context, row, service, platform, result, started).await;
    outcome.with_evidence(evidence)
}

/// Waits until what was joined again is well, for as long as a restart may take. That it is
/// joined is true in any case.
async fn settle(
    context: &Context,
    service: &Service,
    platform: &dyn Platform,
    mut status: ServiceStatus,
    sink: &ProgressSink,
) -> Result<ServiceStatus, PlatformError> {
    let deadline = Instant::now() + context.settings().patience.healthy;
    while !status.is_well() && Instant::now() < deadline {
        let line = format!("joined again, {}: waiting", well_text(&status));
        sink.report(status.well() as u32, status.replicas.len() as u32, line);
        tokio::time::sleep(PROGRESS_EVERY).await;
        status = platform.status(service).await?;
    }
    Ok(status)
}

/// Turns a driver's result into an outcome: asks the health address, and after a failure looks
/// at what is there now.
pub(super) async fn judge(
    context: &Context,
    row: &ActionRow,
    service: &Service,
    platform: &dyn Platform,
    result: Result<ServiceStatus, PlatformError>,
    started: Instant,
) -> Outcome {
    let record = &row.record;
    match result {
        Ok(after) => {
            if let Some(url) = &service.health_url
                && !matches!(record.what, ActionKind::Isolate { .. })
                && let Err(why) = context
                    .http()
                    .wait_well(url, context.settings().patience.healthy)
                    .await
            {
                let cause =
                    format!("its replicas run, but its health address does not answer well: {why}");
                return outcome_failed(record, &cause, Some(after), started);
            }
            outcome_good(record, after, started)
        }
        Err(error) => {
            let mut cause = error.to_string();
            if let (PlatformError::Timeout { .. }, ActionKind::Restart) = (&error, &record.what)
                && let Ok(outcomes) = platform
                    .restart_outcome(service, &record.before, &row.intent())
                    .await
            {
                let restarted = outcomes
                    .iter()
                    .filter(|f| **f == ReplicaOutcome::Restarted)
                    .count();
                cause.push_str(&format!(
                    "; {restarted} of {} replicas were restarted",
                    outcomes.len()
                ));
            }
            let after = platform.status(service).await.ok();
            outcome_failed(record, &cause, after, started)
        }
    }
}

/// Edits the messages as the work goes on.
pub(super) async fn with_progress<F: Future>(
    context: &Context,
    row: &ActionRow,
    work: F,
    mut steps: tokio::sync::mpsc::Receiver<crate::domain::service::Progress>,
) -> F::Output {
    tokio::pin!(work);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            result = &mut work => return result,
            Some(step) = steps.recv() => {
                if last.elapsed() < PROGRESS_EVERY {
                    continue;
                }
                last = Instant::now();
                let message = working(&row.record, Some(&step));
                // Losing a step of progress must not hold up the work.
                if let Err(error) = say(context, &row.record.messages, message).await {
                    tracing::warn!(%error, "progress could not be recorded");
                }
            }
        }
    }
}

async fn say(context: &Context, messages: &[Outgoing], message: Message) -> Result<(), StoreError> {
    let edits: Vec<Outgoing> = messages
        .iter()
        .map(|outgoing| outgoing.with(Content::Message(message.clone())))
        .collect();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                for edit in &edits {
                    tx.outbox_put(edit).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Records the outcome and says it, in one transaction; tries until the store takes it, because
/// what was done must not stay unrecorded.
pub(super) async fn finish(context: &Context, row: &ActionRow, outcome: Outcome) {
    let word = if outcome.good { "done" } else { "failed" };
    metrics::counter!(
        "treasury_bot_actions_total", "action" => verb(&row.record.what), "outcome" => word
    )
    .increment(1);
    tracing::info!(action = row.id, text = %outcome.text, outcome = word, "action");
    let mut pause = Duration::from_millis(200);
    loop {
        match finish_once(context, row, &outcome).await {
            Ok(true) => {
                return crate::bot::actions::relapse::watch_over(context, row, &outcome).await;
            }
            Ok(false) => {
                tracing::warn!(
                    action = row.id,
                    "another process has taken this action over"
                );
                return;
            }
            Err(error) => {
                tracing::error!(action = row.id, %error, "an outcome could not be recorded");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // The next start finds the intent without outcome and looks again.
                    () = context.shutdown().cancelled() => return,
                }
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

async fn finish_once(
    context: &Context,
    row: &ActionRow,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let record = row.record.clone();
    let draft = Draft::new(&record.actor, EntryKind::Outcome, outcome.text.clone()).data(json!({
        "action": row.id,
        "good": outcome.good,
        "cause": outcome.cause,
        "after": outcome.after.as_ref().map(|after| {
            after.replicas.iter().map(ReplicaMark::from).collect::<Vec<_>>()
        }),
        "took_ms": outcome.took.as_millis() as u64,
    }));
    let good = outcome.good;
    let message = told(&record, outcome);
    let event = record.step.as_ref().map(|step| {
        let key = format!("run:{}:{}:{}", step.run, step.path, step.attempt);
        (step.run, key, super::runs::ended(&record, outcome))
    });
    let wake = event.as_ref().map(|(run, ..)| *run);
    let (id, owner) = (row.id, context.instance().to_owned());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.action_finish(id, &owner, good).await? {
                    return Ok(false);
                }
                for stream in streams(&record) {
                    tx.append(&stream, draft.clone()).await?;
                }
                for outgoing in &record.messages {
                    let content = Content::Message(message.clone());
                    tx.outbox_put(&outgoing.with(content)).await?;
                }
                if let Some((run, key, event)) = &event {
                    tx.run_tell(*run, key, event).await?;
                }
                Ok(true)
            })
        })
        .await
        .inspect(|_| {
            if let Some(run) = wake {
                context.wakers().wake(run);
            }
        })
}

/// The audit, then the incidents in ascending order.
fn streams(record: &ActionRecord) -> Vec<Stream> {
    std::iter::once(Stream::Audit)
        .chain(record.incidents.iter().map(|id| Stream::Incident(*id)))
        .collect()
}

/// The asker's own message, and one in the place of each incident that is worked on elsewhere.
fn told_in(own: &Outgoing, incidents: &[Incident], key: &str) -> Vec<Outgoing> {
    let mut messages = vec![own.clone()];
    for incident in incidents {
        let here = match &own.to {
            Destination::Incident(id) => *id == incident.id,
            Destination::Place(place) => incident
                .place
                .as_ref()
                .is_some_and(|room| room.channel == place.channel),
            Destination::Home | Destination::Channel(_) => false,
        };
        if !here {
            messages.push(Outgoing {
                key: format!("action:{key}:{}", incident.id),
                to: Destination::Incident(incident.id),
                audience: Audience::Everyone,
                requester: None,
                reply: Reply::default(),
                content: own.content.clone(),
            });
        }
    }
    messages
}
