//! The bot's own first look at what an alert is about: gathered at once, said in one message, and the
//! runbook that fits started or rehearsed where the policy says so.

use serde_json::{Value, json};

use super::conversation::outgoing;
use super::figures::replica_counts;
use super::look::{data, findings, kept};
use super::words::{Answered, Findings, target};
use crate::bot::{Context, Refusal, runs, timers};
use crate::domain::alert::{Auto, Conversation, ReplicaCounts};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{EntryKind, Message, Person, ServiceName, Stream, Tone};
use crate::store::{NewRun, StoreError, TimerRow, Tx};

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
            findings?.map(|findings| (findings, counts.map(|counts| (service, counts))))
        }
    };
    let run = run_for_alerts(context, &conversation);
    let begun = timers::take(context, timer, move |tx, bot, _| {
        Box::pin(async move {
            if let Some((findings, counts)) = looked {
                record(tx, &conversation, &findings, counts).await?;
            }
            match run {
                Some(Fits::Run(new, begins)) => {
                    begin_run(tx, bot, &conversation, &new, &begins).await
                }
                Some(Fits::Asks(key, why)) => {
                    ask_first(tx, &conversation, &key, &why).await?;
                    Ok(None)
                }
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
    if conversation.incident.is_some() {
        let text = findings.text(tx.now());
        let draft = Draft::new(&Person::bot(), EntryKind::Alert, text).data(data_of(findings)?);
        tx.append(&conversation.stream(), draft).await?;
    }
    let message = findings.message(conversation, tx.now());
    let began = conversation.began_at.as_microsecond();
    let key = format!("triage:{}:{began}", conversation.key);
    tx.outbox_put(&outgoing(conversation, key, message)).await
}

/// The figures and lines of a look, bounded.
fn data_of(findings: &Findings) -> Result<Value, serde_json::Error> {
    let of = |answer: &Answered, keys: &[&str]| match answer {
        Ok((value, _)) => kept(value, keys),
        Err(why) => json!({"unknown": cut(why, 200)}),
    };
    let replicas = [
        "well_replicas",
        "total_replicas",
        "restarts",
        "out_of_memory",
        "isolated",
    ];
    let figures = ["worst", "memory_percent", "memory_bytes", "cpu_percent"];
    let mut last_words = Vec::new();
    for one in &findings.last_words {
        let lines = data(&one.lines)?;
        last_words.push(json!({"replica": one.replica, "ended": one.ended, "lines": lines}));
    }
    let changes = findings.changes.iter().map(|entry| cut(&entry.text, 200));
    Ok(json!({"first_look": {
        "replicas": of(&findings.status, &replicas),
        "figures": of(&findings.stats, &figures),
        "image": data(&findings.image)?,
        "events": data(&findings.events)?,
        "errors": data(&findings.errors)?,
        "last_words": last_words,
        "changes": changes.collect::<Vec<_>>(),
    }}))
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

/// What comes of the runbook that fits.
enum Fits {
    /// Its run, with what the timeline says of it.
    Run(Box<NewRun>, String),
    /// Somebody has to choose first.
    Asks(String, Refusal),
}

/// The run that the policy wants.
fn run_for_alerts(context: &Context, conversation: &Conversation) -> Option<Fits> {
    let name = conversation.runbook.as_deref()?;
    let rehearsal = conversation.first.routed.auto != Auto::Run;
    let key = match conversation.episode {
        0 => format!("alert-run:{}", conversation.key),
        n => format!("alert-run:{}:{n}", conversation.key),
    };
    let message = outgoing(conversation, key, Message::new(Tone::Progress, ""));
    let title = conversation.first.tracked.alert.summary();
    let incident = conversation.incident.map(|id| (id.0, title.to_owned()));
    let about = runs::About::alerts(conversation);
    let tail = format!(" --for {}", target(conversation));
    match runs::run_by_itself(
        context,
        name,
        &about,
        incident,
        rehearsal,
        (&message, &tail),
    ) {
        Ok(new) => {
            let word = if rehearsal { "rehearsal" } else { "run" };
            let begins = format!("{word} of {name} for an alert:");
            Some(Fits::Run(Box::new(new), begins))
        }
        Err(why) => {
            let line = why.title.plain();
            tracing::info!(
                runbook = name,
                why = line,
                "the runbook is not begun by itself"
            );
            Some(Fits::Asks(message.key, why))
        }
    }
}

/// Says that the runbook was not begun, and what to press.
async fn ask_first(
    tx: &mut Tx,
    conversation: &Conversation,
    key: &str,
    why: &Refusal,
) -> Result<(), StoreError> {
    let text = format!("no run began by itself: {}", why.title.plain());
    let draft = Draft::new(&Person::bot(), EntryKind::Run, text);
    tx.append(&Stream::Audit, draft.clone()).await?;
    if let Some(incident) = conversation.incident {
        tx.append(&Stream::Incident(incident), draft).await?;
    }
    let message = outgoing(conversation, format!("{key}:asks"), why.message());
    tx.outbox_put(&message).await
}
