//! Who may do what.

use crate::command::{
    CacheCommand, Change, Command, DbCommand, IncidentCommand, OncallCommand, RunbookCommand,
};
use crate::domain::{Guarded, Line, Person, Role};

use super::Refusal;
use super::registry::Spec;

/// The role a command needs. A question's answer needs that of the question's own command, which is
/// asked for again when it is carried out.
pub(super) fn needs(command: &Command) -> Role {
    use Command as C;
    use IncidentCommand as I;
    match command {
        C::Help { .. } | C::Version => Role::Nobody,
        C::Change(Change::Isolate { .. } | Change::Release { .. }) => Role::Commander,
        C::Db {
            what: Some(DbCommand::Cancel { .. } | DbCommand::Terminate { .. }),
            ..
        }
        | C::Cache {
            what: Some(CacheCommand::Kill { .. }),
            ..
        }
        | C::Runbook {
            what:
                Some(
                    RunbookCommand::Run { .. }
                    | RunbookCommand::Stop { .. }
                    | RunbookCommand::Retry { .. }
                    | RunbookCommand::Skip { .. }
                    | RunbookCommand::Answer { .. },
                ),
        }
        | C::Oncall {
            what:
                Some(
                    OncallCommand::Set { .. }
                    | OncallCommand::Override { .. }
                    | OncallCommand::Clear { .. },
                ),
            ..
        }
        | C::Audit { .. }
        | C::Change(_)
        | C::Note { .. }
        | C::Update { .. }
        | C::Ack { .. }
        | C::Silence { .. }
        | C::Mitigate { .. }
        | C::Resolve { .. }
        | C::Close { .. }
        | C::Reopen { .. }
        | C::Confirm { .. }
        | C::Cancel { .. }
        | C::Incident(I::Declare { .. } | I::Severity { .. } | I::Assign { .. } | I::Link { .. }) => {
            Role::Responder
        }
        C::Status { .. }
        | C::Logs { .. }
        | C::Stats { .. }
        | C::Events { .. }
        | C::Check { .. }
        | C::Db { .. }
        | C::Cache { .. }
        | C::Runbook { .. }
        | C::Graph { .. }
        | C::Menu { .. }
        | C::Alerts { .. }
        | C::Oncall { .. }
        | C::Timeline { .. }
        | C::Export { .. }
        | C::Page { .. }
        | C::Incident(I::List { .. } | I::Show { .. }) => Role::Viewer,
    }
}

/// The command that a runbook's step stands for, as far as the policy looks at it; `None` for what
/// only looks or writes into the bot's own records.
fn stands_for(step: &str) -> Option<Command> {
    let (service, image, reason, exactly) = (String::new(), String::new(), None, None);
    let change = match step {
        "service.restart" => Change::Restart { service, reason },
        "service.scale" => Change::Scale {
            service,
            replicas: 1,
            reason,
        },
        "service.deploy" => Change::Deploy {
            service,
            image,
            exactly,
            reason,
        },
        "service.rollback" => Change::Rollback {
            service,
            exactly,
            reason,
        },
        "service.isolate" => Change::Isolate { service, reason },
        "service.release" => Change::Release { service, reason },
        "db.cancel" | "db.terminate" => {
            let (pid, started) = (1, None);
            return Some(Command::Db {
                what: Some(DbCommand::Terminate { pid, started }),
                database: None,
            });
        }
        "cache.kill" => {
            let (client, server) = (1, None);
            return Some(Command::Cache {
                what: Some(CacheCommand::Kill { client, server }),
                cache: None,
            });
        }
        _ => return None,
    };
    Some(Command::Change(change))
}

/// The role that somebody needs who has a runbook do this: that of the command it stands for.
pub(super) fn step_needs(step: &Spec) -> Role {
    match stands_for(step.name) {
        Some(command) => needs(&command),
        None if step.changes => Role::Responder,
        None => Role::Viewer,
    }
}

/// What the policy watches over in a step of this name.
pub(super) fn step_guarded(step: &str) -> Option<Guarded> {
    match stands_for(step)? {
        Command::Change(change) => Some(change.guarded()),
        _ => Some(Guarded::Db),
    }
}

/// The command changes something: its order within a place matters.
pub(super) fn changes(command: &Command) -> bool {
    needs(command) > Role::Viewer && !matches!(command, Command::Audit { .. })
}

/// What somebody without the role is told.
pub(super) fn refuse(person: &Person, role: Role, needed: Role, what: &str) -> Refusal {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_changes_needs_the_role_of_its_command() {
        for spec in super::super::registry::specs() {
            let own = spec.name.starts_with("incident.") || spec.name.starts_with("notify.");
            let known = stands_for(spec.name).is_some() || own;
            assert_eq!(known, spec.changes, "{}", spec.name);
            let wanted = match spec.name {
                "service.isolate" | "service.release" => Role::Commander,
                _ if spec.changes => Role::Responder,
                _ => Role::Viewer,
            };
            assert_eq!(step_needs(spec), wanted, "{}", spec.name);
        }
    }
}
