//! What happens later with alerts: telling, looking, following up, escalating, ending.
//!
//! Each timer is removed in the transaction that does what it is for, so that it is done once,
//! whatever dies and however many processes there are.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{PACE, words};
use crate::bot::Context;
use crate::bot::notify::{self, Bulletin};
use crate::domain::alert::Conversation;
use crate::domain::timeline::Draft;
use crate::domain::{
    Destination, EntryKind, Incident, Line, Message, Outgoing, Person, Status, Stream, Tone,
};
use crate::store::{StoreError, TimerRow, Tx};

/// A timer that could not be done is tried again after this.
const AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
/// The longest time between two follow-ups.
const RARELY: Duration = Duration::from_secs(3_600);
/// Timers that are done at the same time.
const AT_ONCE: usize = 16;

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The message is written.
    Tell,
    /// The same, once a silence is over.
    SilenceEnds,
    /// The bot looks at the service.
    Look,
    /// Does it still fire? What has changed?
    FollowUp,
    /// Nobody has acknowledged it.
    Escalate,
    /// It was quiet for long enough.
    Quiet,
    /// A silence is made, looked at or ended in Alertmanager; it stands for the conversation.
    Silence,
    /// Alerts that flapped may have calmed down.
    Calm,
    /// Somebody else may be on call by the rotation that is named in place of a conversation.
    Handover {
        /// The id of who was, when this was last looked at.
        was: String,
    },
    /// The bot looks around; what it knows so far.
    Watch(super::watchers::Known),
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    told: String,
    what: What,
}

impl What {
    /// Its word in keys: a conversation has one timer of each.
    fn kind(&self) -> &'static str {
        match self {
            Self::Tell => "tell",
            Self::SilenceEnds => "silence-ends",
            Self::Look => "look",
            Self::FollowUp => "follow-up",
            Self::Escalate => "escalate",
            Self::Quiet => "quiet",
            Self::Silence => "silence",
            Self::Calm => "calm",
            Self::Handover { .. } => "handover",
            Self::Watch(_) => "watch",
        }
    }

    /// Its key in the store.
    pub(in crate::bot) fn key(&self, told: &str) -> String {
        format!("{}:{told}", self.kind())
    }

    fn stored(self, told: &str) -> Result<String, StoreError> {
        let told = told.to_owned();
        Ok(serde_json::to_string(&Stored { told, what: self })?)
    }
}

/// What a timer is for, as the store has it.
pub(in crate::bot) fn read(stored: &str) -> Result<What, StoreError> {
    Ok(serde_json::from_str::<Stored>(stored)?.what)
}

/// Sets a timer of a conversation.
pub(in crate::bot) async fn set(
    tx: &mut Tx,
    told: &str,
    due_at: Timestamp,
    what: What,
) -> Result<(), StoreError> {
    let key = what.key(told);
    tx.timer_set(&key, due_at, &what.stored(told)?).await
}

/// Sets a timer, unless one is set under this key already.
pub(in crate::bot) async fn begin(
    tx: &mut Tx,
    told: &str,
    due_at: Timestamp,
    what: What,
) -> Result<(), StoreError> {
    let key = what.key(told);
    tx.timer_begin(&key, due_at, &what.stored(told)?).await
}

/// Removes a timer of a conversation, if it is set.
pub(super) async fn unset(tx: &mut Tx, told: &str, what: &What) -> Result<(), StoreError> {
    tx.timer_unset(&what.key(told)).await
}

/// Has the message written: now, or as soon as it may be written again.
pub(super) async fn tell(tx: &mut Tx, conversation: &Conversation) -> Result<(), StoreError> {
    let now = tx.now();
    let due = conversation
        .written_at
        .map_or(now, |at| (at + PACE).max(now));
    set(tx, &conversation.key, due, What::Tell).await
}

/// The channel that all may read: the route's, else the main one.
fn home(conversation: &Conversation) -> Destination {
    let channel = conversation.first.routed.channel.clone();
    channel.map_or(Destination::Home, Destination::Channel)
}

/// The message of a conversation, to be given a key and content.
pub(super) fn outgoing(conversation: &Conversation, key: String, message: Message) -> Outgoing {
    let to = conversation
        .incident
        .map_or_else(|| home(conversation), Destination::Incident);
    Outgoing::announcement(key, to, message)
}

/// Does what timers are for, as they go off.
pub(in crate::bot) async fn keep_timers(context: Context) {
    // One that takes its time, such as a look at a service that does not answer, keeps none of
    // the others waiting.
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let next = context.store().timer_next().await.ok().flatten();
        let now = context.store().now();
        // Another process may set one without this one hearing of it.
        let pause = next.map_or(Duration::from_secs(2), |at| {
            crate::domain::duration::between(now, at).min(Duration::from_secs(2))
        });
        tokio::select! {
            () = context.shutdown().cancelled() => return,
            () = context.store().timers_changed() => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(20))) => {}
        }
        let free = turns.available_permits();
        if free == 0 {
            // Somebody will finish; the permit itself is taken below.
            drop(turns.acquire().await);
            continue;
        }
        match context.store().timers_due(free as i64).await {
            Ok(due) => {
                for timer in due {
                    let Ok(turn) = turns.clone().acquire_owned().await else {
                        return;
                    };
                    let bot = context.clone();
                    context.tasks().spawn(async move {
                        go_off(&bot, timer).await;
                        drop(turn);
                    });
                }
            }
            Err(error) => {
                tracing::error!(%error, "timers can't be read");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn go_off(context: &Context, timer: TimerRow) {
    let done = match serde_json::from_str::<Stored>(&timer.what) {
        Ok(Stored { told, what }) => do_timer(context, &timer, &told, &what).await,
        // Another version's: it knows what to do with it.
        Err(error) => Err(StoreError::from(error)),
    };
    if let Err(error) = done {
        tracing::error!(timer = %timer.key, %error, "a timer could not be done");
        if let Err(error) = context.store().timer_later(&timer, AGAIN).await {
            tracing::error!(timer = %timer.key, %error, "nor given back: it is taken later");
        }
    }
}

async fn do_timer(
    context: &Context,
    timer: &TimerRow,
    told: &str,
    what: &What,
) -> Result<(), StoreError> {
    match what {
        What::Tell | What::SilenceEnds => tell_alerts(context, timer, told).await,
        What::Look => crate::bot::alerts::look::look_at_alerts(context, timer, told).await,
        What::FollowUp => follow_up(context, timer, told).await,
        What::Escalate => escalate(context, timer, told).await,
        What::Quiet => was_quiet(context, timer, told).await,
        What::Silence => crate::bot::alerts::silence::keep_silence(context, timer, told).await,
        What::Calm => crate::bot::alerts::damp::calm_down(context, timer, told).await,
        What::Handover { .. } => {
            crate::bot::oncall::handover::hand_over(context, timer, told).await
        }
        What::Watch(known) => {
            crate::bot::alerts::watchers::look_around(context, timer, known).await
        }
    }
}

async fn tell_alerts(context: &Context, timer: &TimerRow, told: &str) -> Result<(), StoreError> {
    let summary = context.store().alert_summary(told).await?;
    let others = context.store().services_firing().await?;
    let bot = context.clone();
    let (timer, told) = (timer.clone(), told.to_owned());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.timer_take(&timer).await? {
                    return Ok::<_, StoreError>(());
                }
                let Some(mut conversation) = tx.conversation(&told).await? else {
                    return Ok(());
                };
                conversation.written_at = Some(tx.now());
                tx.conversation_put(&conversation).await?;
                let message = words::alerts(&bot, &conversation, &summary, &others, tx.now());
                let key = format!("alerts:{told}");
                tx.outbox_put(&outgoing(&conversation, key, message)).await
            })
        })
        .await
}

async fn follow_up(context: &Context, timer: &TimerRow, told: &str) -> Result<(), StoreError> {
    let summary = context.store().alert_summary(told).await?;
    let changes = crate::bot::alerts::look::changes_since(context, told).await?;
    let interval = context.settings().alerts.follow_up;
    let (timer, told) = (timer.clone(), told.to_owned());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let Some((mut conversation, _)) = going_on(tx, &timer, &told).await? else {
                    return Ok::<_, StoreError>(());
                };
                let n = conversation.follow_ups;
                conversation.follow_ups += 1;
                tx.conversation_put(&conversation).await?;
                let next = interval
                    .saturating_mul(1 << (n + 1).min(10))
                    .min(RARELY.max(interval));
                set(tx, &told, tx.now() + next, What::FollowUp).await?;
                if summary.firing == 0 {
                    return Ok(());
                }
                let message = words::follow_up(&conversation, &summary, &changes, tx.now());
                if let Some(id) = conversation.incident {
                    let draft = Draft::new(&Person::bot(), EntryKind::Alert, message.title.plain());
                    tx.append(&Stream::Incident(id), draft).await?;
                }
                let key = format!("follow-up:{told}:{n}");
                tx.outbox_put(&outgoing(&conversation, key, message)).await
            })
        })
        .await
}

async fn escalate(context: &Context, timer: &TimerRow, told: &str) -> Result<(), StoreError> {
    let bot = context.clone();
    let summary = context.store().alert_summary(told).await?;
    let (timer, told) = (timer.clone(), told.to_owned());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let Some((mut conversation, incident)) = going_on(tx, &timer, &told).await? else {
                    return Ok::<_, StoreError>(());
                };
                if conversation.acknowledged.is_some() {
                    return Ok(());
                }
                if summary.firing <= summary.silenced {
                    // It may fire again, or its silence end, before it counts as over.
                    let due = tx.now() + bot.settings().alerts.ack_within;
                    return set(tx, &told, due, What::Escalate).await;
                }
                let (whom, last) = crate::bot::oncall::asked(&bot, tx, &conversation).await?;
                let level = conversation.escalated;
                conversation.escalated += 1;
                conversation
                    .escalated_to
                    .extend(whom.iter().map(|one| one.id.clone()));
                tx.conversation_put(&conversation).await?;
                if !last {
                    let due = tx.now() + bot.settings().alerts.ack_within;
                    set(tx, &told, due, What::Escalate).await?;
                }
                if whom.is_empty() {
                    return Ok(());
                }
                let message = words::escalation(&conversation, incident.as_ref(), &whom, tx.now());
                let settings = bot.settings();
                let next = (!last).then_some(settings.alerts.ack_within);
                let incident = incident.as_ref();
                let mailed =
                    notify::ask(tx, settings, &conversation, incident, &whom, next).await?;
                let names: Vec<&str> = whom.iter().map(|one| one.name.as_str()).collect();
                if let Some(id) = conversation.incident {
                    let text = format!("not acknowledged: asked {}", names.join(", "));
                    let draft = Draft::new(&Person::bot(), EntryKind::Alert, text)
                        .data(json!({"level": level, "asked": whom, "mailed": mailed}));
                    tx.append(&Stream::Incident(id), draft).await?;
                }
                let key = format!("escalation:{told}:{level}");
                tx.outbox_put(&Outgoing {
                    to: home(&conversation),
                    ..outgoing(&conversation, key, message)
                })
                .await
            })
        })
        .await
}

async fn was_quiet(context: &Context, timer: &TimerRow, told: &str) -> Result<(), StoreError> {
    let summary = context.store().alert_summary(told).await?;
    let figures = match context.store().conversation(told).await? {
        Some(conversation) => crate::bot::alerts::figures::figures(context, &conversation).await?,
        None => Vec::new(),
    };
    let changes = crate::bot::alerts::look::changes_since(context, told).await?;
    let settings = context.settings().clone();
    let (timer, told) = (timer.clone(), told.to_owned());
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let Some((mut conversation, incident)) = going_on(tx, &timer, &told).await? else {
                    return Ok::<_, StoreError>(());
                };
                if tx.count_firing(&told).await? > 0 {
                    return Ok(());
                }
                let resolves = settings.alerts.resolves || incident.is_none();
                conversation.ended = resolves;
                tx.conversation_put(&conversation).await?;
                unset(tx, &told, &What::FollowUp).await?;
                unset(tx, &told, &What::Escalate).await?;
                let after = words::After {
                    summary: &summary,
                    figures: &figures,
                    changes: &changes,
                };
                let now = tx.now();
                let message = words::quiet(&conversation, incident.as_ref(), &after, resolves, now);
                if let (Some(id), Some(text)) = (conversation.incident, after.text()) {
                    let draft = Draft::new(&Person::bot(), EntryKind::Alert, text);
                    tx.append(&Stream::Incident(id), draft).await?;
                }
                if let (Some(mut incident), true) = (incident, resolves) {
                    let before = std::mem::replace(&mut incident.status, Status::Resolved);
                    incident.resolved_at = Some(tx.now());
                    tx.incident_update(&incident).await?;
                    let text = format!("{before} → resolved: {}", message.title.plain());
                    let draft = Draft::new(&Person::bot(), EntryKind::Status, text)
                        .data(json!({"before": before, "after": Status::Resolved}));
                    tx.append(&Stream::Incident(incident.id), draft).await?;
                    let title = Line::new().bold(incident.id).text(" is resolved: ");
                    let title = title.line(message.title.clone());
                    let bulletin = Bulletin::new(tx, title, Tone::Good, incident.severity);
                    notify::tell(tx, &settings, &incident, bulletin).await?;
                    tx.outbox_put(&crate::bot::incidents::header(&incident, None))
                        .await?;
                }
                // The message shows the end as well.
                tell(tx, &conversation).await?;
                let key = format!(
                    "quiet:{told}:{}",
                    conversation.quiet_since.map_or(0, Timestamp::as_second)
                );
                tx.outbox_put(&outgoing(&conversation, key, message)).await
            })
        })
        .await
}

/// Takes the timer; the conversation and its incident, unless they are over.
async fn going_on(
    tx: &mut Tx,
    timer: &TimerRow,
    told: &str,
) -> Result<Option<(Conversation, Option<Incident>)>, StoreError> {
    if !tx.timer_take(timer).await? {
        return Ok(None);
    }
    let Some(conversation) = tx.conversation(told).await?.filter(|one| !one.ended) else {
        return Ok(None);
    };
    let incident = match conversation.incident {
        None => None,
        Some(id) => match tx.incident(id).await? {
            Some(incident) if incident.status.is_open() => Some(incident),
            _ => return Ok(None),
        },
    };
    Ok(Some((conversation, incident)))
}
