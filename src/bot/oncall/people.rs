//! Who is on call, and who is to be asked next.

use crate::bot::Context;
use crate::domain::alert::{Conversation, Routed};
use crate::domain::oncall::Rotation;
use crate::domain::person::is_slack_user_id;
use crate::domain::{Incident, Person};
use crate::store::{StoreError, Tx};

/// The rotation that serves what an alert is about.
pub(crate) fn rotation_of<'a>(context: &'a Context, routed: &Routed) -> Option<&'a Rotation> {
    context
        .on_call()
        .rotation_for(routed.service.as_ref(), routed.team.as_deref())
}

/// Who is on call now for what an alert is about; nobody where no rotation serves it.
pub(crate) async fn on_call_now(
    context: &Context,
    tx: &mut Tx,
    routed: &Routed,
) -> Result<Vec<Person>, StoreError> {
    let Some(rotation) = rotation_of(context, routed) else {
        return Ok(Vec::new());
    };
    let overrides = tx.overrides().await?;
    let person = rotation.shift(&overrides, tx.now()).person;
    Ok(vec![tx.known_as(person).await?])
}

/// Who is to be asked now to acknowledge the alerts of a conversation, and whether nobody is
/// left after them: the first of those on call now and after them who was not asked yet; else
/// everybody.
pub(crate) async fn next_to_ask(
    context: &Context,
    tx: &mut Tx,
    conversation: &Conversation,
) -> Result<(Vec<Person>, bool), StoreError> {
    let mut next = None;
    if let Some(rotation) = rotation_of(context, &conversation.first.routed) {
        let overrides = tx.overrides().await?;
        let escalation_order = context
            .on_call()
            .escalation_order(rotation, &overrides, tx.now());
        next = escalation_order
            .into_iter()
            .find(|person| !conversation.escalated_to.contains(&person.id));
    }
    let last = next.is_none();
    let mut whom = Vec::new();
    for person in next.map_or_else(|| everyone(context), |person| vec![person]) {
        whom.push(tx.known_as(person).await?);
    }
    Ok((whom, last))
}

/// The open incidents that a rotation serves.
pub(super) async fn served(
    context: &Context,
    rotation: &Rotation,
) -> Result<Vec<Incident>, StoreError> {
    let mut open = context.store().incidents_open().await?;
    let serves = |incident: &Incident| {
        let services: Vec<Option<_>> = match incident.services.as_slice() {
            [] => vec![None],
            some => some.iter().map(Some).collect(),
        };
        services.into_iter().any(|service| {
            let rotation_for = context.on_call().rotation_for(service, None);
            rotation_for.is_some_and(|one| one.name == rotation.name)
        })
    };
    open.retain(serves);
    Ok(open)
}

/// Everybody who may act and can be mentioned.
fn everyone(context: &Context) -> Vec<Person> {
    let access = &context.settings().access;
    let mut ids: Vec<&String> = access.responders.iter().chain(&access.commanders).collect();
    ids.retain(|id| is_slack_user_id(id));
    ids.sort();
    ids.dedup();
    ids.into_iter()
        .take(20)
        .map(|id| Person {
            id: id.clone(),
            name: id.clone(),
        })
        .collect()
}
