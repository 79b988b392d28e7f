//! Which incident or person is meant, and why not.

use crate::bot::request::Ask;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::timeline::cut;
use crate::domain::{Incident, IncidentId, Line, Person, Status};
use crate::store::Tx;

/// The incident that is meant: the one named, that of this place, or the only open one.
pub(crate) async fn meant(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Incident, Fault> {
    if let Some(given) = given {
        let refusal = || {
            let title = Line::new().text("There is no incident ");
            Refusal::new(title.code(cut(given, 40)))
                .suggest("List incidents", "incident list --all")
        };
        let id = IncidentId::parse(given).ok_or_else(refusal)?;
        return Ok(context.store().incident(id).await?.ok_or_else(refusal)?);
    }
    if let Some(here) = &ask.here {
        return Ok(here.clone());
    }
    let mut open = context.store().incidents_open().await?;
    match (open.pop(), open.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(one), false) => Err(Refusal::new(format!(
            "Several incidents are open. Say it in the channel of the one you mean, or name it at the \
             end: --incident {}",
            open.first().unwrap_or(&one).id
        ))
        .suggest("List incidents", "incident list")
        .into()),
        (None, _) => Err(Refusal::new("No incident is open")
            .detail(format!(
                "Declare one: {}",
                context.typed("incident declare TITLE")
            ))
            .into()),
    }
}

/// An incident before the text names it, as `--incident` does: `resolve INC-2 the disk is free again`.
/// Gives the incident and the text.
pub(crate) fn leading(given: Option<String>, text: Vec<String>) -> (Option<String>, Vec<String>) {
    let all = text.join(" ");
    let (first, rest) = all.split_once(' ').unwrap_or((&all, ""));
    let names_one = given.is_none()
        && first.to_uppercase().starts_with("INC-")
        && IncidentId::parse(first).is_some();
    if !names_one {
        return (given, text);
    }
    let rest = (!rest.is_empty()).then(|| rest.to_owned());
    (Some(first.to_owned()), rest.into_iter().collect())
}

/// Somebody by mention (`<@U1>`), id or name.
pub(crate) async fn person(context: &Context, who: &str) -> Result<Person, Fault> {
    let bare = who.trim_start_matches("<@").trim_end_matches('>');
    let id = bare.split('|').next().unwrap_or_default();
    if crate::domain::person::is_slack_user_id(id) {
        let known = context.store().person(id).await?;
        // Slack itself wrote the mention: the id is somebody's even if we don't know the name.
        return Ok(known.unwrap_or_else(|| Person {
            id: id.into(),
            name: id.into(),
        }));
    }
    let name = bare.trim_start_matches('@');
    context.store().person_named(name).await?.ok_or_else(|| {
        let title = Line::new().text("I know nobody, or more than one, called ");
        Refusal::new(title.code(cut(who, 80)))
            .detail("Mention the person with @ and pick the name that Slack offers")
            .into()
    })
}

/// The incident, locked until the end of the transaction.
pub(super) async fn locked(tx: &mut Tx, id: IncidentId) -> Result<Incident, Fault> {
    tx.incident(id)
        .await?
        .ok_or_else(|| Refusal::new(Line::new().text("There is no incident ").code(id)).into())
}

/// The same, if it is not closed.
pub(super) async fn locked_unclosed(tx: &mut Tx, id: IncidentId) -> Result<Incident, Fault> {
    let incident = locked(tx, id).await?;
    if incident.status == Status::Closed {
        return Err(closed(&incident).into());
    }
    Ok(incident)
}

pub(super) fn already(incident: &Incident, what: &str) -> Refusal {
    let title = Line::new().bold(incident.id);
    Refusal::new(title.text(format!(" is already {what}. Nothing was changed")))
}

pub(super) fn closed(incident: &Incident) -> Refusal {
    let title = Line::new().bold(incident.id);
    Refusal::new(title.text(" is closed: nothing more is added. Nothing was changed"))
        .suggest("Reopen it", format!("reopen {}", incident.id))
}
