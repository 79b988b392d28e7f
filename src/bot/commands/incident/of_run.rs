//! What the steps that write into the records of incidents share.

use serde::{Deserialize, Deserializer};

use crate::bot::entry::Recorded;
use crate::bot::incidents::{meant, set_status};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{Incident, IncidentId, Status};

impl Recorded {
    /// This is to be written about an incident.
    pub(in crate::bot::commands) fn about(incident: IncidentId, effect: Effect) -> Self {
        Self {
            effect: Some(effect),
            incident: Some(incident),
        }
    }

    /// Nothing is to be written.
    pub(in crate::bot::commands) fn so_already(incident: IncidentId) -> Self {
        Self {
            effect: None,
            incident: Some(incident),
        }
    }
}

/// The incident that a step names, that of its run, or the only open one.
pub(in crate::bot::commands) async fn of_run(
    context: &Context,
    ask: &Ask,
    named: Option<String>,
    own: Option<IncidentId>,
) -> Result<Incident, Fault> {
    let named = named.filter(|named| !named.trim().is_empty());
    let given = named.or(own.map(|id| id.to_string()));
    meant(context, ask, given.as_deref()).await
}

/// What a step writes that brings an incident to a status: nothing where it has it already, or is
/// closed.
pub(in crate::bot::commands) async fn record_status(
    context: &Context,
    ask: &Ask,
    own: Option<IncidentId>,
    named: Option<String>,
    status: Status,
    text: &[String],
) -> Result<Recorded, Fault> {
    let incident = of_run(context, ask, named, own).await?;
    if incident.status == status || incident.status == Status::Closed {
        return Ok(Recorded::so_already(incident.id));
    }
    let given = incident.id.to_string();
    let effect = set_status(context, ask, Some(&given), status, text).await?;
    Ok(Recorded::about(incident.id, effect))
}

/// A step gives a text whole, where a sentence gives its words.
pub(in crate::bot::commands) fn words<'de, D: Deserializer<'de>>(
    step: D,
) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(step)?;
    Ok(Some(text)
        .filter(|text| !text.trim().is_empty())
        .into_iter()
        .collect())
}
