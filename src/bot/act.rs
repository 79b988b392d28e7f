//! Actions on services: question, intent, work with progress, outcome.

use std::time::{Duration, Instant};

use serde_json::json;

use super::worker::{Answer, Ask, Done, Effect};
use super::{Bot, Fault, Refusal, confirm, progress, with_content};
use crate::command::words::quote;
use crate::domain::service::{ReplicaFate, ReplicaMark, Service, ServiceStatus, images, well_text};
use crate::domain::timeline::Draft;
use crate::domain::{
    Audience, Button, Content, Destination, EntryKind, Incident, Line, Message, Outgoing, Part,
    Reply, Stream, Tone, duration,
};
use crate::platform::{Platform, PlatformError, ProgressSink};
use crate::store::{ActionKind, ActionRecord, ActionRow, QuestionRow, QuestionState, StoreError};

/// Progress is written at most this often; the outbox keeps only the newest state anyway.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

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
}

impl Bot {
    /// `restart` and `scale`: checks, asks, or records the intent.
    pub(super) async fn act(
        &self,
        ask: &Ask,
        name: &str,
        kind: ActionKind,
        reason: Option<String>,
        confirmed: Option<QuestionRow>,
    ) -> Result<Effect, Fault> {
        let tail = match kind {
            ActionKind::Restart => String::new(),
            ActionKind::Scale(n) => format!(" {n}"),
        };
        let verb = verb(&kind);
        let (service, platform) = self
            .catalogue()
            .find(name, |near| format!("{verb} {near}{tail}"))?;
        if let ActionKind::Scale(wanted) = kind {
            within_bounds(service, wanted)?;
            platform.scalable(service, wanted).await?;
        }
        if let Some(row) = self.store().action_on(&service.name).await? {
            return Err(busy(&row, self.store().now()).into());
        }
        let before = platform.status(service).await?;
        if let ActionKind::Scale(wanted) = kind
            && before.replicas.len() == wanted as usize
            && before.is_well()
            && confirmed.is_none()
        {
            return Ok(Effect::Say(Answer::to_all(Message::new(
                Tone::Good,
                Line::new()
                    .code(&service.name)
                    .text(format!(" already has {wanted} replicas: nothing to do")),
            ))));
        }
        let reason_text = reason
            .as_ref()
            .map(|r| format!(" --reason {}", quote(r)))
            .unwrap_or_default();
        let sentence = format!("{verb} {name}{tail}{reason_text}");
        let must_ask = match kind {
            ActionKind::Restart => self.settings().confirm_restart,
            ActionKind::Scale(_) => self.settings().confirm_scale,
        };
        if must_ask && confirmed.is_none() {
            let (about, label) = question(ask, service, &kind, &before, reason.as_deref());
            return Ok(self.question(ask, sentence, &label, about));
        }
        self.intend(ask, service, kind, reason, confirmed, &before)
            .await
    }

    /// Records the intent; the worker carries it out after the commit.
    async fn intend(
        &self,
        ask: &Ask,
        service: &Service,
        kind: ActionKind,
        reason: Option<String>,
        confirmed: Option<QuestionRow>,
        before: &ServiceStatus,
    ) -> Result<Effect, Fault> {
        let incidents = self.incidents_of(ask, service).await?;
        let own = match &confirmed {
            Some(row) => row.question.message.clone(),
            None => ask.outgoing(
                Content::Message(Message::new(Tone::Progress, "")),
                Audience::Everyone,
            ),
        };
        let mut record = ActionRecord {
            service: service.name.clone(),
            what: kind,
            actor: ask.request.person.clone(),
            reason,
            incidents: incidents.iter().map(|incident| incident.id).collect(),
            messages: Vec::new(),
            before: before.replicas.iter().map(ReplicaMark::from).collect(),
            before_text: state_text(before),
        };
        // The action's key: a question has one action for ever, and so has a request.
        let key = confirmed
            .as_ref()
            .map_or(&ask.request.key, |row| &row.token)
            .clone();
        record.messages = told_in(&own, &incidents, &key);
        let owner = self.inner.instance.clone();
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
                    return Err(Refusal::new(Line::new().code(&record.service).text(
                        " is being changed by somebody else at this moment. Nothing was done",
                    ))
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
                    "asked_by": confirmed.as_ref().map(|row| &row.question.asker),
                    "before": record.before,
                }));
                for stream in streams(&record) {
                    tx.append(&stream, draft.clone()).await?;
                }
                let message = working(&record, None);
                for outgoing in &record.messages {
                    tx.outbox_put(&with_content(outgoing, Content::Message(message.clone())))
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
                })
            })
        }))
    }

    /// The open incidents on whose timelines an action on this service belongs.
    async fn incidents_of(&self, ask: &Ask, service: &Service) -> Result<Vec<Incident>, Fault> {
        let mut incidents: Vec<Incident> = self
            .store()
            .incidents_open()
            .await?
            .into_iter()
            .filter(|incident| {
                incident.services.contains(&service.name)
                    || ask.here.as_ref().is_some_and(|here| here.id == incident.id)
            })
            .collect();
        incidents.sort_by_key(|incident| incident.id);
        Ok(incidents)
    }

    /// Carries out a recorded intent and records its outcome.
    pub(super) async fn drive(self, row: ActionRow) {
        let started = Instant::now();
        let outcome = match self.catalogue().get(&row.record.service) {
            None => outcome_failed(
                &row.record,
                "the service is no longer configured",
                None,
                started,
            ),
            Some((service, platform)) => {
                let (sink, steps) = progress();
                let work = self.perform(&row, service, platform.as_ref(), &sink, started);
                self.with_progress(&row, work, steps).await
            }
        };
        self.finish(&row, outcome).await;
    }

    async fn perform(
        &self,
        row: &ActionRow,
        service: &Service,
        platform: &dyn Platform,
        sink: &ProgressSink,
        started: Instant,
    ) -> Outcome {
        if !self.is_surely_alive() {
            // Another process may have taken this action over; acting as well could do it twice.
            let cause = "this process was cut off from the store; nothing was done by it";
            return outcome_failed(&row.record, cause, None, started);
        }
        let patience = self.settings().patience;
        let result = match row.record.what {
            ActionKind::Restart => platform.restart(service, None, patience, sink).await,
            ActionKind::Scale(n) => platform.scale(service, n, patience, sink).await,
        };
        self.judge(row, service, platform, result, started).await
    }

    /// Turns a driver's result into an outcome: asks the health address, and after a failure looks
    /// at what is there now.
    pub(super) async fn judge(
        &self,
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
                    && let Err(why) = self
                        .inner
                        .http
                        .wait_well(url, self.settings().patience.healthy)
                        .await
                {
                    let cause = format!(
                        "its replicas run, but its health address does not answer well: {why}"
                    );
                    return outcome_failed(record, &cause, Some(after), started);
                }
                outcome_good(record, after, started)
            }
            Err(error) => {
                let mut cause = error.to_string();
                if let (PlatformError::Timeout { .. }, ActionKind::Restart) = (&error, &record.what)
                    && let Ok(fates) = platform
                        .restart_fate(service, &record.before, row.intended_at)
                        .await
                {
                    let restarted = fates
                        .iter()
                        .filter(|f| **f == ReplicaFate::Restarted)
                        .count();
                    cause.push_str(&format!(
                        "; {restarted} of {} replicas were restarted",
                        fates.len()
                    ));
                }
                let after = platform.status(service).await.ok();
                outcome_failed(record, &cause, after, started)
            }
        }
    }

    /// Edits the messages as the work goes on.
    pub(super) async fn with_progress<F: Future>(
        &self,
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
                    if let Err(error) = self.say(&row.record.messages, message).await {
                        tracing::warn!(%error, "progress could not be recorded");
                    }
                }
            }
        }
    }

    async fn say(&self, messages: &[Outgoing], message: Message) -> Result<(), StoreError> {
        let edits: Vec<Outgoing> = messages
            .iter()
            .map(|outgoing| with_content(outgoing, Content::Message(message.clone())))
            .collect();
        self.store()
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
    pub(super) async fn finish(&self, row: &ActionRow, outcome: Outcome) {
        let word = if outcome.good { "done" } else { "failed" };
        metrics::counter!(
            "treasury_bot_actions_total", "action" => verb(&row.record.what), "outcome" => word
        )
        .increment(1);
        tracing::info!(action = row.id, text = %outcome.text, outcome = word, "action");
        let mut pause = Duration::from_millis(200);
        loop {
            match self.finish_once(row, &outcome).await {
                Ok(true) => return,
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
                        () = self.inner.shutdown.cancelled() => return,
                    }
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }

    async fn finish_once(&self, row: &ActionRow, outcome: &Outcome) -> Result<bool, StoreError> {
        let record = row.record.clone();
        let draft =
            Draft::new(&record.actor, EntryKind::Outcome, outcome.text.clone()).data(json!({
                "action": row.id,
                "good": outcome.good,
                "cause": outcome.cause,
                "after": outcome.after.as_ref().map(|after| {
                    after.replicas.iter().map(ReplicaMark::from).collect::<Vec<_>>()
                }),
                "took_ms": outcome.took.as_millis() as u64,
            }));
        let message = told(&record, outcome);
        let (id, owner) = (row.id, self.inner.instance.clone());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    if !tx.action_finish(id, &owner).await? {
                        return Ok(false);
                    }
                    for stream in streams(&record) {
                        tx.append(&stream, draft.clone()).await?;
                    }
                    for outgoing in &record.messages {
                        let content = Content::Message(message.clone());
                        tx.outbox_put(&with_content(outgoing, content)).await?;
                    }
                    Ok(true)
                })
            })
            .await
    }
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
            Destination::Home => false,
        };
        if !here {
            messages.push(Outgoing {
                key: format!("action:{key}:{}", incident.id),
                to: Destination::Incident(incident.id),
                audience: Audience::Everyone,
                asker: None,
                reply: Reply::default(),
                content: own.content.clone(),
            });
        }
    }
    messages
}

pub(super) fn verb(kind: &ActionKind) -> &'static str {
    match kind {
        ActionKind::Restart => "restart",
        ActionKind::Scale(_) => "scale",
    }
}

fn intent_text(record: &ActionRecord) -> String {
    match record.what {
        ActionKind::Restart => format!("restarting {} ({})", record.service, record.before_text),
        ActionKind::Scale(n) => format!(
            "scaling {} from {} to {n} replicas ({})",
            record.service,
            record.before.len(),
            record.before_text
        ),
    }
}

/// `healthy 2/3 · nginx:1.25`.
pub(super) fn state_text(status: &ServiceStatus) -> String {
    let mut text = well_text(status);
    for image in images(status).keys() {
        text.push_str(" · ");
        text.push_str(&crate::domain::timeline::cut(image, 80));
    }
    text
}

fn within_bounds(service: &Service, wanted: u32) -> Result<(), Refusal> {
    let (min, max) = (service.min_replicas, service.max_replicas);
    if (min..=max).contains(&wanted) {
        return Ok(());
    }
    let near = wanted.clamp(min, max);
    let refusal = Refusal::new(Line::new().code(&service.name).text(format!(
        " may have {min} to {max} replicas, not {wanted}. Nothing was done"
    )));
    Err(refusal.suggest(
        format!("Scale to {near}"),
        format!("scale {} {near}", service.name),
    ))
}

fn busy(row: &ActionRow, now: jiff::Timestamp) -> Refusal {
    let record = &row.record;
    let doing = match record.what {
        ActionKind::Restart => "restarted".to_owned(),
        ActionKind::Scale(n) => format!("scaled to {n}"),
    };
    Refusal::new(
        Line::new()
            .code(&record.service)
            .text(format!(" is being {doing} by "))
            .person(&record.actor)
            .text(format!(
                " since {}. Nothing further was done",
                duration::text(duration::between(row.intended_at, now))
            )),
    )
    .suggest("Status", format!("status {}", record.service))
}

fn question(
    ask: &Ask,
    service: &Service,
    kind: &ActionKind,
    before: &ServiceStatus,
    reason: Option<&str>,
) -> (Message, String) {
    let count = before.replicas.len();
    let (title, label, will) = match kind {
        ActionKind::Restart => (
            Line::new().text("Restart ").code(&service.name).text("?"),
            format!("Restart {}", service.name),
            match count {
                1 => "Its one replica is restarted: expect a short interruption".to_owned(),
                _ => format!("Its {count} replicas are restarted one after another"),
            },
        ),
        ActionKind::Scale(wanted) => (
            Line::new()
                .text("Scale ")
                .code(&service.name)
                .text(format!(" from {count} to {wanted} replicas?")),
            format!("Scale to {wanted}"),
            if (*wanted as usize) < count {
                format!(
                    "The newest {} are stopped and removed",
                    count - *wanted as usize
                )
            } else {
                format!("{} more are made", *wanted as usize - count)
            },
        ),
    };
    let mut fields = vec![("Now".to_owned(), Line::from(state_text(before)))];
    fields.push(("Asked by".into(), Line::new().person(&ask.request.person)));
    if let Some(reason) = reason {
        fields.push(("Reason".into(), Line::from(reason)));
    }
    let label = crate::domain::timeline::cut(&label, 70);
    (
        Message::new(Tone::Question, title)
            .text(will)
            .part(Part::Fields(fields)),
        label,
    )
}

/// The message while the work goes on.
fn working(record: &ActionRecord, step: Option<&crate::domain::service::Progress>) -> Message {
    let title = match record.what {
        ActionKind::Restart => Line::new().text("Restarting ").code(&record.service),
        ActionKind::Scale(n) => Line::new()
            .text("Scaling ")
            .code(&record.service)
            .text(format!(" to {n} replicas")),
    };
    let line = match step {
        None => "Started".to_owned(),
        Some(step) => format!("{} {}", bar(step.done, step.total), step.line),
    };
    Message::new(Tone::Progress, title)
        .text(line)
        .part(Part::Fields(by(
            record,
            vec![("Before".into(), record.before_text.as_str().into())],
        )))
}

fn bar(done: u32, total: u32) -> String {
    let total = total.max(1);
    let full = (done.min(total) * 8 / total) as usize;
    format!(
        "{}{} {done}/{total}",
        "▰".repeat(full),
        "▱".repeat(8 - full)
    )
}

fn by(record: &ActionRecord, mut fields: Vec<(String, Line)>) -> Vec<(String, Line)> {
    fields.push(("By".into(), Line::new().person(&record.actor)));
    if let Some(reason) = &record.reason {
        fields.push(("Reason".into(), reason.as_str().into()));
    }
    fields
}

/// The message once it is over.
fn told(record: &ActionRecord, outcome: &Outcome) -> Message {
    let tone = if outcome.good { Tone::Good } else { Tone::Bad };
    let mut fields = vec![("Before".to_owned(), Line::from(record.before_text.as_str()))];
    if let Some(after) = &outcome.after {
        fields.push(("After".into(), state_text(after).into()));
    }
    let mut message =
        Message::new(tone, outcome.title.clone()).part(Part::Fields(by(record, fields)));
    if let Some(cause) = &outcome.cause {
        message = message.code(cause.clone());
    }
    let name = &record.service;
    let mut buttons = vec![
        Button::new("Status", format!("status {name}")),
        Button::new("Logs", format!("logs {name}")),
    ];
    if !outcome.good {
        buttons.push(Button::new("Events", format!("events {name}")));
        buttons.push(Button::new(
            "Try again",
            match record.what {
                ActionKind::Restart => format!("restart {name}"),
                ActionKind::Scale(n) => format!("scale {name} {n}"),
            },
        ));
    }
    message.buttons(buttons)
}

fn outcome_good(record: &ActionRecord, after: ServiceStatus, started: Instant) -> Outcome {
    let took = started.elapsed();
    let (title, text) = match record.what {
        ActionKind::Restart => (
            Line::new().code(&record.service).text(format!(
                " restarted in {}, {}",
                duration::text(took),
                well_text(&after)
            )),
            format!("restarted {}", record.service),
        ),
        ActionKind::Scale(_) => (
            Line::new().code(&record.service).text(format!(
                " scaled from {} to {} replicas in {}, {}",
                record.before.len(),
                after.replicas.len(),
                duration::text(took),
                well_text(&after)
            )),
            format!(
                "scaled {} from {} to {} replicas",
                record.service,
                record.before.len(),
                after.replicas.len()
            ),
        ),
    };
    let text = format!(
        "{text} in {}: {} → {}",
        duration::text(took),
        record.before_text,
        state_text(&after)
    );
    Outcome {
        good: true,
        title,
        text,
        after: Some(after),
        cause: None,
        took,
    }
}

pub(super) fn outcome_failed(
    record: &ActionRecord,
    cause: &str,
    after: Option<ServiceStatus>,
    started: Instant,
) -> Outcome {
    let what = match record.what {
        ActionKind::Restart => "restart of",
        ActionKind::Scale(_) => "scaling of",
    };
    let now = after
        .as_ref()
        .map_or("its state is not known".to_owned(), |after| {
            format!("it is now {}", state_text(after))
        });
    Outcome {
        good: false,
        title: Line::new()
            .text(format!("The {what} "))
            .code(&record.service)
            .text(format!(
                " failed after {}",
                duration::text(started.elapsed())
            )),
        text: format!("{what} {} failed: {cause}; {now}", record.service),
        after,
        cause: Some(crate::domain::timeline::cut(cause, 2_000)),
        took: started.elapsed(),
    }
}

impl Outcome {
    /// Says that it was found out after a crash, and how.
    pub(super) fn after_crash(mut self, found: &str) -> Self {
        self.text = format!(
            "found after an interruption of the bot: {found}; {}",
            self.text
        );
        self.title = self
            .title
            .text(format!(" (found after an interruption: {found})"));
        self
    }
}
