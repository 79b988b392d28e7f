//! Who may do what.

use crate::command::{
    CacheCommand, Command, DbCommand, IncidentCommand, OncallCommand, RunbookCommand,
};
use crate::domain::{Line, Person, Role};

use super::Refusal;
use super::actions::action_step;
use super::registry::Spec;

/// Lists of people: Slack user ids (`U…`), user groups (`S…`), user names (`@ana`), or `*` for all
/// of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// May read.
    pub viewers: Vec<String>,
    /// May act.
    pub responders: Vec<String>,
    /// May do what needs a commander.
    pub commanders: Vec<String>,
}

impl Access {
    /// The highest role somebody has by a list. Who sits at the machine's terminal, and the bot
    /// itself, are commanders: they hold the database and the platform's socket anyway.
    pub fn role(&self, person: &Person, groups: &[String]) -> Role {
        if person.id == Person::BOT_ID || person.id.starts_with("terminal:") {
            return Role::Commander;
        }
        let listed = |list: &[String]| {
            list.iter().any(|item| {
                item == "*"
                    || *item == person.id
                    || item
                        .strip_prefix('@')
                        .is_some_and(|name| name == person.name)
                    || groups.contains(item)
            })
        };
        if listed(&self.commanders) {
            Role::Commander
        } else if listed(&self.responders) {
            Role::Responder
        } else if listed(&self.viewers) {
            Role::Viewer
        } else {
            Role::Nobody
        }
    }
}

/// The role a command needs. A question's answer needs that of the question's own command, which is
/// asked for again when it is carried out.
pub(super) fn needs(command: &Command) -> Role {
    use Command as C;
    use IncidentCommand as I;
    match command {
        C::Help { .. } | C::Version => Role::Nobody,
        C::Change(change) => change.rules().needs,
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

/// The role that somebody needs who has a runbook do this: that of the command it stands for.
pub(super) fn step_needs(step: &Spec) -> Role {
    match action_step(step.name) {
        Some(action) => action.rules.needs,
        None if step.changes => Role::Responder,
        None => Role::Viewer,
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

    fn person(id: &str, name: &str) -> Person {
        Person {
            id: id.into(),
            name: name.into(),
        }
    }

    #[test]
    fn what_a_step_changes_needs_the_role_of_its_command() {
        for spec in super::super::registry::specs() {
            let own = spec.name.starts_with("incident.") || spec.name.starts_with("notify.");
            let known = action_step(spec.name).is_some() || own;
            assert_eq!(known, spec.changes, "{}", spec.name);
            let wanted = match spec.name {
                "service.isolate" | "service.release" => Role::Commander,
                _ if spec.changes => Role::Responder,
                _ => Role::Viewer,
            };
            assert_eq!(step_needs(spec), wanted, "{}", spec.name);
        }
    }

    #[test]
    fn the_highest_listed_role_counts_and_unknown_people_have_none() {
        let access = Access {
            viewers: vec!["*".into()],
            responders: vec!["U1".into(), "@ben".into(), "S9".into()],
            commanders: vec!["U2".into()],
        };
        assert_eq!(access.role(&person("U1", "ana"), &[]), Role::Responder);
        assert_eq!(access.role(&person("U5", "ben"), &[]), Role::Responder);
        assert_eq!(
            access.role(&person("U6", "eve"), &["S9".into()]),
            Role::Responder
        );
        assert_eq!(access.role(&person("U2", "cid"), &[]), Role::Commander);
        assert_eq!(access.role(&person("U7", "dan"), &[]), Role::Viewer);
        assert_eq!(
            Access::default().role(&person("U1", "ana"), &[]),
            Role::Nobody
        );
        assert_eq!(
            Access::default().role(&Person::terminal("root"), &[]),
            Role::Commander
        );
    }
}
