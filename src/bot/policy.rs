//! Who may do what.

use super::request::Ask;
use super::{Context, Fault, Refusal};
use crate::domain::{Line, Person, Role};
use crate::store::StoreError;

/// People who are named in a refusal.
const NAMED: usize = 8;

/// May the asker do what needs this role? `typed`: how they asked for it.
pub(super) async fn authorise(
    context: &Context,
    ask: &Ask,
    needed: Role,
    typed: &str,
) -> Result<(), Fault> {
    if ask.role >= needed {
        return Ok(());
    }
    let may = who_may(context, needed, None).await?;
    Err(refuse(&ask.request.person, ask.role, needed, typed, &may).into())
}

/// What somebody without the role is told.
fn refuse(person: &Person, role: Role, needed: Role, what: &str, may: &str) -> Refusal {
    let who = match role {
        Role::Nobody => "are not listed in this bot's configuration".to_owned(),
        role => format!("are a {role}"),
    };
    Refusal::new(
        Line::new()
            .text("Only a ")
            .bold(needed)
            .text(" may do this: you ")
            .text(who)
            .text(". Nothing was done"),
    )
    .detail(format!(
        "Asked: {what}\nYou: {} ({})\nFix: ask {may}, or have your id added to `{needed}s` under \
         [access]",
        person.name, person.id,
    ))
}

/// Who has a role, by name: `a commander (ben, chloe)`. `but` is left out.
pub(super) async fn who_may(
    context: &Context,
    needed: Role,
    but: Option<&Person>,
) -> Result<String, StoreError> {
    let access = &context.settings().access;
    let mut names: Vec<String> = Vec::new();
    for listed in access.listed(needed) {
        let name = match context.store().person(listed).await? {
            Some(person) => person.name,
            None => listed.trim_start_matches('@').to_owned(),
        };
        let is_out = but.is_some_and(|but| but.id == *listed || but.name == name);
        if !is_out && !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let mut who = names.join(", ");
    if more > 0 {
        who.push_str(&format!(" and {more} more"));
    }
    let other = if but.is_some() { "another" } else { "a" };
    Ok(match who.as_str() {
        "" => format!("{other} {needed}"),
        who => format!("{other} {needed} ({who})"),
    })
}
