//! Taking requests up, carrying them out, committing what they did together with their answer.

mod commit;
mod visit;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, oneshot};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use self::commit::{commit, commit_failure, commit_refusal};
use super::commands::help::help_text;
use super::commands::stats;
use super::policy::authorise;
use super::request::{Ask, Effect, Next, request_id};
use super::table::{Meant, Understood};
use super::timers::Job;
use super::{Context, Failure, Fault, Refusal, confirm, pages};
use crate::command::{Mistake, Parsed};
use crate::domain::duration::between;
use crate::domain::{Place, Request};
use crate::store::{Accepted, Claimed, StoreError};
use crate::telemetry::metrics;

pub use visit::{end_visit, start_visit, visit};

/// A request may take this long until its answer is committed; longer work is an action, which
/// goes on behind a progress message.
const HANDLING: Duration = Duration::from_secs(60);

/// A request that brought the process down this often is given up.
const MAX_ATTEMPTS: i64 = 3;

/// How often it is looked for what dead processes left behind.
const RECOVER_EVERY: Duration = Duration::from_secs(3);

/// Requests handled at the same time.
const CONCURRENCY: usize = 64;

/// Requests taken up by one write.
const AT_ONCE: usize = 16;

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

/// Records a request durably and returns; it is answered later, once.
pub async fn accept(context: &Context, request: Request) -> Result<Acceptance, StoreError> {
    Ok(match context.store().accept(request, None).await? {
        Accepted::New => Acceptance::New,
        Accepted::Duplicate => Acceptance::Duplicate,
    })
}

/// Makes this process known in the store: only then what it claims is its own.
pub async fn appear(context: &Context, serves: bool) -> Result<(), StoreError> {
    let (store, id) = (context.store().clone(), context.instance().to_owned());
    context.heartbeat().begin(store, id, serves).await
}

/// Nothing of this process is under way any more: what it left may be taken over at once.
pub async fn disappear(context: &Context) -> Result<(), StoreError> {
    context.heartbeat().end();
    context.store().instance_stop(context.instance()).await
}

/// Takes requests up until the shutdown, then waits for those under way. The process has to be known
/// ([`appear`]).
pub async fn run(context: &Context) -> Result<(), StoreError> {
    let (tasks, shutdown) = (context.tasks(), context.shutdown());
    tasks.spawn(keep_recovering(context.clone()));
    tasks.spawn(crate::bot::watch::keep_watching(context.clone()));
    tasks.spawn(crate::bot::heartbeats::keep_listening(context.clone()));
    tasks.spawn(crate::bot::heartbeats::keep_pinging(context.clone()));
    while let Err(error) = begin_timers(context).await {
        tracing::error!(%error, "work can't begin yet");
        let pause = tokio::time::sleep(Duration::from_secs(1));
        if shutdown.run_until_cancelled(pause).await.is_none() {
            break;
        }
    }
    tasks.spawn(crate::bot::timers::run(context.clone(), jobs()));
    tasks.spawn(crate::bot::runs::keep_telling(context.clone()));
    let lanes = Lanes::default();
    let mut pause = Duration::from_millis(100);
    let mut is_told = true;
    while !shutdown.is_cancelled() {
        let free = lanes.handlers.available_permits().min(AT_ONCE);
        if free == 0 {
            // Somebody will finish; the permit itself is taken below.
            drop(lanes.handlers.acquire().await);
            continue;
        }
        match take_up(context, is_told, free).await {
            Ok(claims) => {
                pause = Duration::from_millis(100);
                let may_be_more = claims.len() == free;
                for claim in claims {
                    spawn(context, &lanes, claim).await;
                }
                is_told = may_be_more
                    || tokio::select! {
                        () = context.store().inbox_changed() => true,
                        // What other processes left behind.
                        () = tokio::time::sleep(Duration::from_secs(1)) => false,
                        () = shutdown.cancelled() => false,
                    };
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
    context.tasks().close();
    context.tasks().wait().await;
    Ok(())
}

/// Takes requests up; where none is known to have come, only after a look, which costs no write.
async fn take_up(
    context: &Context,
    is_told: bool,
    free: usize,
) -> Result<Vec<Claimed>, StoreError> {
    let (store, owner) = (context.store(), context.instance());
    if is_told || store.inbox_waits(owner).await? {
        store.claim(owner, free as i64).await
    } else {
        Ok(Vec::new())
    }
}

async fn begin_timers(context: &Context) -> Result<(), StoreError> {
    crate::bot::alerts::begin_watching(context).await?;
    crate::bot::alerts::begin_comparing(context).await?;
    crate::bot::oncall::begin_handovers(context).await?;
    begin_routine(context).await?;
    crate::bot::retention::begin_pruning(context).await
}

/// Looks now at all that comes by the calendar: some of it may have become due while no bot was there.
pub async fn begin_routine(context: &Context) -> Result<(), StoreError> {
    crate::bot::periods::begin_planned(context).await?;
    crate::bot::tasks::begin_tasks(context).await?;
    crate::bot::backups::begin_backups(context).await
}

/// What is done when timers go off.
fn jobs() -> Vec<Job> {
    [
        crate::bot::alerts::JOBS,
        crate::bot::oncall::JOBS,
        crate::bot::periods::JOBS,
        crate::bot::tasks::JOBS,
        crate::bot::backups::JOBS,
        crate::bot::retention::JOBS,
    ]
    .concat()
}

/// Does what is due now by the store's clock, without waiting for anything that is not. [`run`] does
/// the same as time passes.
pub async fn run_due(context: &Context) -> Result<(), StoreError> {
    crate::bot::timers::run_due(context, &jobs()).await
}

/// Spawns the handling of a request; changing ones wait for the one before in their place.
async fn spawn(context: &Context, lanes: &Lanes, claim: Claimed) {
    let Ok(permit) = lanes.handlers.clone().acquire_owned().await else {
        return;
    };
    let understood = understood(context, &claim);
    let turn = if Meant::by(&understood).changes {
        let (done, next) = oneshot::channel();
        let mut lanes = lanes.last.lock().await;
        // Places whose last request is finished need no lane any more.
        lanes.retain(|_, last| matches!(last.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        Some((lanes.insert(claim.request.place.clone(), next), done))
    } else {
        None
    };
    let bot = context.clone();
    context.tasks().spawn(async move {
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
        handle(&bot, claim, understood).await;
        drop(done);
    });
}

fn understood(context: &Context, claim: &Claimed) -> Understood {
    let sentence = &claim.request.text;
    context.commands().parse(sentence, context.command())
}

/// Carries a request out and commits its answer, again and again while the store is away.
async fn handle(context: &Context, claim: Claimed, understood: Understood) {
    let id = request_id(&claim.request.key);
    let span = tracing::error_span!(
        "request",
        request = id,
        person = claim.request.person.id,
        command = Meant::by(&understood).words,
        incident = Empty,
    );
    let answered = answer(context, claim, understood, &id);
    answered.instrument(span).await;
}

async fn answer(context: &Context, claim: Claimed, understood: Understood, id: &str) {
    let mut pause = Duration::from_millis(200);
    loop {
        match handle_once(context, &claim, &understood, id).await {
            Ok(()) => return,
            // This process was taken for dead, and nothing of this answer is kept.
            Err(error @ StoreError::Lost) => return tracing::warn!(%error, "a request"),
            Err(error) => {
                tracing::error!(%error, "an answer could not be recorded");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // It stays in the inbox and is taken up again after the restart.
                    () = context.shutdown().cancelled() => return,
                }
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

async fn handle_once(
    context: &Context,
    claim: &Claimed,
    understood: &Understood,
    id: &str,
) -> Result<(), StoreError> {
    let request = &claim.request;
    let access = &context.settings().access;
    let groups = if access.asks_groups() {
        context.store().groups_of(&request.person.id).await?
    } else {
        Vec::new()
    };
    let ask = Ask {
        role: access.role(&request.person, &groups),
        here: if request.place.is_terminal() {
            None
        } else {
            context.store().incident_at(&request.place).await?
        },
        request: request.clone(),
        confirmed: None,
    };
    if let Some(incident) = &ask.here {
        Span::current().record("incident", tracing::field::display(incident.id));
    }
    let effect = if claim.attempts > MAX_ATTEMPTS {
        Err(Fault::Failure(Failure::new(
            "it was tried three times without an end",
        )))
    } else {
        match tokio::time::timeout(HANDLING, carry_out(context, &ask, understood)).await {
            Ok(effect) => effect,
            Err(_) => Err(Fault::Failure(Failure::new(format!(
                "there was no result within {} s",
                HANDLING.as_secs()
            )))),
        }
    };
    let committed = match effect {
        Ok(effect) => commit(context, claim.id, &ask, effect).await,
        Err(fault) => Err(fault),
    };
    let word = match committed {
        Ok(done) => {
            if let Some(next) = done.next {
                begin(context, next);
            }
            "done"
        }
        Err(Fault::Refusal(refusal)) => {
            commit_refusal(context, claim.id, &ask, refusal).await?;
            "refused"
        }
        Err(Fault::Failure(failure)) => {
            tracing::error!(cause = %failure.chain(), "a request failed");
            commit_failure(context, claim.id, &ask, &failure, id).await?;
            "failed"
        }
    };
    let took = between(claim.received_at, context.now());
    let asked = Meant::by(understood);
    let kind = if asked.changes { "changes" } else { "reads" };
    metrics::COMMANDS.count(&[asked.words, word]);
    metrics::COMMAND.took(&[kind], took);
    tracing::info!(
        outcome = word,
        ms = took.as_millis() as u64,
        "a request is answered"
    );
    Ok(())
}

/// Begins what a committed request asks for.
fn begin(context: &Context, next: Next) {
    match next {
        Next::Drive(row) => {
            let work = crate::bot::actions::engine::drive(context.clone(), *row);
            context.tasks().spawn(work.in_current_span());
        }
        Next::Follow(run) => crate::bot::runs::follow(context, run),
        Next::Wake(run) => context.wakers().wake(run),
        Next::Refresh(outgoing, services) => {
            let work = stats::refresh(context.clone(), *outgoing, services);
            context.tasks().spawn(work.in_current_span());
        }
    }
}

/// Authorises, and does what can be done outside a transaction.
async fn carry_out(context: &Context, ask: &Ask, understood: &Understood) -> Result<Effect, Fault> {
    match understood {
        Ok(Parsed::Command(sentence)) => {
            let typed = context.typed(&ask.request.text);
            authorise(context, ask, sentence.command.role, &typed).await?;
            sentence.carry_out(context, ask).await
        }
        Ok(Parsed::Help(text)) => Ok(Effect::Say(help_text(text))),
        Err(mistake) => Err(not_understood(mistake.clone()).into()),
    }
}

fn not_understood(mistake: Mistake) -> Refusal {
    let mut refusal =
        Refusal::new("I did not understand that. Nothing was done").detail(mistake.text);
    for sentence in mistake.suggestions {
        refusal = refusal.suggest(sentence.clone(), sentence);
    }
    refusal.suggest("Help", "help")
}

/// Questions that nobody answered, and actions that their process left behind.
async fn keep_recovering(context: Context) {
    loop {
        if let Err(error) = crate::bot::runs::recover_runs(&context).await {
            tracing::error!(%error, "unfinished runs could not be looked for");
        }
        if let Err(error) = crate::bot::actions::engine::recover(&context).await {
            tracing::error!(%error, "unfinished work could not be looked for");
        }
        if let Err(error) = confirm::expire(&context).await {
            tracing::error!(%error, "overdue questions could not be closed");
        }
        if let Err(error) = pages::expire(&context).await {
            tracing::error!(%error, "overdue links could not be forgotten");
        }
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            () = tokio::time::sleep(RECOVER_EVERY) => {}
        }
    }
}
