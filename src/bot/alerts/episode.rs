//! Alerts that begin to fire or become worse: where they are told, and who is asked.

use super::conversation::{active, note_alerts, post_news, write_soon};
use super::kinds::{COMPARE, FOLLOW_UP, QUIET, SILENCE_END, SOON, TRIAGE, UNHEARD};
use super::news::News;
use super::start::{self, Started};
use super::words::{self, alerts};
use super::{escalation, flapping, held, over};
use crate::bot::{Context, timers};
use crate::domain::Severity;
use crate::domain::alert::{AlertRecord, Conversation, Transition};
use crate::store::{StoreError, TimerRow, Tx};

/// Records what fires and what changed, with all that follows from it. Gives the key of the
/// conversation. `before`: the group's last one.
pub(super) async fn begin(
    tx: &mut Tx,
    bot: &Context,
    group: &str,
    before: Option<String>,
    news: &News,
) -> Result<Option<String>, StoreError> {
    let Some(worst) = news.records().min_by_key(|record| record.routed.severity) else {
        return Ok(None);
    };
    let Started {
        mut conversation,
        is_new,
        joins,
        is_storm,
    } = start::conversation(tx, bot, group, before.as_deref(), worst).await?;
    let now = tx.now();
    let loaded = (!is_new && !conversation.declared).then(|| conversation.clone());
    tx.alerts_put(&conversation.key, news.records()).await?;
    let silenced = news.records().filter_map(|one| one.tracked.silenced_until);
    if let Some(until) = silenced.filter(|until| *until > now).min() {
        SILENCE_END.set(tx, &conversation.key, until).await?;
    }
    if let Some(before) = before.filter(|before| *before != conversation.key) {
        // Nothing may be left there.
        over::moved(tx, bot, &before, conversation.incident).await?;
    }
    note(tx, &conversation, news).await?;
    let loud: Vec<&AlertRecord> = news
        .records()
        .filter(|record| record.tracked.is_audible(now))
        .collect();
    let loudest = loud.iter().map(|one| one.routed.severity).min();
    if let (Some(id), Some(loudest), false) = (conversation.incident, loudest, is_new) {
        start::worsen(tx, bot, id, loudest).await?;
    }
    let is_anew = !is_new && conversation.quiet_since.is_some();
    if is_anew {
        let quiet = bot.settings().alerts.quiet;
        let was_over = conversation
            .quiet_since
            .is_some_and(|since| since + quiet <= now);
        conversation.episode += u32::from(was_over);
        conversation.begin_anew(now, bot.settings().alerts.ack_within);
    }
    QUIET.unset(tx, &conversation.key).await?;
    if is_new || is_anew {
        TRIAGE.set(tx, &conversation.key, now).await?;
        let later = now + bot.settings().alerts.follow_up;
        FOLLOW_UP.set(tx, &conversation.key, later).await?;
    }
    listen(tx, bot, &conversation, news).await?;
    let rises = |(record, before): &(AlertRecord, Severity)| {
        record.routed.severity < *before && record.tracked.is_audible(now)
    };
    let how = How {
        rises: news.changed.iter().any(rises),
        is_new,
        is_anew,
        // Who has taken the last of a storm up hears what is added to it.
        is_more: is_storm && conversation.acknowledged.is_some(),
        joins,
    };
    say(tx, &mut conversation, &loud, how).await?;
    if loaded.as_ref() != Some(&conversation) {
        tx.conversation_put(&conversation).await?;
    }
    write_soon(tx, &conversation).await?;
    flapping::begun(tx, bot, &conversation, &news.fired).await?;
    let changed: Vec<AlertRecord> = news.changed.iter().map(|(one, _)| one.clone()).collect();
    flapping::check_later(tx, bot, &conversation.key, &changed).await?;
    let declare_from = bot.settings().alerts.declare_from;
    if loud
        .iter()
        .any(|record| record.routed.severity <= declare_from)
    {
        escalation::resume(tx, bot, &conversation).await?;
    }
    Ok(Some(conversation.key))
}

/// Puts it on the timeline.
async fn note(tx: &mut Tx, conversation: &Conversation, news: &News) -> Result<(), StoreError> {
    if !news.fired.is_empty() {
        let what = alerts(news.fired.len(), "fires", "fire");
        note_alerts(tx, conversation, &what, &news.fired).await?;
    }
    for (record, before) in &news.changed {
        let what = format!("{} (was {before})", record.routed.severity);
        note_alerts(tx, conversation, &what, std::slice::from_ref(record)).await?;
    }
    Ok(())
}

/// Has it looked whether their senders still know them.
async fn listen(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
    news: &News,
) -> Result<(), StoreError> {
    let unheard = bot.settings().alerts.unheard;
    let due = news
        .records()
        .filter_map(|one| one.tracked.unheard_at(unheard))
        .min();
    if let Some(due) = due {
        UNHEARD.set(tx, &conversation.key, due).await?;
    }
    let compares = bot.catalogue().alertmanager().is_some();
    if compares
        && news
            .records()
            .any(|one| one.tracked.alert.is_from_alertmanager())
    {
        let soon = tx.now() + bot.settings().alerts.silence_check.min(SOON);
        COMPARE.set(tx, "", soon).await?;
    }
    Ok(())
}

/// How alerts came to a conversation.
#[derive(Clone, Copy)]
struct How {
    /// One that fired became worse.
    rises: bool,
    /// It begins with them.
    is_new: bool,
    /// Everything in it was over.
    is_anew: bool,
    /// It is about something else.
    joins: bool,
    /// It is another service's, put where somebody has taken something else up.
    is_more: bool,
}

/// Says what an edit would hide: Slack notifies nobody of an edit.
async fn say(
    tx: &mut Tx,
    conversation: &mut Conversation,
    loud: &[&AlertRecord],
    how: How,
) -> Result<(), StoreError> {
    let Some(worst) = loud.iter().map(|record| record.routed.severity).min() else {
        return Ok(());
    };
    let name = |record: &&AlertRecord| record.tracked.alert.name().to_owned();
    let unheard_of: Vec<&AlertRecord> = loud
        .iter()
        .copied()
        .filter(|record| !conversation.kinds.contains(&name(record)))
        .collect();
    let room = Conversation::KINDS.saturating_sub(conversation.kinds.len());
    conversation
        .kinds
        .extend(unheard_of.iter().map(name).take(room));
    let is_worse = conversation.is_worse(worst);
    let is_further = how.is_more || (!how.joins && !unheard_of.is_empty());
    if !how.is_new && (how.is_anew || how.rises || is_worse || is_further) {
        let whom = escalation::concerned(tx, conversation).await?;
        let shown = if unheard_of.is_empty() {
            loud
        } else {
            &unheard_of
        };
        let message = words::news(
            conversation,
            shown,
            how.is_anew,
            how.rises || is_worse,
            &whom,
        );
        post_news(tx, conversation, message).await?;
    }
    conversation.ask_about(worst, tx.now());
    Ok(())
}

/// People are to be told again of these, which still fire, and why: by one message. What became worse meanwhile
/// makes the incident worse, and is asked about. The conversation is put.
pub(super) async fn tell_again(
    tx: &mut Tx,
    bot: &Context,
    conversation: &mut Conversation,
    loud: &[AlertRecord],
    why: &str,
) -> Result<(), StoreError> {
    let Some(worst) = loud.iter().map(|record| record.routed.severity).min() else {
        return Ok(());
    };
    let whom = escalation::concerned(tx, conversation).await?;
    let message = words::loud_again(conversation, loud, why, &whom);
    post_news(tx, conversation, message).await?;
    if let Some(id) = conversation.incident {
        start::worsen(tx, bot, id, worst).await?;
    }
    conversation.ask_about(worst, tx.now());
    tx.conversation_put(conversation).await?;
    escalation::resume(tx, bot, conversation).await
}

/// Takes alerts up that fire but are told nowhere any more: in the conversation of their group.
pub(super) async fn take_up(
    tx: &mut Tx,
    bot: &Context,
    records: Vec<AlertRecord>,
) -> Result<(), StoreError> {
    let mut groups = std::collections::BTreeMap::<String, News>::new();
    for record in records {
        groups
            .entry(record.group.clone())
            .or_default()
            .fired
            .push(record);
    }
    let mut before = tx.alert_groups(&groups.keys().cloned().collect()).await?;
    let windows = held::windows(tx).await?;
    for (name, mut news) in groups {
        let before = before.remove(&name).flatten();
        held::keep(tx, bot, &windows, before.as_deref(), &mut news).await?;
        begin(tx, bot, &name, before, &news).await?;
    }
    Ok(())
}

/// A doubtful report was followed by no further end: the alert fires. The timer's subject is its
/// fingerprint.
pub(super) async fn settle(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, fingerprint| {
        Box::pin(async move {
            let found = tx.alerts(&[fingerprint.to_owned()]).await?;
            let Some((key, mut record)) = found.into_iter().next() else {
                return Ok(());
            };
            let damping = bot.settings().alerts.damping;
            match record.tracked.settle(damping, tx.now()) {
                Transition::Fired => take_up(tx, bot, vec![record]).await,
                Transition::Damped { begins } => {
                    let mut fired = Vec::new();
                    let changed = [(key, vec![(record, begins)])].into();
                    flapping::take(tx, bot, changed, &mut fired).await?;
                    take_up(tx, bot, fired).await
                }
                _ => Ok(()),
            }
        })
    })
    .await
}

/// An incident was resolved by hand: its alerts that still fire after a while are told anew. Or it
/// was reopened: they are followed up again. The timer's subject is its conversation.
pub(super) async fn relapse(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let now = tx.now();
            let firing = tx.alerts_firing(Some(key), 500).await?;
            let firing = firing.into_iter().map(|(_, record)| record);
            let loud = firing.filter(|record| record.tracked.is_audible(now));
            let loud: Vec<AlertRecord> = loud.collect();
            let Some(mut conversation) = active(tx, key).await? else {
                return take_up(tx, bot, loud).await;
            };
            if !loud.is_empty() {
                conversation.begin_anew(now, bot.settings().alerts.ack_within);
                tx.conversation_put(&conversation).await?;
                let later = now + bot.settings().alerts.follow_up;
                FOLLOW_UP.set(tx, key, later).await?;
                escalation::resume(tx, bot, &conversation).await?;
            }
            write_soon(tx, &conversation).await
        })
    })
    .await
}
