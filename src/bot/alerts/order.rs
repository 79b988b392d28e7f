//! In which order the groups of a body are taken in.

use std::collections::{BTreeMap, BTreeSet};

use super::news::Group;
use crate::bot::Context;
use crate::domain::alert::{AlertRecord, likely_cause};
use crate::domain::{ServiceName, Severity};

/// The worst first, so that it is said first; before them what they stand on, so that they join its
/// incident.
pub(super) fn worst_first(
    context: &Context,
    groups: BTreeMap<String, Group>,
) -> Vec<(String, Group)> {
    let firing: BTreeSet<ServiceName> = groups
        .values()
        .flat_map(|group| group.news.records())
        .filter_map(|record| record.routed.service.clone())
        .collect();
    let depends_on = depends_on(context);
    let causes = likely_cause(&firing, &depends_on);
    let worst_of = |group: &Group| group.news.records().map(|one| one.routed.severity).min();
    let worst: BTreeMap<&ServiceName, Severity> = groups
        .values()
        .filter_map(|group| Some((service(group)?, worst_of(group)?)))
        .collect();
    // As bad as the worst of what stands on it.
    let effective = |group: &Group| {
        let own = worst_of(group);
        let Some(name) = service(group) else {
            return own;
        };
        let above = worst
            .iter()
            .filter(|(other, _)| below(other, &depends_on).contains(&name));
        above.map(|(_, severity)| *severity).chain(own).min()
    };
    let place =
        |group: &Group| service(group).map(|name| causes.iter().position(|one| one == name));
    let mut keys: Vec<_> = groups
        .iter()
        .map(|(name, group)| {
            let severity = effective(group).map_or(u8::MAX, Severity::number);
            (severity, place(group), name.clone())
        })
        .collect();
    keys.sort();
    let mut groups = groups;
    keys.into_iter()
        .filter_map(|(.., name)| groups.remove_entry(&name))
        .collect()
}

/// What each service stands on.
pub(super) fn depends_on(context: &Context) -> BTreeMap<ServiceName, Vec<ServiceName>> {
    let services = context.catalogue().services().iter();
    services
        .map(|one| (one.name.clone(), one.depends_on.clone()))
        .collect()
}

/// All that a service stands on, directly or through others, the nearest first.
pub(super) fn below<'a>(
    service: &'a ServiceName,
    depends_on: &'a BTreeMap<ServiceName, Vec<ServiceName>>,
) -> Vec<&'a ServiceName> {
    let mut found: Vec<&ServiceName> = vec![service];
    let mut at = 0;
    while let Some(one) = found.get(at) {
        for next in depends_on.get(*one).into_iter().flatten() {
            if !found.contains(&next) {
                found.push(next);
            }
        }
        at += 1;
    }
    found.remove(0);
    found
}

/// The same without those that stand on it in turn: of a circle none is the cause.
pub(super) fn strictly_below<'a>(
    service: &'a ServiceName,
    depends_on: &'a BTreeMap<ServiceName, Vec<ServiceName>>,
) -> Vec<&'a ServiceName> {
    let mut found = below(service, depends_on);
    found.retain(|one| !below(one, depends_on).contains(&service));
    found
}

fn service(group: &Group) -> Option<&ServiceName> {
    let mut records = group.news.records();
    records
        .next()
        .and_then(|record: &AlertRecord| record.routed.service.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_circle_none_is_the_cause_and_what_the_circle_stands_on_is() {
        let name = |name: &str| ServiceName::parse(name).unwrap();
        let depends_on: BTreeMap<ServiceName, Vec<ServiceName>> = [
            ("web", "api"),
            ("api", "jobs"),
            ("jobs", "api"),
            ("jobs", "db"),
        ]
        .into_iter()
        .fold(BTreeMap::new(), |mut all, (above, on)| {
            all.entry(name(above))
                .or_insert_with(Vec::new)
                .push(name(on));
            all
        });
        let causes = |service: &str| -> Vec<String> {
            let service = name(service);
            let found = strictly_below(&service, &depends_on).into_iter();
            found.map(ToString::to_string).collect()
        };
        assert_eq!(causes("web"), ["api", "jobs", "db"]);
        assert_eq!(causes("api"), ["db"]);
        assert_eq!(causes("jobs"), ["db"]);
        assert!(causes("db").is_empty());
    }
}
