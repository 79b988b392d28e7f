//! The bot's own first look at what an alert is about: gathered at once, said in one message, and the
//! runbook that fits started or rehearsed where the policy says so.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::changes::changes;
use super::conversation::{note_on_incident, outgoing};
use super::figures::replica_counts;
use super::words::Findings;
use crate::bot::{Context, runs, timers};
use crate::domain::alert::{Auto, Conversation, ReplicaCounts};
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Message, Person, ServiceName, Stream, Tone};
use crate::store::{NewRun, StoreError, TimerRow, Tx};

/// What has no answer in this time is left out.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far back the bot looks for what was changed.
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) async fn triage(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let conversation = context.store().conversation(&timer.subject).await?;
    let wanted = |one: &Conversation| one.first.routed.auto != Auto::Off;
    let Some(conversation) = conversation.filter(wanted) else {
        return timers::discard(context, timer).await;
    };
    let looked = match conversation.service.clone() {
        None => None,
        Some(service) => {
            let (findings, counts) = futures_util::join!(
                findings(context, &service),
                replica_counts(context, &service)
            );
            Some((findings?, counts.map(|counts| (service, counts))))
        }
    };
    let run = run_for_alerts(context, &conversation);
    let begun = timers::take(context, timer, move |tx, bot, _| {
        Box::pin(async move {
            if let Some((findings, counts)) = looked {
                record(tx, &conversation, &findings, counts).await?;
            }
            match run {
                Some((new, begins)) => begin_run(tx, bot, &conversation, &new, &begins).await,
                None => Ok(None),
            }
        })
    })
    .await?;
    if let Some(id) = begun {
        runs::follow(context, id);
    }
    Ok(())
}

async fn record(
    tx: &mut Tx,
    conversation: &Conversation,
    findings: &Findings,
    counts: Option<(ServiceName, ReplicaCounts)>,
) -> Result<(), StoreError> {
    if let Some((service, counts)) = counts
        && let Some(mut newest) = tx.conversation(&conversation.key).await?
    {
        newest.counts_before.insert(service, counts);
        tx.conversation_put(&newest).await?;
    }
    note_on_incident(tx, conversation, findings.text()).await?;
    let message = findings.message(conversation, tx.now());
    let began = conversation.began_at.as_microsecond();
    let key = format!("triage:{}:{began}", conversation.key);
    tx.outbox_put(&outgoing(conversation, key, message)).await
}

/// Begins a run, unless it was begun before; gives its number.
async fn begin_run(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
    new: &NewRun,
    begins: &str,
) -> Result<Option<i64>, StoreError> {
    let (id, is_new) = tx.run_begin(new, bot.instance()).await?;
    if !is_new {
        return Ok(None);
    }
    let text = format!("{begins} {id} begins");
    let draft = Draft::new(&Person::bot(), EntryKind::Run, text)
        .data(json!({"run": id, "runbook": new.name}));
    tx.append(&Stream::Audit, draft.clone()).await?;
    if let Some(incident) = conversation.incident {
        tx.append(&Stream::Incident(incident), draft).await?;
    }
    Ok(Some(id))
}

/// All questions about a service at the same time.
async fn findings(context: &Context, service: &ServiceName) -> Result<Findings, StoreError> {
    let logs = json!({"service": service, "lines": 8, "grep": "error", "since": "15m"});
    let questions = [
        ("service.status", json!({"service": service})),
        ("service.stats", json!({"service": service})),
        ("service.logs", logs),
        ("service.events", json!({"service": service, "since": "1h"})),
    ];
    let answers =
        questions.map(|(name, params)| async move { (name, ask(context, name, params).await) });
    Ok(Findings {
        answers: join_all(answers).await,
        changes: changes(context, HOUR).await?,
    })
}

async fn ask(context: &Context, name: &str, params: Value) -> Result<(Value, Message), String> {
    match tokio::time::timeout(PATIENCE, context.commands().call(context, name, params)).await {
        Ok(Ok(called)) => Ok((called.value, called.message)),
        Ok(Err(fault)) => Err(fault.line()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// The run that the policy wants, with what the timeline says of it.
fn run_for_alerts(context: &Context, conversation: &Conversation) -> Option<(NewRun, String)> {
    let name = conversation.runbook.as_deref()?;
    let rehearsal = conversation.first.routed.auto != Auto::Run;
    let began = conversation.began_at.as_microsecond();
    let key = format!("alert-run:{}:{began}", conversation.key);
    let message = outgoing(conversation, key, Message::new(Tone::Progress, ""));
    let title = conversation.first.tracked.alert.summary();
    let incident = conversation.incident.map(|id| (id.0, title.to_owned()));
    let service = conversation.service.as_ref();
    match runs::run_by_itself(context, name, service, incident, rehearsal, &message) {
        Ok(new) => {
            let word = if rehearsal { "rehearsal" } else { "run" };
            Some((new, format!("{word} of {name} for an alert:")))
        }
        Err(why) => {
            tracing::info!(runbook = name, %why, "the runbook is not begun by itself");
            None
        }
    }
}
