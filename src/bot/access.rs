//! Which role somebody has.

use crate::domain::{Person, Role};

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
