//! Who may do what.

use super::Refusal;
use super::request::Ask;
use crate::domain::{Line, Person, Role};

/// May the asker do what needs this role? `typed`: how they asked for it.
pub(super) fn authorise(
    ask: &Ask,
    needed: Role,
    typed: impl FnOnce() -> String,
) -> Result<(), Refusal> {
    if ask.role >= needed {
        return Ok(());
    }
    Err(refuse(&ask.request.person, ask.role, needed, &typed()))
}

/// What somebody without the role is told.
fn refuse(person: &Person, role: Role, needed: Role, what: &str) -> Refusal {
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
        "Asked: {what}\nYou: {} ({})\nMend: ask a {needed}, or have your id added to `{}s` under [access]",
        person.name,
        person.id,
        if needed == Role::Viewer { Role::Viewer } else { needed },
    ))
}
