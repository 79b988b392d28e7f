//! An incident that a person declared: whoever is on call is asked, as by an alert.

use std::collections::BTreeMap;

use super::conversation::is_active;
use super::escalation;
use crate::bot::{Context, timers};
use crate::domain::alert::{Alert, AlertRecord, Auto, Conversation, Routed, Tracked};
use crate::domain::{Incident, IncidentId};
use crate::store::{StoreError, TimerRow};

/// Begins the conversation of a declared incident and has somebody asked.
pub(super) async fn ask(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    timers::take(context, timer, |tx, bot, key| {
        Box::pin(async move {
            let id = key.strip_prefix("incident:").and_then(|id| id.parse().ok());
            let Some(incident) = tx.incident(IncidentId(id.unwrap_or(0))).await? else {
                return Ok(());
            };
            // Alerts have come meanwhile, or it was resolved.
            if !incident.status.is_open() || is_active(tx, key).await? {
                return Ok(());
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
    }
}
