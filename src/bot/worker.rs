//! Taking requests up, carrying them out, committing what they did together with their answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Mutex, Semaphore, oneshot};

use super::request::{Ask, Done, Effect, request_id};
use super::{Bot, Failure, Fault, Refusal, confirm, heartbeat, pages, policy};
use crate::command::{self, Command, IncidentCommand, Parsed};
use crate::domain::duration::Human;
use crate::domain::timeline::Draft;
use crate::domain::{
    Audience, Content, EntryKind, Line, Message, Outgoing, Place, Request, Stream, Tone,
};
use crate::store::{Accepted, Claimed, StoreError};

/// A request may take this long until its answer is committed; longer work is an action, which
/// goes on behind a progress message.
const HANDLING: Duration = Duration::from_secs(60);

/// A request that brought the process down this often is given up.
const MAX_ATTEMPTS: i64 = 3;

/// Requests handled at the same time.
const CONCURRENCY: usize = 64;

/// The order of requests: how many are handled at the same time, and which wait for which.
struct Lanes {
    handlers: Arc<Semaphore>,
    /// The last changing request of each place: the next one there waits for it.
    last: Mutex<HashMap<Place, oneshot::Receiver<()>>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            handlers: Arc::new(Semaphore::new(CONCURRENCY)),
            last: Mutex::default(),
        }
    }
}

/// Whether a request was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is recorded and will be answered.
    New,
    /// The same request came before; it has been or will be answered once.
    Duplicate,
}

impl Bot {
    /// Records a request durably and returns; it is answered later, once.
    pub async fn accept(&self, request: Request) -> Result<Acceptance, StoreError> {
        Ok(match self.store().accept(request, None).await? {
            Accepted::New => Acceptance::New,
            Accepted::Duplicate => Acceptance::Duplicate,
        })
    }

    /// Takes requests up until the shutdown, then waits for those under way.
    pub async fn run(&self) -> Result<(), StoreError> {
        self.store().instance_start(self.instance(), true).await?;
        self.heartbeat().beat();
        self.tasks().spawn(self.clone().keep_alive());
        self.tasks().spawn(self.clone().keep_recovering());
        self.tasks().spawn(self.clone().keep_watching());
        self.begin_watching().await?;
        self.begin_handovers().await?;
        self.tasks().spawn(self.clone().keep_timers());
        self.tasks().spawn(self.clone().keep_telling());
        let shutdown = self.shutdown();
        let lanes = Lanes::default();
        let mut pause = Duration::from_millis(100);
        while !shutdown.is_cancelled() {
            let free = lanes.handlers.available_permits().min(16);
            if free == 0 {
                // Somebody will finish; the permit itself is taken below.
                drop(lanes.handlers.acquire().await);
                continue;
            }
            match self.store().claim(self.instance(), free as i64).await {
                Ok(claims) if claims.is_empty() => {
                    // The timer finds what other processes left behind.
                    tokio::select! {
                        () = self.store().inbox_changed() => {}
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Ok(claims) => {
                    pause = Duration::from_millis(100);
                    for claim in claims {
                        self.spawn(&lanes, claim).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "requests can't be taken up");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = shutdown.cancelled() => {}
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
        self.tasks().close();
        self.tasks().wait().await;
        self.store().instance_stop(self.instance()).await
    }

    /// Carries out one request of this process's own (`treasury-bot exec`) and what follows from
    /// it; then returns. The answer is in the outbox.
    pub async fn visit(&self, request: Request) -> Result<(), StoreError> {
        let key = request.key.clone();
        self.store()
            .accept(request, Some(self.instance().to_owned()))
            .await?;
        if let Some(claim) = self.store().claim_own(&key).await? {
            self.handle(claim).await;
        }
        Ok(())
    }

    /// Starts a process that visits: it is known in the store and says that it is alive.
    pub async fn start_visit(&self) -> Result<(), StoreError> {
        self.store().instance_start(self.instance(), false).await?;
        self.heartbeat().beat();
        self.tasks().spawn(self.clone().keep_alive());
        self.tasks().spawn(self.clone().keep_telling());
        Ok(())
    }

    /// Waits for the actions under way and takes leave of the store.
    pub async fn end_visit(&self) -> Result<(), StoreError> {
        self.shutdown().cancel();
        self.tasks().close();
        self.tasks().wait().await;
        self.store().instance_stop(self.instance()).await
    }

    async fn keep_alive(self) {
        loop {
            tokio::select! {
                () = self.shutdown().cancelled() => return,
                () = tokio::time::sleep(heartbeat::EVERY) => {}
            }
            match self.store().instance_heartbeat(self.instance()).await {
                Ok(()) => self.heartbeat().beat(),
                Err(error) => tracing::error!(%error, "the heartbeat could not be recorded"),
            }
        }
    }

    /// Spawns the handling of a request; changing ones wait for the one before in their place.
    async fn spawn(&self, lanes: &Lanes, claim: Claimed) {
        let Ok(permit) = lanes.handlers.clone().acquire_owned().await else {
            return;
        };
        let changing = matches!(
            command::parse(&claim.request.text, &self.settings().command),
            Ok(Parsed::Command(command)) if policy::changes(&command)
        );
        let turn = if changing {
            let (done, next) = oneshot::channel();
            let mut lanes = lanes.last.lock().await;
            // Places whose last request is finished need no lane any more.
            lanes.retain(|_, last| {
                matches!(last.try_recv(), Err(oneshot::error::TryRecvError::Empty))
            });
            Some((lanes.insert(claim.request.place.clone(), next), done))
        } else {
            None
        };
        let bot = self.clone();
        self.tasks().spawn(async move {
            let _permit = permit;
            let done = match turn {
                Some((before, done)) => {
                    if let Some(before) = before {
                        // Closed without a word when the one before panicked: our turn as well.
                        let _ = before.await;
                    }
                    Some(done)
                }
                None => None,
            };
            bot.handle(claim).await;
            drop(done);
        });
    }

    /// Carries a request out and commits its answer, again and again while the store is away.
    async fn handle(&self, claim: Claimed) {
        let id = request_id(&claim.request.key);
        let mut pause = Duration::from_millis(200);
        loop {
            match self.handle_once(&claim, &id).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(request = %id, %error, "an answer could not be recorded");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        // It stays in the inbox and is taken up again after the restart.
                        () = self.shutdown().cancelled() => return,
                    }
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }

    async fn handle_once(&self, claim: &Claimed, id: &str) -> Result<(), StoreError> {
        let request = &claim.request;
        let groups = self.store().groups_of(&request.person.id).await?;
        let ask = Ask {
            role: self.settings().access.role(&request.person, &groups),
            here: if request.place.is_terminal() {
                None
            } else {
                self.store().incident_at(&request.place).await?
            },
            request: request.clone(),
        };
        let started = std::time::Instant::now();
        let effect = if claim.attempts > MAX_ATTEMPTS {
            Err(Fault::Failure(Failure::new(
                "it was tried three times without an end",
            )))
        } else {
            match tokio::time::timeout(HANDLING, self.carry_out(&ask)).await {
                Ok(effect) => effect,
                Err(_) => Err(Fault::Failure(Failure::new(format!(
                    "there was no result within {} s",
                    HANDLING.as_secs()
                )))),
            }
        };
        let committed = match effect {
            Ok(effect) => self.commit(claim.id, &ask, effect).await,
            Err(fault) => Err(fault),
        };
        let word = match committed {
            Ok(done) => {
                if let Some(row) = done.drive {
                    self.tasks().spawn(self.clone().drive(row));
                }
                if let Some(run) = done.run {
                    self.follow(run);
                }
                if let Some(run) = done.wake {
                    self.wakers().wake(run);
                }
                if let Some((outgoing, services)) = done.refresh {
                    let bot = self.clone();
                    self.tasks().spawn(bot.refresh_stats(outgoing, services));
                }
                "done"
            }
            Err(Fault::Refusal(refusal)) => {
                self.commit_refusal(claim.id, &ask, refusal).await?;
                "refused"
            }
            Err(Fault::Failure(failure)) => {
                tracing::error!(request = %id, cause = %failure.chain(), "a request failed");
                self.commit_failure(claim.id, &ask, &failure, id).await?;
                "failed"
            }
        };
        metrics::counter!("treasury_bot_requests_total", "outcome" => word).increment(1);
        metrics::histogram!("treasury_bot_request_seconds").record(started.elapsed().as_secs_f64());
        tracing::info!(
            request = %id, person = %ask.request.person.name, text = %ask.request.text,
            outcome = word, ms = started.elapsed().as_millis() as u64, "request"
        );
        Ok(())
    }

    /// Parses, authorises, and does what can be done outside a transaction.
    async fn carry_out(&self, ask: &Ask) -> Result<Effect, Fault> {
        let name = &self.settings().command;
        let command = match command::parse(&ask.request.text, name) {
            Ok(Parsed::Command(command)) => command,
            Ok(Parsed::Help(text)) => return Ok(Effect::Say(Self::help_text(&text))),
            Err(mistake) => return Err(Self::not_understood(mistake).into()),
        };
        self.authorise(ask, &command)?;
        self.dispatch(ask, command).await
    }

    /// May the asker do this?
    pub(super) fn authorise(&self, ask: &Ask, command: &Command) -> Result<(), Refusal> {
        let needed = policy::needs(command);
        if ask.role >= needed {
            return Ok(());
        }
        Err(policy::refuse(
            &ask.request.person,
            ask.role,
            needed,
            &self.typed(&ask.request.text),
        ))
    }

    async fn dispatch(&self, ask: &Ask, command: Command) -> Result<Effect, Fault> {
        use Command as C;
        use IncidentCommand as I;
        match command {
            C::Change(change) => self.act_on_service(ask, change, None).await,
            C::Status { service } => self.status(service.as_deref()).await,
            C::Logs {
                service,
                lines,
                since,
                grep,
                previous,
                container,
            } => {
                let params = json!({
                    "service": service,
                    "lines": lines,
                    "since": since.map(Human),
                    "grep": grep,
                    "previous": previous,
                    "container": container,
                });
                self.ask("service.logs", params).await
            }
            C::Stats { service } => self.stats(ask, service.as_deref()).await,
            C::Events { service, since } => {
                let params = json!({"service": service, "since": Human(since)});
                self.ask("service.events", params).await
            }
            C::Check { what } => self.check(what.as_deref()).await,
            C::Graph {
                service,
                metric,
                since,
            } => self.graph(&service, &metric, since).await,
            C::Db { what, database } => self.db(ask, what, database, None).await,
            C::Cache { what, cache } => self.cache(ask, what, cache, None).await,
            C::Runbook { what } => self.runbook(ask, what).await,
            C::Confirm { token } => self.confirm(ask, &token).await,
            C::Cancel { token } => self.cancel(ask, &token).await,
            C::Incident(I::Declare {
                title,
                severity,
                service,
            }) => self.declare(ask, &title.join(" "), severity, &service),
            C::Incident(I::List { all }) => self.incident_list(all).await,
            C::Incident(I::Show { incident }) => self.incident_show(ask, incident.as_deref()).await,
            C::Incident(I::Severity { severity, incident }) => {
                self.set_severity(ask, incident.as_deref(), severity).await
            }
            C::Incident(I::Assign {
                role,
                who,
                incident,
            }) => self.assign(ask, incident.as_deref(), role, &who).await,
            C::Incident(I::Link { other, incident }) => {
                self.link(ask, incident.as_deref(), &other).await
            }
            C::Alerts { all } => self.alerts_list(all).await,
            C::Ack { alert } => self.acknowledge(ask, alert.as_deref()).await,
            C::Silence {
                alert,
                within,
                reason,
                end: _,
            } => match within {
                Some(within) => self.silence(ask, &alert, within, reason).await,
                None => self.unsilence(ask, &alert).await,
            },
            C::Oncall { what, rotation } => self.oncall(ask, what, rotation).await,
            C::Note { text, incident } => self.note(ask, incident.as_deref(), text.join(" ")).await,
            C::Update { text, incident } => {
                self.update(ask, incident.as_deref(), text.join(" ")).await
            }
            C::Mitigate { text, incident } => {
                self.set_status(
                    ask,
                    incident.as_deref(),
                    crate::domain::Status::Mitigated,
                    &text,
                )
                .await
            }
            C::Resolve { text, incident } => {
                self.set_status(
                    ask,
                    incident.as_deref(),
                    crate::domain::Status::Resolved,
                    &text,
                )
                .await
            }
            C::Close { incident } => {
                self.set_status(ask, incident.as_deref(), crate::domain::Status::Closed, &[])
                    .await
            }
            C::Reopen { incident } => {
                self.set_status(ask, incident.as_deref(), crate::domain::Status::Open, &[])
                    .await
            }
            C::Timeline { incident, lines } => self.timeline(ask, incident.as_deref(), lines).await,
            C::Export { incident, format } => self.export(ask, incident.as_deref(), format).await,
            C::Page { incident } => self.page(ask, incident.as_deref()).await,
            C::Audit { since, actor } => self.audit(since, actor.as_deref()).await,
            C::Version => Ok(Effect::Say(Self::version())),
            C::Help { topic } => self.help(&topic).map(Effect::Say).map_err(Fault::from),
            C::Menu { service } => self
                .menu(service.as_deref())
                .map(Effect::Say)
                .map_err(Fault::from),
        }
    }

    /// One transaction: the audit, the work, the answer, the end of the request.
    async fn commit(&self, inbox: i64, ask: &Ask, effect: Effect) -> Result<Done, Fault> {
        let asked = audit(ask, EntryKind::Asked, None);
        let answer_as = ask.outgoing(
            Content::Message(Message::new(Tone::Plain, "")),
            Audience::Asker,
        );
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    tx.append(&Stream::Audit, asked).await?;
                    let mut done = match effect {
                        Effect::Say(answer) => Done {
                            answer: Some(answer),
                            ..Done::default()
                        },
                        Effect::Write(work) => work(tx).await?,
                    };
                    if let Some(answer) = done.answer.take() {
                        let outgoing = Outgoing {
                            content: answer.content,
                            audience: answer.audience,
                            ..answer_as
                        };
                        tx.outbox_put(&outgoing).await?;
                    }
                    tx.inbox_done(inbox).await?;
                    Ok::<_, Fault>(done)
                })
            })
            .await
    }

    async fn commit_refusal(
        &self,
        inbox: i64,
        ask: &Ask,
        refusal: Refusal,
    ) -> Result<(), StoreError> {
        let entry = audit(
            ask,
            EntryKind::Refused,
            Some(("why", refusal.title.plain())),
        );
        self.commit_no(inbox, ask, entry, refusal.message()).await
    }

    async fn commit_failure(
        &self,
        inbox: i64,
        ask: &Ask,
        failure: &Failure,
        id: &str,
    ) -> Result<(), StoreError> {
        let entry = audit(ask, EntryKind::Asked, Some(("failed", failure.short())));
        let message = Message::new(Tone::Bad, "That did not work. Nothing was changed")
            .code(failure.short())
            .buttons(vec![crate::domain::Button::new(
                "Try again",
                ask.request.text.clone(),
            )])
            .footer(Line::new().text("request ").code(id));
        self.commit_no(inbox, ask, entry, message).await
    }

    async fn commit_no(
        &self,
        inbox: i64,
        ask: &Ask,
        entry: Draft,
        message: Message,
    ) -> Result<(), StoreError> {
        let outgoing = ask.outgoing(Content::Message(message), Audience::Asker);
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    tx.append(&Stream::Audit, entry).await?;
                    tx.outbox_put(&outgoing).await?;
                    tx.inbox_done(inbox).await
                })
            })
            .await
    }

    /// Questions that nobody answered, and actions that their process left behind.
    async fn keep_recovering(self) {
        loop {
            if let Err(error) = self.recover_runs().await {
                tracing::error!(%error, "unfinished runs could not be looked for");
            }
            if let Err(error) = self.recover().await {
                tracing::error!(%error, "unfinished work could not be looked for");
            }
            if let Err(error) = confirm::expire(&self).await {
                tracing::error!(%error, "overdue questions could not be closed");
            }
            if let Err(error) = pages::expire(&self).await {
                tracing::error!(%error, "overdue links could not be forgotten");
            }
            tokio::select! {
                () = self.shutdown().cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    }
}

/// The audit's entry for a request.
fn audit(ask: &Ask, kind: EntryKind, more: Option<(&str, String)>) -> Draft {
    let request = &ask.request;
    let mut data = json!({
        "request": request_id(&request.key),
        "door": request.door,
        "channel": request.place.channel,
        "role": ask.role,
    });
    if let (Some(map), Some((key, value))) = (data.as_object_mut(), more) {
        map.insert(key.to_owned(), value.into());
    }
    let text = if request.text.trim().is_empty() {
        "menu"
    } else {
        request.text.trim()
    };
    Draft::new(&request.person, kind, text).data(data)
}
