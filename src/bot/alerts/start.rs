//! The conversation that new alerts belong to, and the incident that they declare or make worse.

use std::collections::BTreeMap;

use serde_json::json;

use super::conversation::is_open;
use crate::bot::incidents::{Change, open_incident};
use crate::bot::{Context, oncall};
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, IncidentId, Line, Person, Severity, Tone};
use crate::runbook::Trigger;
use crate::store::{NewIncident, StoreError, Tx};

/// The conversation that a group's new alerts belong to: the one it has, that of an open incident
/// of the service, or a new one; and whether it is new. `first`: the worst of the alerts, which
/// stands for all; `before`: the key of the group's last conversation.
pub(super) async fn conversation(
    tx: &mut Tx,
    bot: &Context,
    group: &str,
    before: Option<&str>,
    first: &AlertRecord,
) -> Result<(Conversation, bool), StoreError> {
    let routed = &first.routed;
    let declares = routed.severity <= bot.settings().alerts.declare_from;
    if let Some(key) = before
        && let Some(conversation) = tx.conversation(key).await?
        && !conversation.ended
        && is_open(tx, conversation.incident).await?
        // One that declares an incident is not reported among lesser ones.
        && (conversation.incident.is_some() || !declares)
    {
        return Ok((conversation, false));
    }
    let mut incident = None;
    if let Some(service) = &routed.service {
        incident = tx.incident_of(service).await?;
    }
    if incident.is_none() && declares {
        let new = NewIncident {
            title: first.title(),
            severity: routed.severity,
            services: routed.service.iter().cloned().collect(),
            declared_by: Person::bot(),
        };
        let channel = routed.channel.clone();
        let members = oncall::on_call_now(bot, tx, routed).await?;
        let opened = open_incident(tx, new, bot.settings(), members, channel).await?;
        incident = Some(opened.id);
    }
    let key = match incident {
        Some(id) => Conversation::key_of(id),
        None => format!("group:{group}:{}", tx.now().as_microsecond()),
    };
    tx.alert_group_set(group, &key).await?;
    if let Some(conversation) = tx.conversation(&key).await?
        && !conversation.ended
    {
        return Ok((conversation, false));
    }
    let conversation = Conversation {
        key,
        incident,
        service: routed.service.clone(),
        runbook: runbook_for(bot, first),
        first: first.clone(),
        began_at: tx.now(),
        written_at: None,
        acknowledged: None,
        follow_ups: 0,
        escalated: 0,
        escalated_to: Vec::new(),
        quiet_since: None,
        ended: false,
        counts_before: BTreeMap::new(),
    };
    Ok((conversation, true))
}

/// The runbook for an alert: the one that is named, else the first whose trigger fits.
fn runbook_for(context: &Context, record: &AlertRecord) -> Option<String> {
    let library = context.library();
    let named = record.routed.runbook.as_deref();
    let labels = &record.tracked.alert.labels;
    let fits = |trigger: &Trigger| match trigger {
        Trigger::Alert(wanted) => {
            let mut wanted = wanted.iter().peekable();
            wanted.peek().is_some() && wanted.all(|(name, value)| labels.get(name) == Some(value))
        }
        Trigger::Keyword(_) => false,
    };
    let mut runbooks = library.runbooks();
    let found = named
        .and_then(|name| library.find(name))
        .or_else(|| runbooks.find(|runbook| runbook.triggers.iter().any(fits)));
    found.map(|runbook| runbook.name.value.clone())
}

/// A worse alert makes the incident worse; a lesser one does not make it better.
pub(super) async fn worsen(
    tx: &mut Tx,
    bot: &Context,
    id: IncidentId,
    severity: Severity,
) -> Result<(), StoreError> {
    let Some(mut incident) = tx.incident(id).await? else {
        return Ok(());
    };
    // What people declared is theirs to judge.
    if severity >= incident.severity || incident.declared_by.id != Person::BOT_ID {
        return Ok(());
    }
    let before = std::mem::replace(&mut incident.severity, severity);
    let text = format!("{before} → {severity}: a worse alert fires");
    let title = format!(" is now {severity} (was {before}): a worse alert fires");
    let change = Change {
        draft: Draft::new(&Person::bot(), EntryKind::Severity, text)
            .data(json!({"before": before, "after": severity})),
        title: Line::new().bold(id).text(title),
        tone: Tone::Bad,
        before,
        is_news: true,
    };
    change.record(tx, bot.settings(), &incident).await
}
