//! The bot's own look at what an alert is about: gathered at once, told in one message, and the
//! runbook that fits started or rehearsed where the policy says so.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::timers::outgoing;
use super::words;
use crate::bot::Context;
use crate::domain::alert::Auto;
use crate::domain::alert::Conversation;
use crate::domain::timeline::Draft;
use crate::domain::{Entry, EntryKind, Message, Person, ServiceName, Stream, Tone};
use crate::store::{StoreError, TimerRow};

/// What can't be told in this time is left out.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far back the bot looks for what was changed.
const HOUR: Duration = Duration::from_secs(3_600);
/// Changes that are told.
const MOST_CHANGES: usize = 8;

/// An answer for machines and for people, or why there is none.
type Answered = Result<(Value, Message), String>;

/// What was seen of a service.
pub(super) struct Seen {
    /// Each question with its answer.
    pub(super) answers: Vec<(&'static str, Answered)>,
    /// What was changed lately, oldest first.
    pub(super) changes: Vec<Entry>,
}

pub(super) async fn look_at_alerts(
    context: &Context,
    timer: &TimerRow,
    told: &str,
) -> Result<(), StoreError> {
    let Some(conversation) = context.store().conversation(told).await? else {
        return drop_timer(context, timer).await;
    };
    let auto = conversation.first.routed.auto;
    if auto == Auto::Off {
        return drop_timer(context, timer).await;
    }
    let (seen, standing) = match &conversation.service {
        None => (None, None),
        Some(service) => {
            let (seen, standing) = futures_util::join!(
                look_at(context, service),
                crate::bot::alerts::figures::standing(context, service)
            );
            (
                Some(seen?),
                standing.map(|standing| (service.clone(), standing)),
            )
        }
    };
    let run = run_for_alerts(context, &conversation, auto);
    let owner = context.instance().to_owned();
    let (timer, told) = (timer.clone(), told.to_owned());
    let begun = context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.timer_take(&timer).await? {
                    return Ok::<_, StoreError>(None);
                }
                if let Some((service, standing)) = standing
                    && let Some(mut newest) = tx.conversation(&told).await?
                {
                    newest.counts_before.insert(service, standing);
                    tx.conversation_put(&newest).await?;
                }
                if let Some(seen) = &seen {
                    let message = words::seen(&conversation, seen, tx.now());
                    if let Some(id) = conversation.incident {
                        let draft =
                            Draft::new(&Person::bot(), EntryKind::Alert, words::seen_text(seen));
                        tx.append(&Stream::Incident(id), draft).await?;
                    }
                    let key = format!("look:{told}");
                    tx.outbox_put(&outgoing(&conversation, key, message))
                        .await?;
                }
                let Some((new, begins)) = run else {
                    return Ok(None);
                };
                let (id, is_new) = tx.run_begin(&new, &owner).await?;
                if !is_new {
                    return Ok(None);
                }
                let draft = Draft::new(
                    &Person::bot(),
                    EntryKind::Run,
                    format!("{begins} {id} begins"),
                )
                .data(json!({"run": id, "runbook": new.name}));
                tx.append(&Stream::Audit, draft.clone()).await?;
                if let Some(incident) = conversation.incident {
                    tx.append(&Stream::Incident(incident), draft).await?;
                }
                Ok(Some(id))
            })
        })
        .await?;
    if let Some(id) = begun {
        crate::bot::runs::follow(context, id);
    }
    Ok(())
}

/// Removes a timer for which there is nothing to do.
pub(in crate::bot) async fn drop_timer(
    context: &Context,
    timer: &TimerRow,
) -> Result<(), StoreError> {
    let timer = timer.clone();
    context
        .store()
        .write(move |tx| Box::pin(async move { tx.timer_take(&timer).await.map(|_| ()) }))
        .await
}

/// All questions at the same time.
async fn look_at(context: &Context, service: &ServiceName) -> Result<Seen, StoreError> {
    let of = |more: Value| {
        let mut params = json!({"service": service});
        if let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) {
            params.extend(more);
        }
        params
    };
    let asked = [
        ("service.status", of(json!({}))),
        ("service.stats", of(json!({}))),
        (
            "service.logs",
            of(json!({"lines": 8, "grep": "error", "since": "15m"})),
        ),
        ("service.events", of(json!({"since": "1h"}))),
    ];
    let answers = join_all(asked.map(|(name, params)| async move {
        let answer =
            match tokio::time::timeout(PATIENCE, context.commands().call(context, name, params))
                .await
            {
                Ok(Ok(called)) => Ok((called.value, called.message)),
                Ok(Err(fault)) => Err(fault.line()),
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
        (name, answer)
    }))
    .await;
    Ok(Seen {
        answers,
        changes: changes(context, HOUR).await?,
    })
}

/// What the bot changed lately, by whomever's wish.
async fn changes(context: &Context, within: Duration) -> Result<Vec<Entry>, StoreError> {
    let since = context.store().now() - within;
    let (entries, _) = context
        .store()
        .entries_since(&Stream::Audit, since, None, 500)
        .await?;
    let mut changes: Vec<Entry> = entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Outcome)
        .collect();
    let surplus = changes.len().saturating_sub(MOST_CHANGES);
    changes.drain(..surplus);
    Ok(changes)
}

/// What was changed since a conversation began.
pub(super) async fn changes_since(context: &Context, told: &str) -> Result<Vec<Entry>, StoreError> {
    let Some(conversation) = context.store().conversation(told).await? else {
        return Ok(Vec::new());
    };
    let began = conversation.began_at;
    let now = context.store().now();
    changes(context, crate::domain::duration::between(began, now)).await
}

/// The run that the policy wants, with what the timeline says of it.
fn run_for_alerts(
    context: &Context,
    conversation: &Conversation,
    auto: Auto,
) -> Option<(crate::store::NewRun, String)> {
    let name = conversation.runbook.as_deref()?;
    let rehearsal = auto != Auto::Run;
    let told = outgoing(
        conversation,
        format!("alert-run:{}", conversation.key),
        Message::new(Tone::Progress, ""),
    );
    let incident = conversation.incident.map(|id| {
        let title = conversation.first.tracked.alert.summary().to_owned();
        (id.0, title)
    });
    match crate::bot::runs::run_by_itself(
        context,
        name,
        conversation.service.as_ref(),
        incident,
        rehearsal,
        &told,
    ) {
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
