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
    /// May declare incidents, beside responders and commanders; `None`: everybody.
    pub declarers: Option<Vec<String>>,
}

impl Access {
    /// The highest role somebody has by a list. Who sits at the machine's terminal, and the bot
    /// itself, are commanders: they hold the database and the platform's socket anyway.
    pub fn role(&self, person: &Person, groups: &[String]) -> Role {
        if person.id == Person::BOT_ID || person.id.starts_with("terminal:") {
            return Role::Commander;
        }
        let listed = |list: &[String]| is_listed(list, person, groups);
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

    /// Whether a role depends on somebody's user groups: anything but `*`, a name and a person's id may
    /// be one.
    pub(super) fn asks_groups(&self) -> bool {
        let lists = [&self.viewers, &self.responders, &self.commanders];
        let is_group = |item: &&String| *item != "*" && !item.starts_with(['@', 'U', 'W']);
        lists.into_iter().flatten().any(|item| is_group(&item))
    }

    /// May somebody declare an incident? Whoever sees an outage first may be anybody.
    pub fn may_declare(&self, person: &Person, groups: &[String]) -> bool {
        let listed = self.declarers.as_ref();
        listed.is_none_or(|list| is_listed(list, person, groups))
            || self.role(person, groups) >= Role::Responder
    }

    /// Whom the lists give this role, or more.
    pub(super) fn listed(&self, role: Role) -> impl Iterator<Item = &String> {
        let from = |own: Role, list| if role <= own { list } else { &[][..] };
        let all = from(Role::Responder, &self.responders).iter();
        let all = all.chain(from(Role::Commander, &self.commanders));
        all.chain(from(Role::Viewer, &self.viewers))
    }
}

fn is_listed(list: &[String], person: &Person, groups: &[String]) -> bool {
    list.iter().any(|item| {
        item == "*"
            || *item == person.id
            || item
                .strip_prefix('@')
                .is_some_and(|name| name == person.name)
            || groups.contains(item)
    })
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
            declarers: None,
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

    #[test]
    fn everybody_may_declare_unless_the_list_is_shorter() {
        let mut access = Access {
            responders: vec!["U1".into()],
            ..Access::default()
        };
        assert!(access.may_declare(&person("U7", "dan"), &[]));
        access.declarers = Some(vec!["S9".into()]);
        assert!(!access.may_declare(&person("U7", "dan"), &[]));
        assert!(access.may_declare(&person("U7", "dan"), &["S9".into()]));
        assert!(access.may_declare(&person("U1", "ana"), &[]));
    }
}
