//! An incident that a person declared, or called worse: whoever is on call is asked, as by an alert.

use std::collections::BTreeMap;

use super::conversation::active;
use super::{escalation, reask};
use crate::bot::{Context, timers};
use crate::domain::alert::{Alert, AlertRecord, Auto, Conversation, Routed, Tracked};
use crate::domain::{Incident, IncidentId};
use crate::store::{StoreError, TimerRow, Tx};

/// Begins the conversation of a declared incident and has somebody asked; anew where there is one and the
/// incident is worse now. The timer's payload is the id of who says so.
pub(super) async fn ask(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let by: Option<String> = serde_json::from_str(&timer.payload)?;
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let id = key.strip_prefix("incident:").and_then(|id| id.parse().ok());
            let Some(incident) = tx.incident(IncidentId(id.unwrap_or(0))).await? else {
                return Ok(());
            };
            if !incident.status.is_open() {
                return Ok(());
            }
            if let Some(conversation) = active(tx, key).await? {
                return match by {
                    Some(by) => worsened(tx, bot, conversation, &incident, &by).await,
                    // Alerts have come meanwhile.
                    None => Ok(()),
                };
            }
            let conversation = Conversation {
                incident: Some(incident.id),
                declared: true,
                asked_about: Some(incident.severity),
                ..Conversation::new(key.to_owned(), stand_in(&incident), tx.now())
            };
            tx.conversation_put(&conversation).await?;
            escalation::schedule(tx, bot, &conversation).await
        })
    })
    .await
}

/// A person says that it is worse than what people were asked about: they are asked anew, unless that
/// person has it.
async fn worsened(
    tx: &mut Tx,
    bot: &Context,
    mut conversation: Conversation,
    incident: &Incident,
    by: &str,
) -> Result<(), StoreError> {
    let (now, severity) = (tx.now(), incident.severity);
    if conversation.asked_about.is_some() && !conversation.is_worse(severity) {
        return Ok(());
    }
    conversation.declared = true;
    let has_it = conversation.acknowledged.as_ref();
    if has_it.is_some_and(|(person, _)| person.id == by) {
        conversation.asked_about = Some(severity);
        conversation.reask_at = reask::due(bot, &conversation, Some(incident), now);
        tx.conversation_put(&conversation).await?;
        return reask::resume(tx, bot, &conversation).await;
    }
    conversation.ask_about(severity, now);
    tx.conversation_put(&conversation).await?;
    escalation::schedule(tx, bot, &conversation).await
}

/// What the incident is about, in the shape of an alert: it is recorded nowhere among the alerts.
fn stand_in(incident: &Incident) -> AlertRecord {
    let labels = [("alertname".to_owned(), incident.title.clone())];
    let alert = Alert {
        fingerprint: incident.id.to_string(),
        firing: true,
        starts_at: incident.declared_at,
        ends_at: None,
        labels: labels.into(),
        annotations: BTreeMap::new(),
        source: "declared".to_owned(),
        other: serde_json::Map::new(),
    };
    AlertRecord {
        tracked: Tracked::first(alert, incident.declared_at).0,
        routed: Routed {
            service: incident.services.first().cloned(),
            severity: incident.severity,
            runbook: None,
            team: None,
            channel: None,
            auto: Auto::Off,
        },
        group: String::new(),
        sender: None,
    }
}
