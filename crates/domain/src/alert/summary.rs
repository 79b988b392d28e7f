//! Many alerts in few words.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::AlertRecord;
use crate::{ServiceName, Severity};

/// The alerts of one incident in bounded words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Those that fire.
    pub firing: usize,
    /// Those of them that nobody has to be told of: silenced, muted, or not heard of.
    pub silenced: usize,
    /// Those of them that others silenced or that are inhibited in Alertmanager.
    pub muted: usize,
    /// Those of them that were not heard of for so long that nobody knows.
    pub unheard: usize,
    /// The worst of those that fire.
    pub worst: Option<Severity>,
    /// The worst of those that fire and that people have to be told of.
    pub worst_audible: Option<Severity>,
    /// Those that are over.
    pub resolved: usize,
    /// The names with the most alerts that fire, at most [`Summary::TOP`]; all names when none does.
    pub top: Vec<Name>,
    /// Further names.
    pub more: usize,
    /// The worst of those that fire (of all, where none does): whose value, labels and links are
    /// shown.
    pub shown: Option<AlertRecord>,
    /// When the oldest that fires began.
    pub since: Option<Timestamp>,
}

/// The alerts of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: String,
    /// How many fire.
    pub firing: usize,
    /// How many there are.
    pub all: usize,
    /// What they say, the worst first, each once; at most [`Name::TEXTS`].
    pub texts: Vec<String>,
    /// Further texts, of those that were looked at.
    pub more_texts: usize,
    /// The short fingerprint of the worst.
    pub short: String,
    /// The worst changes all the time: how often.
    pub flaps: Option<String>,
}

impl Name {
    /// Texts that are listed.
    pub const TEXTS: usize = 3;
    /// Alerts of a name that are looked at for their texts.
    pub const LOOKED_AT: i64 = 200;

    /// What the alerts of a name say. `records`: those first that fire, of those the worst.
    pub fn of(name: String, (firing, all): (usize, usize), records: &[AlertRecord]) -> Self {
        // Of those that fire, if any does: what is over says nothing of now.
        let speaks = |one: &&AlertRecord| firing == 0 || one.tracked.is_active();
        let mut texts: Vec<&str> = Vec::new();
        for record in records.iter().filter(speaks) {
            let text = record.tracked.alert.summary();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let first = records.first();
        Self {
            name,
            firing,
            all,
            more_texts: texts.len().saturating_sub(Self::TEXTS),
            texts: texts
                .into_iter()
                .take(Self::TEXTS)
                .map(str::to_owned)
                .collect(),
            short: first.map_or(String::new(), |one| one.tracked.alert.short().to_owned()),
            flaps: first.and_then(|one| one.tracked.flaps()),
        }
    }
}

impl Summary {
    /// How many fire and are neither silenced nor muted: people have to be told of them.
    pub fn audible(&self) -> usize {
        self.firing.saturating_sub(self.silenced)
    }

    /// Names that are listed.
    pub const TOP: usize = 8;
}

/// Services that fire, the likely cause first: those that others depend on which fire too,
/// directly or through others, the most dependants first.
pub fn likely_cause(
    firing: &BTreeSet<ServiceName>,
    depends_on: &BTreeMap<ServiceName, Vec<ServiceName>>,
) -> Vec<ServiceName> {
    let mut dependants: BTreeMap<&ServiceName, usize> = firing.iter().map(|s| (s, 0)).collect();
    for service in firing {
        // All that it depends on; each is visited once, so that circles end.
        let mut seen = BTreeSet::from([service]);
        let mut open = vec![service];
        while let Some(one) = open.pop() {
            for below in depends_on.get(one).into_iter().flatten() {
                if seen.insert(below) {
                    open.push(below);
                    if let Some(count) = dependants.get_mut(below) {
                        *count += 1;
                    }
                }
            }
        }
    }
    let mut order: Vec<(&ServiceName, usize)> = dependants.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    order
        .into_iter()
        .map(|(service, _)| service.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text).unwrap()
    }

    #[test]
    fn what_others_stand_on_comes_first() {
        let depends: BTreeMap<_, _> = [
            (name("frontend"), vec![name("api")]),
            (name("api"), vec![name("postgres"), name("redis")]),
            (name("postgres"), vec![name("frontend")]),
        ]
        .into();
        let firing = ["frontend", "api", "redis"].map(name).into();
        let order = likely_cause(&firing, &depends);
        assert_eq!(order[0], name("redis"));
        assert_eq!(order.len(), 3);
    }

    proptest! {
        #[test]
        fn circles_end_and_everybody_is_named_once(
            edges in proptest::collection::vec((0_u8..6, 0_u8..6), 0..20),
            firing in proptest::collection::btree_set(0_u8..6, 0..6),
        ) {
            let of = |n: u8| name(&format!("s{n}"));
            let mut depends: BTreeMap<ServiceName, Vec<ServiceName>> = BTreeMap::new();
            for (a, b) in edges {
                depends.entry(of(a)).or_default().push(of(b));
            }
            let firing: BTreeSet<ServiceName> = firing.into_iter().map(of).collect();
            let order = likely_cause(&firing, &depends);
            prop_assert_eq!(order.len(), firing.len());
            prop_assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), firing);
        }
    }
}
