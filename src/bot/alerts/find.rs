//! What somebody means by `ALERT`.

use std::collections::BTreeSet;

use crate::bot::incidents::meant;
use crate::bot::request::Ask;
use crate::bot::retention::forgotten;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::alert::Conversation;
use crate::domain::timeline::cut;
use crate::domain::{IncidentId, Line};

/// What is meant.
pub(super) struct Meant {
    /// The conversations, by key.
    pub(super) conversations: BTreeSet<String>,
    /// The alerts themselves, by fingerprint; `None`: all of the conversations.
    alerts: Option<Vec<String>>,
    /// How it is named in the answer.
    pub(super) name: String,
}

impl Meant {
    fn incident(id: IncidentId) -> Self {
        Self {
            conversations: [Conversation::key_of(id)].into(),
            alerts: None,
            name: id.to_string(),
        }
    }

    /// The alerts that are meant.
    pub(super) async fn fingerprints(&self, context: &Context) -> Result<Vec<String>, Fault> {
        let mut fingerprints = self.alerts.clone().unwrap_or_default();
        if self.alerts.is_none() {
            for key in &self.conversations {
                fingerprints.extend(context.store().fingerprints_of(key).await?);
            }
        }
        if fingerprints.is_empty() {
            return Err(match forgotten(context).await? {
                Some(forgotten) => self.nothing().detail(forgotten.plain()),
                None => self.nothing(),
            }
            .into());
        }
        Ok(fingerprints)
    }

    /// Nothing is meant by it.
    pub(super) fn nothing(&self) -> Refusal {
        let line = Line::new().text("There are no alerts of ");
        Refusal::new(line.code(&self.name))
    }
}

/// The conversation of an alert, or of an incident.
pub(in crate::bot) async fn conversation_meant(
    context: &Context,
    ask: &Ask,
    given: &str,
) -> Result<Option<Conversation>, Fault> {
    let meant = alerts_meant(context, ask, Some(given)).await?;
    match meant.conversations.first() {
        Some(key) => Ok(context.store().conversation(key).await?),
        None => Ok(None),
    }
}

/// An incident, an alert by the beginning of its fingerprint, all of a name; or what is reported
/// here.
pub(super) async fn alerts_meant(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Meant, Fault> {
    let Some(given) = given else {
        return Ok(Meant::incident(meant(context, ask, None).await?.id));
    };
    if given.len() > 4
        && given.to_uppercase().starts_with("INC-")
        && let Some(id) = IncidentId::parse(given)
    {
        return Ok(Meant::incident(id));
    }
    let found = context.store().alerts_meant(given).await?;
    if found.is_empty() {
        let line = Line::new().text("I know no alert ");
        return Err(Refusal::new(line.code(cut(given, 60)))
            .detail("Name one by the beginning of its fingerprint, by its name, or by its incident")
            .suggest("List alerts", "alerts")
            .into());
    }
    let (mut conversations, mut alerts) = (BTreeSet::new(), Vec::new());
    for (key, record) in found {
        if !key.is_empty() {
            conversations.insert(key);
        }
        alerts.push(record.tracked.alert.fingerprint);
    }
    Ok(Meant {
        conversations,
        alerts: Some(alerts),
        name: cut(given, 60),
    })
}
