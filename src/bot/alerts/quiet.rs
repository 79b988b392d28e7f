//! The end: nothing has fired for long enough.

use jiff::Timestamp;
use serde_json::json;

use super::changes::changes_since_begin;
use super::conversation::{note_on_incident, ongoing, outgoing, write_soon};
use super::figures::figures;
use super::kinds::{ESCALATION, FOLLOW_UP, REASK, UNHEARD};
use super::over::may_fire;
use super::words::{self, After};
use crate::bot::incidents::{Change, close_asks};
use crate::bot::notify::{Ended, forget};
use crate::bot::{Context, timers};
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, Incident, Line, Person, Status, Tone};
use crate::store::{StoreError, TimerRow, Tx};

/// Says that it was quiet for long enough; resolves the incident, or proposes to.
pub(super) async fn end(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let key = &timer.subject;
    let figures = match context.store().conversation(key).await? {
        Some(conversation) => figures(context, &conversation).await?,
        None => Vec::new(),
    };
    let after = After {
        summary: context.store().alert_summary(key).await?,
        figures,
        changes: changes_since_begin(context, key).await?,
    };
    timers::take(context, timer, move |tx, bot, key| {
        Box::pin(async move {
            let Some((mut conversation, incident)) = ongoing(tx, key).await? else {
                return Ok(());
            };
            let is_quiet = conversation.quiet_since.is_some();
            if !is_quiet || may_fire(tx, &conversation).await? {
                return Ok(());
            }
            if after.summary.resolved == 0 {
                // Its alerts are told elsewhere by now: of them nothing is known here.
                return Ok(());
            }
            FOLLOW_UP.unset(tx, key).await?;
            UNHEARD.unset(tx, key).await?;
            // What a person declared is not over with the alerts that came to it.
            let is_open = conversation.declared;
            let resolves = (bot.settings().alerts.resolves && !is_open) || incident.is_none();
            conversation.ended = resolves;
            if !is_open {
                (conversation.asked_at, conversation.next_ask_at) = (None, None);
                close_asks(tx, &mut conversation, &"Nothing fires any more".into()).await?;
                for kind in [ESCALATION, REASK] {
                    kind.unset(tx, key).await?;
                }
                let ended = if resolves { Ended::Over } else { Ended::Quiet };
                forget(tx, key, &ended).await?;
            }
            tx.conversation_put(&conversation).await?;
            let now = tx.now();
            let message = words::quiet(&conversation, incident.as_ref(), &after, resolves, now);
            if let Some(text) = after.text() {
                note_on_incident(tx, &conversation, text).await?;
            }
            if let (Some(incident), true) = (incident, resolves) {
                resolve(tx, bot, incident, &message.title).await?;
            }
            // The message shows the end as well.
            write_soon(tx, &conversation).await?;
            let since = conversation.quiet_since.map_or(0, Timestamp::as_second);
            let key = format!("quiet:{key}:{since}");
            tx.outbox_put(&outgoing(&conversation, key, message)).await
        })
    })
    .await
}

async fn resolve(
    tx: &mut Tx,
    bot: &Context,
    mut incident: Incident,
    why: &Line,
) -> Result<(), StoreError> {
    let before = std::mem::replace(&mut incident.status, Status::Resolved);
    incident.resolved_at = Some(tx.now());
    let text = format!("{before} → resolved: {}", why.plain());
    let title = Line::new().bold(incident.id).text(" is resolved: ");
    let change = Change {
        draft: Draft::new(&Person::bot(), EntryKind::Status, text)
            .data(json!({"before": before, "after": Status::Resolved})),
        title: title.line(why.clone()),
        tone: Tone::Good,
        before: incident.severity,
        is_news: true,
    };
    change.record(tx, bot.settings(), &incident).await
}
