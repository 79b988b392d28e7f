//! What hangs on the replicas of a service: a change of the service touches it too.

use serde::{Deserialize, Serialize};

use super::status::ReplicaMark;
use crate::words::listed;

/// Something else's replica that hangs on one of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependant {
    /// Which, and how it was before the change.
    #[serde(flatten)]
    pub mark: ReplicaMark,
    /// How it hangs on them.
    pub tie: DependencyKind,
    /// The names of the replicas that it hangs on in this way.
    pub on: Vec<String>,
    /// The names of all that have to be done before it is brought along.
    pub after: Vec<String>,
    /// What becomes of it.
    pub fate: Consequence,
}

/// How a replica hangs on another, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// It has no network but the other's.
    Network,
    /// Its processes are the other's, too: they end with it.
    Pid,
    /// It shares the other's memory.
    Ipc,
    /// It was made with the volumes of the other.
    Volumes,
    /// It finds the other by a link.
    Link,
    /// Whoever made it said that it depends on the other.
    Depends,
}

/// What a change means for a dependant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consequence {
    /// It is restarted after what it hangs on.
    Restarted,
    /// It loses its network too.
    CutOff,
    /// It gets its network again too.
    Joined,
    /// What it hangs on is left, and another replica removed.
    Spared,
    /// Nothing is done to it.
    Left,
}

impl DependencyKind {
    /// What it shares with the other ends with the other's run.
    pub fn shares_namespace(self) -> bool {
        matches!(self, Self::Network | Self::Pid | Self::Ipc)
    }

    /// `uses the network of`.
    pub fn verb(self, many: bool) -> &'static str {
        match (self, many) {
            (Self::Network, false) => "uses the network of",
            (Self::Network, true) => "use the network of",
            (Self::Pid, false) => "shares the processes of",
            (Self::Pid, true) => "share the processes of",
            (Self::Ipc, false) => "shares the memory of",
            (Self::Ipc, true) => "share the memory of",
            (Self::Volumes, false) => "has the volumes of",
            (Self::Volumes, true) => "have the volumes of",
            (Self::Link, false) => "is linked to",
            (Self::Link, true) => "are linked to",
            (Self::Depends, false) => "depends on",
            (Self::Depends, true) => "depend on",
        }
    }
}

/// What a change will mean for what hangs on the service: `tool uses the network of vpn and is
/// restarted after it`. `None`: nothing hangs on it.
pub fn foretold(dependants: &[Dependant]) -> Option<String> {
    let alike = |a: &Dependant, b: &Dependant| (a.tie, &a.on, a.fate) == (b.tie, &b.on, b.fate);
    let told = dependants.chunk_by(alike).map(|group| {
        let first = &group[0];
        let (many, of_many) = (group.len() > 1, first.on.len() > 1);
        let verb = first.tie.verb(many);
        let are = if many { "are" } else { "is" };
        let it = if of_many { "them" } else { "it" };
        let fate = match first.fate {
            Consequence::Restarted => format!(" and {are} restarted after {it}"),
            Consequence::CutOff => format!(" and {are} cut off with {it}"),
            Consequence::Joined => format!(" and {are} joined with {it}"),
            Consequence::Spared if of_many => ", which stay".to_owned(),
            Consequence::Spared => ", which stays".to_owned(),
            Consequence::Left => format!(
                " and {are} left as {}",
                if many { "they are" } else { "it is" }
            ),
        };
        let (names, on) = (names(group), listed(first.on.iter().map(String::as_str)));
        format!("{names} {verb} {on}{fate}")
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(". "))
}

/// What was done to what hangs on the service, to be put behind what was done to it: `; tool was
/// restarted after it`. Empty: nothing was.
pub fn brought(dependants: &[Dependant]) -> String {
    let mut text = String::new();
    for (fate, how) in [
        (Consequence::Restarted, "restarted after it"),
        (Consequence::CutOff, "cut off with it"),
        (Consequence::Joined, "joined with it"),
    ] {
        let group = dependants.iter().filter(|one| one.fate == fate);
        let group: Vec<&Dependant> = group.collect();
        if !group.is_empty() {
            let were = if group.len() > 1 { "were" } else { "was" };
            text.push_str(&format!("; {} {were} {how}", names(group)));
        }
    }
    text
}

fn names<'a>(group: impl IntoIterator<Item = &'a Dependant>) -> String {
    listed(group.into_iter().map(|one| one.mark.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, tie: DependencyKind, on: &[&str], fate: Consequence) -> Dependant {
        let on: Vec<String> = on.iter().map(|name| (*name).to_owned()).collect();
        Dependant {
            mark: ReplicaMark {
                id: name.to_owned(),
                name: name.to_owned(),
                started_at: None,
            },
            tie,
            after: on.clone(),
            on,
            fate,
        }
    }

    #[test]
    fn what_hangs_on_a_service_is_told_before_and_after() {
        use {Consequence as F, DependencyKind as T};
        let restart = [
            one("tool", T::Network, &["vpn"], F::Restarted),
            one("web-1", T::Depends, &["vpn", "vpn-2"], F::Restarted),
            one("web-2", T::Depends, &["vpn", "vpn-2"], F::Restarted),
            one("api", T::Depends, &["vpn"], F::Left),
        ];
        assert_eq!(
            foretold(&restart).unwrap(),
            "tool uses the network of vpn and is restarted after it. web-1 and web-2 depend on vpn \
             and vpn-2 and are restarted after them. api depends on vpn and is left as it is"
        );
        assert_eq!(
            brought(&restart),
            "; tool, web-1 and web-2 were restarted after it"
        );
        let cut = [one("tool", T::Network, &["vpn"], F::CutOff)];
        assert_eq!(
            foretold(&cut).unwrap(),
            "tool uses the network of vpn and is cut off with it"
        );
        assert_eq!(brought(&cut), "; tool was cut off with it");
        let spared = [one("side", T::Network, &["web-2"], F::Spared)];
        assert_eq!(
            foretold(&spared).unwrap(),
            "side uses the network of web-2, which stays"
        );
        assert_eq!((foretold(&[]), brought(&spared)), (None, String::new()));
    }
}
