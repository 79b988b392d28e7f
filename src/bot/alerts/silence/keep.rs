//! The job of a silence's timer.

use std::time::Duration;

use super::alertmanager::bring_about;
use super::words::{message, news};
use crate::bot::alerts::conversation::note;
use crate::bot::alerts::kinds::{MESSAGE, SILENCE, SILENCE_END};
use crate::bot::{Context, timers};
use crate::domain::alert::Silence;
use crate::domain::{Content, Person};
use crate::store::{StoreError, TimerRow, Tx};

/// After a failed attempt; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(5);
/// The longest time between two attempts.
const RARELY: Duration = Duration::from_secs(300);
/// One look may take this long; shorter than the lease of a timer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brings a silence about in Alertmanager, or reads its state there, or ends it.
pub(crate) async fn keep(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let id = &timer.subject;
    let (Some(before), Some(there)) = (
        context.store().silence(id).await?,
        context.catalogue().alertmanager(),
    ) else {
        return timers::discard(context, timer).await;
    };
    let mut kept = before.clone();
    let done = bring_about(there, &mut kept, context.now());
    let fault = match tokio::time::timeout(PATIENCE, done).await {
        Ok(done) => done.err().map(|error| error.what),
        Err(_) => Some(format!(
            "Alertmanager did not answer within {} s",
            PATIENCE.as_secs()
        )),
    };
    if let Some(why) = &fault {
        tracing::warn!(
            silence = id,
            why,
            "a silence could not be kept in Alertmanager"
        );
        kept.attempts = kept.attempts.saturating_add(1);
    } else {
        kept.attempts = 0;
    }
    kept.fault = fault;
    timers::take(context, timer, move |tx, bot, _| {
        let check = bot.settings().alerts.silence_check;
        Box::pin(async move { record(tx, &before, kept, check).await })
    })
    .await
}

/// Records what came of a look, says it, and sets the next one.
async fn record(
    tx: &mut Tx,
    before: &Silence,
    mut kept: Silence,
    check: Duration,
) -> Result<(), StoreError> {
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
        unsilence_here(tx, &kept).await?;
    }
    if let Some(text) = news(before, &kept, over)
        && let Some(key) = kept.conversations.iter().find(|key| !key.is_empty())
        && let Some(conversation) = tx.conversation(key).await?
    {
        note(tx, &conversation, &Person::bot(), text).await?;
    }
    tx.silence_put(&kept, over).await?;
    let said = message(&kept);
    if message(before) != said || over {
        let answer = kept.answer.with(Content::Message(said));
        tx.outbox_put(&answer).await?;
    }
    if over {
        return Ok(());
    }
    let pause = match kept.attempts {
        _ if again => Duration::ZERO,
        0 => check,
        n => RETRY.saturating_mul(1 << (n - 1).min(10)).min(RARELY),
    };
    let due = (now + pause).min(kept.until.max(now));
    SILENCE.set(tx, &kept.id, due).await
}

/// It was ended in Alertmanager: its alerts are no longer silenced here either.
async fn unsilence_here(tx: &mut Tx, silence: &Silence) -> Result<(), StoreError> {
    let now = tx.now();
    for key in &silence.conversations {
        for mut record in tx.alerts_silenced_until(key, silence.until).await? {
            // By this the end of a silence knows it.
            record.tracked.silenced_until = Some(now);
            tx.alert_put(key, &record).await?;
        }
        if !key.is_empty() {
            SILENCE_END.set(tx, key, now).await?;
            MESSAGE.set(tx, key, now).await?;
        }
    }
    Ok(())
}
