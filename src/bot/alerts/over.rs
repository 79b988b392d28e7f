//! Alerts that are over, and the moment from which everything is quiet.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::conversation::{note_alerts, note_on_incident, write_soon};
use super::held;
use super::kinds::{ESCALATION, FOLLOW_UP, QUIET, REASK, UNHEARD};
use super::words::alerts;
use crate::bot::Context;
use crate::domain::IncidentId;
use crate::domain::alert::{AlertRecord, Conversation};
use crate::store::{StoreError, Tx};

/// Alerts of a conversation that are over (`true`), or say something new.
pub(super) async fn take(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    records: Vec<(AlertRecord, bool)>,
) -> Result<(), StoreError> {
    let all = records.iter().map(|(record, _)| record);
    tx.alerts_put(key, all).await?;
    let over = records.into_iter().filter(|(_, is_over)| *is_over);
    let over: Vec<AlertRecord> = over.map(|(record, _)| record).collect();
    ended(tx, bot, key, "", &over).await
}

/// Records that these alerts of a conversation are over. `why`: how that is known, if nobody reported it.
pub(super) async fn end(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    why: &str,
    over: &[AlertRecord],
) -> Result<(), StoreError> {
    tx.alerts_put(key, over).await?;
    ended(tx, bot, key, why, over).await
}

/// These alerts of a conversation are over, which is recorded.
async fn ended(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    why: &str,
    over: &[AlertRecord],
) -> Result<(), StoreError> {
    let Some(mut conversation) = tx.conversation(key).await? else {
        return held::ended(tx, key, over).await;
    };
    if !over.is_empty() {
        let what = alerts(over.len(), "is over", "are over");
        note_alerts(tx, &conversation, &format!("{what}{why}"), over).await?;
    }
    if conversation.ended {
        return Ok(());
    }
    begin_quiet(tx, bot, &mut conversation, None).await?;
    write_soon(tx, &conversation).await
}

/// Alerts of a conversation are told in another from now on: what is left of it goes on, or is over
/// without a word of its own.
pub(super) async fn moved(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    to: Option<IncidentId>,
) -> Result<(), StoreError> {
    let Some(mut conversation) = tx.conversation(key).await? else {
        return Ok(());
    };
    if tx.count_firing(key).await? > 0 {
        return Ok(());
    }
    conversation.moved_to = to;
    conversation.ended |= conversation.incident.is_none() && to.is_some();
    tx.conversation_put(&conversation).await?;
    if conversation.ended {
        for kind in [FOLLOW_UP, ESCALATION, REASK, QUIET, UNHEARD] {
            kind.unset(tx, key).await?;
        }
    } else {
        begin_quiet(tx, bot, &mut conversation, None).await?;
    }
    write_soon(tx, &conversation).await
}

/// Something of a conversation fires, or may: Alertmanager left it out.
pub(super) async fn may_fire(tx: &mut Tx, conversation: &Conversation) -> Result<bool, StoreError> {
    Ok(!conversation.left_out.is_empty() || tx.count_firing(&conversation.key).await? > 0)
}

/// If nothing can fire, that counts from `since` on (`None`: from now on), and after long enough it is
/// over.
pub(super) async fn begin_quiet(
    tx: &mut Tx,
    bot: &Context,
    conversation: &mut Conversation,
    since: Option<Timestamp>,
) -> Result<(), StoreError> {
    if conversation.quiet_since.is_some() || may_fire(tx, conversation).await? {
        return Ok(());
    }
    let now = tx.now();
    let since = since.unwrap_or(now);
    conversation.quiet_since = Some(since);
    tx.conversation_put(conversation).await?;
    let due = (since + bot.settings().alerts.quiet).max(now);
    QUIET.set(tx, &conversation.key, due).await
}

/// Alertmanager left so many alerts of each group out of its report (`max_alerts`): they may fire
/// though all that it lists are over. `key`: where alerts of these groups are told.
pub(super) async fn left_out(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    counts: &BTreeMap<String, u64>,
) -> Result<(), StoreError> {
    let Some(mut conversation) = tx.conversation(key).await?.filter(|one| !one.ended) else {
        return Ok(());
    };
    let before = conversation.left_out.clone();
    conversation.left_out.extend(counts.clone());
    conversation.left_out.retain(|_, count| *count > 0);
    if conversation.left_out == before {
        return Ok(());
    }
    let more = counts
        .iter()
        .filter(|(group, count)| **count > 0 && before.get(*group) != Some(*count));
    let count: u64 = more.map(|(_, count)| count).sum();
    if count > 0 {
        conversation.quiet_since = None;
        QUIET.unset(tx, key).await?;
        let what = alerts(count as usize, "was", "were");
        let text =
            format!("{what} left out by Alertmanager (max_alerts): nothing is known of them");
        note_on_incident(tx, &conversation, text).await?;
    }
    tx.conversation_put(&conversation).await?;
    begin_quiet(tx, bot, &mut conversation, None).await?;
    write_soon(tx, &conversation).await
}

/// Alertmanager lists nothing that is not told here: it left nothing out.
pub(super) async fn none_left_out(tx: &mut Tx, bot: &Context, key: &str) -> Result<(), StoreError> {
    let Some(mut conversation) = tx.conversation(key).await?.filter(|one| !one.ended) else {
        return Ok(());
    };
    conversation.left_out.clear();
    tx.conversation_put(&conversation).await?;
    begin_quiet(tx, bot, &mut conversation, None).await?;
    write_soon(tx, &conversation).await
}
