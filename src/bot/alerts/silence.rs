//! `silence`: the bot's own, and, where one is configured, Alertmanager's.
//!
//! The wish is recorded, and is the bot's own silence, in the transaction that answers it. A timer
//! then brings it about in Alertmanager, asks how it stands, and ends it; whatever dies, the next
//! process goes on, and a silence whose making had no answer is found by the mark in its comment.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::command::append;
use super::timers::{self, What};
use crate::bot::request::request_id;
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::alert::{Alert, Silence};
use crate::domain::timeline::cut;
use crate::domain::{Audience, Button, Content, Line, Message, Person, Tone, duration};
use crate::probe::ProbeError;
use crate::probe::alertmanager::{Alertmanager, NewSilence};
use crate::store::{StoreError, TimerRow, Tx};

/// Nothing is silenced for longer.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// After a failed attempt; twice as long after each further one.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest time between two attempts.
const RARELY: Duration = Duration::from_secs(300);
/// One look may take this long; shorter than the lease of a timer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Asking which alerts still fire may take this long; with a look, shorter than that lease.
const SHORT: Duration = Duration::from_secs(20);

pub(in crate::bot) async fn silence(
    context: &Context,
    ask: &Ask,
    given: &str,
    within: Duration,
    reason: Option<String>,
) -> Result<Effect, Fault> {
    if within > LONGEST || within.is_zero() {
        return Err(Refusal::new("Alerts are silenced for 1s to 30d").into());
    }
    let meant = crate::bot::alerts::command::alerts_named(context, ask, Some(given)).await?;
    let fingerprints = fingerprints(context, &meant).await?;
    let person = ask.request.person.clone();
    let there = context.catalogue().alertmanager().is_some();
    let id = request_id(&ask.request.key);
    let answer = ask.outgoing(
        Content::Message(Message::new(Tone::Good, "")),
        Audience::Everyone,
    );
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            let until = now + within;
            let known = tx.alerts(&fingerprints).await?;
            let count = known.len();
            let alerts = known.iter().map(|(_, record)| &record.tracked.alert);
            let pieces = if there {
                Silence::pieces(alerts)
            } else {
                Vec::new()
            };
            let mut told = BTreeSet::new();
            for (place, mut record) in known {
                record.tracked.silenced_until = Some(until);
                tx.alert_put(&place, &record).await?;
                told.insert(place);
            }
            let why = reason
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            let mut incident = None;
            for place in told.iter().filter(|place| !place.is_empty()) {
                timers::set(tx, place, now, What::Tell).await?;
                // It is told again when the silence ends.
                timers::set(tx, place, until, What::SilenceEnds).await?;
                if let Some(conversation) = tx.conversation(place).await? {
                    let span = duration::text(within);
                    let text = format!("{count} alerts silenced for {span}{why}");
                    append(tx, &conversation, &person, text).await?;
                    incident = incident.or(conversation.incident);
                }
            }
            let line = Line::new()
                .text(if count == 1 {
                    "1 alert of ".to_owned()
                } else {
                    format!("{count} alerts of ")
                })
                .code(&meant.name)
                .text(format!(" silenced for {} by ", duration::text(within)))
                .person(&person);
            let mut message = Message::new(Tone::Good, line)
                .text(Line::new().text("Until ").time(until).text(why));
            if !there {
                return Ok(said(message));
            }
            if pieces.is_empty() {
                // Alerts of others, or so many that what they share would silence too much.
                message = message.text(
                    "Alertmanager itself is not asked to be quiet: these alerts are not its \
                         own, or share too little",
                );
                return Ok(said(message));
            }
            let mut silence = Silence {
                id,
                by: person,
                reason,
                incident,
                name: meant.name,
                since: now,
                until,
                conversations: told,
                pieces,
                answer,
                fault: None,
                attempts: 0,
                missing: BTreeSet::new(),
                ended: None,
            };
            silence.answer.content = Content::Message(message);
            tx.silence_put(&silence, false).await?;
            timers::set(tx, &silence.id, now, What::Silence).await?;
            Ok(said(words(&silence)))
        })
    }))
}

/// `silence ALERT --end`
pub(in crate::bot) async fn unsilence(
    context: &Context,
    ask: &Ask,
    given: &str,
) -> Result<Effect, Fault> {
    let meant = crate::bot::alerts::command::alerts_named(context, ask, Some(given)).await?;
    let fingerprints = fingerprints(context, &meant).await?;
    let person = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            let mut told = BTreeSet::new();
            let mut alerts = Vec::new();
            for (place, mut record) in tx.alerts(&fingerprints).await? {
                let until = record.tracked.silenced_until.take();
                if until.is_some_and(|until| until > now) {
                    tx.alert_put(&place, &record).await?;
                    told.insert(place);
                    alerts.push(record.tracked.alert);
                }
            }
            if alerts.is_empty() {
                let line = Line::new()
                    .text("No alert of ")
                    .code(&meant.name)
                    .text(" is silenced");
                return Err(Refusal::new(line).into());
            }
            for mut silence in tx.silences_open().await? {
                if silence.conversations.is_disjoint(&told) {
                    continue;
                }
                let mut touched = false;
                for piece in silence.pieces.iter_mut().filter(|piece| !piece.ended) {
                    if alerts.iter().any(|alert| Silence::covers(piece, alert)) {
                        piece.end = true;
                        touched = true;
                    }
                }
                if touched {
                    if silence.pieces.iter().all(|piece| piece.end || piece.ended) {
                        silence.ended = Some(Some(person.clone()));
                    }
                    tx.silence_put(&silence, false).await?;
                    timers::set(tx, &silence.id, now, What::Silence).await?;
                }
            }
            let count = alerts.len();
            let what = match count {
                1 => "1 alert".to_owned(),
                n => format!("{n} alerts"),
            };
            for place in told.iter().filter(|place| !place.is_empty()) {
                timers::set(tx, place, now, What::Tell).await?;
                if let Some(conversation) = tx.conversation(place).await? {
                    let text = format!("the silence of {what} was ended");
                    append(tx, &conversation, &person, text).await?;
                }
            }
            let line = Line::new()
                .text(format!("{what} of "))
                .code(&meant.name)
                .text(if count == 1 {
                    " is told again"
                } else {
                    " are told again"
                });
            Ok(said(Message::new(Tone::Good, line)))
        })
    }))
}

/// The alerts that are meant, or that there are none.
async fn fingerprints(
    context: &Context,
    meant: &super::command::Meant,
) -> Result<Vec<String>, Fault> {
    let mut fingerprints = meant.alerts.clone().unwrap_or_default();
    if meant.alerts.is_none() {
        for told in &meant.told {
            fingerprints.extend(context.store().fingerprints_of(told).await?);
        }
    }
    if fingerprints.is_empty() {
        let line = Line::new()
            .text("There are no alerts of ")
            .code(&meant.name);
        return Err(Refusal::new(line).into());
    }
    Ok(fingerprints)
}

/// Brings a silence about in Alertmanager, or asks how it stands, or ends it.
pub(super) async fn keep_silence(
    context: &Context,
    timer: &TimerRow,
    id: &str,
) -> Result<(), StoreError> {
    let Some(silence) = context.store().silence(id).await? else {
        return crate::bot::alerts::look::drop_timer(context, timer).await;
    };
    let Some(there) = context.catalogue().alertmanager() else {
        return crate::bot::alerts::look::drop_timer(context, timer).await;
    };
    let mut kept = silence.clone();
    let now = context.store().now();
    let done = tokio::time::timeout(PATIENCE, bring_about(there, &mut kept, now)).await;
    let done = done.unwrap_or_else(|_| {
        Err(format!(
            "Alertmanager did not answer within {} s",
            PATIENCE.as_secs()
        ))
    });
    match done {
        Ok(()) => (kept.fault, kept.attempts) = (None, 0),
        Err(why) => {
            tracing::warn!(
                silence = id,
                why,
                "a silence could not be kept in Alertmanager"
            );
            (kept.fault, kept.attempts) = (Some(why), kept.attempts.saturating_add(1));
        }
    }
    if kept.fault.is_none() {
        let asked = take_up_what_ended(context, there, &mut kept);
        match tokio::time::timeout(SHORT, asked).await {
            Ok(done) => done?,
            Err(_) => tracing::debug!(silence = id, "it is not known which alerts still fire"),
        }
    }
    let check = context.settings().alerts.silence_check;
    let timer = timer.clone();
    context
        .store()
        .write(move |tx| Box::pin(async move { record(tx, &timer, &silence, kept, check).await }))
        .await
}

/// What Alertmanager keeps quiet about ends without its telling: it is asked what it still
/// knows. Twice, and not soon after its start, when it knows nothing yet.
async fn take_up_what_ended(
    context: &Context,
    there: &Alertmanager,
    silence: &mut Silence,
) -> Result<(), StoreError> {
    let now = context.store().now();
    let check = context.settings().alerts.silence_check;
    let started = there.started_at().await;
    if !started.is_ok_and(|at| duration::between(at, now) > check.saturating_mul(3)) {
        return Ok(());
    }
    let mut missing: Vec<Alert> = Vec::new();
    for told in &silence.conversations {
        let firing = context.store().alerts_firing(told, 10_000).await?;
        for piece in silence
            .pieces
            .iter()
            .filter(|one| one.made.is_some() && !one.ended)
        {
            let meant: Vec<&Alert> = firing
                .iter()
                .map(|record| &record.tracked.alert)
                .filter(|alert| Silence::covers(piece, alert))
                .collect();
            if meant.is_empty() {
                continue;
            }
            match there.known(&piece.labels).await {
                Ok(known) => missing.extend(
                    meant
                        .into_iter()
                        .filter(|alert| !known.contains(&alert.fingerprint))
                        .cloned(),
                ),
                Err(error) => {
                    tracing::debug!(%error, "it is not known which alerts still fire");
                }
            }
        }
    }
    let before = std::mem::take(&mut silence.missing);
    silence.missing = missing
        .iter()
        .map(|alert| alert.fingerprint.clone())
        .collect();
    let over: Vec<Alert> = missing
        .into_iter()
        .filter(|alert| before.contains(&alert.fingerprint))
        .map(|alert| Alert {
            firing: false,
            ends_at: Some(now),
            ..alert
        })
        .collect();
    if !over.is_empty() {
        crate::bot::alerts::take_alerts(context, over).await?;
    }
    Ok(())
}

fn said(message: Message) -> Done {
    Done {
        answer: Some(Answer::to_all(message)),
        ..Done::default()
    }
}

/// One look at Alertmanager: what is wanted is made, what is to end is ended, and what was ended
/// there is noticed.
async fn bring_about(
    there: &Alertmanager,
    silence: &mut Silence,
    now: Timestamp,
) -> Result<(), String> {
    let told = |error: ProbeError| error.what;
    if silence.until <= now {
        silence
            .pieces
            .iter_mut()
            .for_each(|piece| piece.ended = true);
        return Ok(());
    }
    let all = there.silences().await.map_err(told)?;
    for at in 0..silence.pieces.len() {
        let marker = silence.marker(at);
        let comment = silence.comment(at);
        let piece = &mut silence.pieces[at];
        if piece.ended {
            continue;
        }
        let found = all.iter().find(|one| match &piece.made {
            Some(id) => one.id == *id,
            // Made by an attempt that had no answer.
            None => one.comment.ends_with(&marker),
        });
        match found {
            Some(one) => {
                piece.made = Some(one.id.clone());
                if piece.end && !one.expired {
                    there.end(&one.id).await.map_err(told)?;
                }
                piece.ended = piece.end || one.expired;
            }
            None if piece.made.is_some() || piece.end => piece.ended = true,
            None => {
                let new = NewSilence {
                    labels: &piece.labels,
                    starts_at: now,
                    ends_at: silence.until,
                    created_by: &silence.by.name,
                    comment: &comment,
                };
                piece.made = Some(there.silence(&new).await.map_err(told)?);
            }
        }
    }
    Ok(())
}

/// Records what came of a look, tells it, and sets the next one.
async fn record(
    tx: &mut Tx,
    timer: &TimerRow,
    before: &Silence,
    mut kept: Silence,
    check: Duration,
) -> Result<(), StoreError> {
    if !tx.timer_take(timer).await? {
        return Ok(());
    }
    let now = tx.now();
    // Somebody may have ended it meanwhile.
    let mut again = false;
    if let Some(newest) = tx.silence(&kept.id).await? {
        for (piece, newest) in kept.pieces.iter_mut().zip(&newest.pieces) {
            again |= newest.end && !piece.end;
            piece.end |= newest.end;
        }
        kept.ended = kept.ended.or(newest.ended);
    }
    let over = kept.pieces.iter().all(|piece| piece.ended);
    if over && kept.ended.is_none() && kept.until > now {
        kept.ended = Some(None);
        told_again(tx, &kept).await?;
    }
    if let Some(text) = news(before, &kept, over)
        && let Some(told) = kept.conversations.iter().find(|told| !told.is_empty())
        && let Some(conversation) = tx.conversation(told).await?
    {
        append(tx, &conversation, &Person::bot(), text).await?;
    }
    tx.silence_put(&kept, over).await?;
    if words(before) != words(&kept) || over {
        let mut answer = kept.answer.clone();
        answer.content = Content::Message(words(&kept));
        tx.outbox_put(&answer).await?;
    }
    if over {
        return Ok(());
    }
    let pause = match kept.attempts {
        _ if again => Duration::ZERO,
        0 => check,
        n => AGAIN.saturating_mul(1 << (n - 1).min(10)).min(RARELY),
    };
    let due = (now + pause).min(kept.until.max(now));
    timers::set(tx, &kept.id, due, What::Silence).await
}

/// It was ended in Alertmanager: its alerts are told again here too.
async fn told_again(tx: &mut Tx, silence: &Silence) -> Result<(), StoreError> {
    let now = tx.now();
    for told in &silence.conversations {
        for mut record in tx.alerts_silenced_until(told, silence.until).await? {
            record.tracked.silenced_until = None;
            tx.alert_put(told, &record).await?;
        }
        if !told.is_empty() {
            timers::set(tx, told, now, What::Tell).await?;
        }
    }
    Ok(())
}

/// What the timeline says of a change.
fn news(before: &Silence, now: &Silence, over: bool) -> Option<String> {
    let made = |silence: &Silence| {
        silence
            .pieces
            .iter()
            .filter(|one| one.made.is_some())
            .count()
    };
    if over {
        return match &now.ended {
            None => None,
            Some(None) => Some("the silence was ended in Alertmanager".to_owned()),
            Some(Some(_)) => Some("the silence is ended in Alertmanager too".to_owned()),
        };
    }
    if made(now) > made(before) {
        let ids: Vec<&str> = now
            .pieces
            .iter()
            .filter_map(|one| one.made.as_deref())
            .collect();
        let more = ids.len().saturating_sub(3);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let ids: Vec<&str> = ids.into_iter().take(3).collect();
        return Some(format!(
            "silenced in Alertmanager too: {}{more}",
            ids.join(", ")
        ));
    }
    match (&before.fault, &now.fault) {
        (None, Some(why)) => Some(format!("not silenced in Alertmanager: {}", cut(why, 200))),
        _ => None,
    }
}

/// The message, with how far it has come in Alertmanager.
fn words(silence: &Silence) -> Message {
    let Content::Message(mut message) = silence.answer.content.clone() else {
        return Message::new(Tone::Good, "");
    };
    let open = silence.pieces.iter().filter(|piece| !piece.ended).count();
    let made: Vec<&String> = silence
        .pieces
        .iter()
        .filter_map(|one| one.made.as_ref())
        .collect();
    let line = if let (Some(by), 0) = (&silence.ended, open) {
        match by {
            Some(person) => Line::new().text("Ended by ").person(person),
            None => Line::new().text("Ended in Alertmanager: it is told again"),
        }
    } else if open == 0 {
        Line::new().text("It is over")
    } else if let Some(why) = &silence.fault {
        message.tone = Tone::Warning;
        let line = Line::new().text(format!("⚠️ {}. ", cut(why, 200)));
        if made.is_empty() {
            line.text("It is quiet here only; Alertmanager is asked again")
        } else {
            line.text("It is asked again")
        }
    } else if silence.ended.is_some() {
        Line::new().text("Alertmanager is being asked to end it …")
    } else if made.len() < silence.pieces.len() {
        Line::new().text("Alertmanager is being asked to be quiet too …")
    } else if let [only] = made.as_slice() {
        Line::new()
            .text("Alertmanager is quiet too: silence ")
            .code(cut(only, 60))
    } else {
        Line::new().text(format!(
            "Alertmanager is quiet too: {} silences",
            made.len()
        ))
    };
    message = message.text(line);
    if open > 0 && silence.ended.is_none() {
        let name = crate::command::words::quote(&silence.name);
        message = message.buttons(vec![Button::new(
            "End silence",
            format!("silence {name} --end"),
        )]);
    }
    message
}
