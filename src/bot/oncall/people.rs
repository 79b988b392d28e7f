//! Who is on call, and who is to be asked next.

use std::collections::BTreeSet;

use crate::bot::{Access, Context};
use crate::domain::alert::{Conversation, Routed};
use crate::domain::oncall::{OnCall, Rotation};
use crate::domain::person::is_slack_user_id;
use crate::domain::{Incident, Person};
use crate::store::{StoreError, Tx};

/// People that one message mentions, at most.
const MENTIONED: usize = 50;

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
    let whom = match next {
        Some(person) => vec![tx.known_as(person).await?],
        None => everyone(&context.settings().access, context.on_call(), tx).await?,
    };
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

/// Everybody who may act, or is ever on call, and can be mentioned.
async fn everyone(
    access: &Access,
    on_call: &OnCall,
    tx: &mut Tx,
) -> Result<Vec<Person>, StoreError> {
    let mut ids = BTreeSet::new();
    for listed in access.responders.iter().chain(&access.commanders) {
        if let Some(name) = listed.strip_prefix('@') {
            ids.extend(tx.person_named(name).await?.map(|person| person.id));
        } else if is_slack_user_id(listed) {
            ids.insert(listed.clone());
        } else {
            ids.extend(tx.group_members(listed).await?);
        }
    }
    ids.extend(on_call.members().map(|person| person.id.clone()));
    ids.retain(|id| is_slack_user_id(id));
    tx.people_known(ids.into_iter().take(MENTIONED).collect())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, Use};

    #[tokio::test]
    async fn everybody_is_who_may_act_by_id_group_or_name_and_who_is_ever_on_call() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bot.db").display());
        let store = Store::open(&url, Use::Visit).await.unwrap();
        let members = ["U0CHLOE", "U0DAVE"].map(str::to_owned).to_vec();
        store.group_put("S0TREASURY", members).await.unwrap();
        let ben = Person {
            id: "U0BEN".into(),
            name: "ben".into(),
        };
        store.people_put(vec![(ben, "Ben".into())]).await.unwrap();
        let access = Access {
            responders: vec!["S0TREASURY".into(), "@nobody".into()],
            commanders: vec!["@ben".into()],
            ..Access::default()
        };
        let ana = Person {
            id: "U0ANA".into(),
            name: "ana".into(),
        };
        let on_call = OnCall::new(Vec::new(), &[ana]);
        let all = store
            .write(move |tx| Box::pin(async move { everyone(&access, &on_call, tx).await }))
            .await
            .unwrap();
        let ids: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["U0ANA", "U0BEN", "U0CHLOE", "U0DAVE"]);
    }
}
