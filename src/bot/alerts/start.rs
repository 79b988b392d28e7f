//! The conversation that new alerts belong to, and the incident that they declare or make worse.

use std::time::Duration;

use serde_json::json;

use super::conversation::active;
use super::order::{below, depends_on};
use crate::bot::incidents::{Change, open_incident};
use crate::bot::{Context, oncall};
use crate::domain::alert::{AlertRecord, Conversation, Routed};
use crate::domain::timeline::Draft;
use crate::domain::{EntryKind, IncidentId, Line, Person, ServiceName, Severity, Tone};
use crate::runbook::Trigger;
use crate::store::{NewIncident, StoreError, Tx};

/// No more incidents are declared by alerts within [`LATELY`]; what is left joins the last one.
const MOST: usize = 5;
const LATELY: Duration = Duration::from_secs(60);

/// The conversation that a group's new alerts belong to.
pub(super) struct Started {
    pub(super) conversation: Conversation,
    /// It begins with them.
    pub(super) is_new: bool,
    /// They join what is about something else: a failed service that theirs stands on, or the last
    /// of a storm.
    pub(super) joins: bool,
    /// The last of a storm: they have nothing to do with what is told there.
    pub(super) is_storm: bool,
}

/// The conversation that a group's new alerts belong to: the one it has, that of an open incident
/// of the service or of a failed one that it stands on, or a new one. `first`: the worst of the
/// alerts, which stands for all; `before`: the key of the group's last conversation.
pub(super) async fn conversation(
    tx: &mut Tx,
    bot: &Context,
    group: &str,
    before: Option<&str>,
    first: &AlertRecord,
) -> Result<Started, StoreError> {
    let routed = &first.routed;
    let declares = routed.severity <= bot.settings().alerts.declare_from;
    if let Some(key) = before
        && let Some(conversation) = active(tx, key).await?
        // One that declares an incident is not reported among lesser ones.
        && (conversation.incident.is_some() || !declares)
    {
        let others = match (&routed.service, &conversation.service) {
            (Some(service), Some(own)) if service != own => Some((service, own)),
            _ => None,
        };
        let joins = match others {
            Some((service, own)) => {
                below(service, &depends_on(bot)).contains(&own)
                    && tx.service_fires(&conversation.key, own).await?
            }
            None => false,
        };
        // Where that service is well again, or the storm is over, this is an incident of its own.
        if others.is_none() || joins || !declares {
            return Ok(Started {
                is_new: false,
                joins,
                is_storm: false,
                conversation,
            });
        }
    }
    let mut incident = None;
    let (mut joins, mut is_storm) = (false, false);
    if let Some(service) = &routed.service {
        incident = tx.incident_of(service).await?;
        if incident.is_none() {
            incident = failed_below(tx, bot, service).await?;
            joins = incident.is_some();
        }
    }
    if incident.is_none() && declares {
        let declared = declare(tx, bot, first).await?;
        (incident, is_storm) = (Some(declared.0), declared.1);
        joins = is_storm;
    }
    let key = match incident {
        Some(id) => Conversation::key_of(id),
        None => format!("group:{group}:{}", tx.now().as_microsecond()),
    };
    tx.alert_group_set(group, &key).await?;
    let known = tx.conversation(&key).await?.filter(|one| !one.ended);
    let known = known.map(|mut conversation| {
        if conversation.declared && conversation.kinds.is_empty() {
            // A person declared it; this is the first that is known of it.
            conversation.service = conversation.service.or(routed.service.clone());
            conversation.runbook = conversation.runbook.or(runbook_for(bot, first));
        }
        conversation
    });
    Ok(match known {
        Some(conversation) => Started {
            conversation,
            is_new: false,
            joins,
            is_storm,
        },
        None => Started {
            conversation: Conversation {
                incident,
                runbook: runbook_for(bot, first),
                ..Conversation::new(key, first.clone(), tx.now())
            },
            is_new: true,
            joins,
            is_storm,
        },
    })
}

/// The incident of the nearest service that this one stands on and that fails.
async fn failed_below(
    tx: &mut Tx,
    bot: &Context,
    service: &ServiceName,
) -> Result<Option<IncidentId>, StoreError> {
    let depends_on = depends_on(bot);
    for name in below(service, &depends_on) {
        if let Some(id) = tx.incident_of(name).await?
            && tx.service_fires(&Conversation::key_of(id), name).await?
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Whether an incident's alerts are told to the same people as such alerts are, in the same channel.
async fn is_for_the_same(
    tx: &mut Tx,
    bot: &Context,
    id: IncidentId,
    routed: &Routed,
) -> Result<bool, StoreError> {
    let conversation = tx.conversation(&Conversation::key_of(id)).await?;
    let rotation = |routed: &Routed| oncall::rotation_of(bot, routed).map(|one| one.name.clone());
    Ok(conversation.is_some_and(|one| {
        let its = &one.first.routed;
        its.channel == routed.channel && rotation(its) == rotation(routed)
    }))
}

/// Declares an incident for an alert; in a storm (`true`), the last one that was declared for the same people.
async fn declare(
    tx: &mut Tx,
    bot: &Context,
    first: &AlertRecord,
) -> Result<(IncidentId, bool), StoreError> {
    let routed = &first.routed;
    let lately = tx
        .incidents_declared(Person::BOT_ID, tx.now() - LATELY)
        .await?;
    if lately.len() >= MOST {
        for id in lately {
            if is_for_the_same(tx, bot, id, routed).await? {
                return Ok((id, true));
            }
        }
    }
    let new = NewIncident {
        title: first.title(),
        severity: routed.severity,
        services: routed.service.iter().cloned().collect(),
        declared_by: Person::bot(),
    };
    let channel = routed.channel.clone();
    let members = oncall::on_call_now(bot, tx, routed).await?;
    let opened = open_incident(tx, new, bot.settings(), members, channel).await?;
    Ok((opened.id, false))
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
    if severity >= incident.severity {
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
