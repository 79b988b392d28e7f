//! Events of a workload, its ReplicaSets and its pods, from both APIs.
//!
//! A server keeps one set of events and shows it in two shapes; some tell only by one of them.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join;
use jiff::Timestamp;
use serde::Deserialize;

use crate::object::ObjectReference;
use crate::{Kind, Metadata, Result, Scope, Snapshot, WorkloadRef, snapshot};
use treasury_domain::service::{Event, WorkloadKind};
use treasury_ports::text::shown;

/// The most events of an answer.
const MOST: usize = 200;

/// An event in either shape: the aliases are the names of the newer one.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EventObject {
    metadata: Metadata,
    #[serde(alias = "regarding")]
    involved_object: ObjectReference,
    reason: String,
    #[serde(alias = "note")]
    message: String,
    #[serde(alias = "deprecatedCount")]
    count: Option<u32>,
    #[serde(alias = "deprecatedFirstTimestamp")]
    first_timestamp: Option<Timestamp>,
    #[serde(alias = "deprecatedLastTimestamp")]
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    series: Option<Series>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: Option<u32>,
    last_observed_time: Option<Timestamp>,
}

/// What an event says, and how often it was said.
struct Report {
    uid: String,
    about: ObjectReference,
    reason: String,
    note: String,
    count: u32,
    first: Option<Timestamp>,
    last: Timestamp,
}

impl EventObject {
    /// `None` where no time is told.
    fn report(self) -> Option<Report> {
        let series = self.series.unwrap_or_default();
        let last = series.last_observed_time.or(self.last_timestamp);
        Some(Report {
            uid: self.metadata.uid,
            about: self.involved_object,
            reason: self.reason,
            note: self.message,
            count: series.count.or(self.count).unwrap_or(1).max(1),
            first: self.first_timestamp.or(self.event_time),
            last: last
                .or(self.event_time)
                .or(self.metadata.creation_timestamp)?,
        })
    }
}

/// The events since a time, oldest first, the same ones grouped.
pub(crate) async fn events(
    scope: Scope<'_>,
    seen: &Snapshot,
    since: Timestamp,
) -> Result<Vec<Event>> {
    let (core, new) = (scope.all(Kind::CORE_EVENT), scope.all(Kind::EVENT));
    let all: Vec<EventObject> = match join(core.list(None), new.list(None)).await {
        // One of both is enough: an old server has not the new one, and a role may have one alone.
        (Err(error), Err(_)) => return Err(error),
        (core, new) => {
            let both = [core, new].into_iter();
            both.filter_map(Result::ok).flatten().collect()
        }
    };
    let sets = snapshot::replica_sets(scope, &seen.workload).await?;
    let sets: HashSet<String> = sets.into_iter().map(|set| set.metadata.name).collect();
    let target = scope.target;
    let is_own = |about: &ObjectReference| match about.kind.as_str() {
        "Pod" => {
            seen.pods.iter().any(|pod| pod.name() == about.name)
                || is_former(&about.name, target, &sets)
        }
        "ReplicaSet" => sets.contains(&about.name),
        "HorizontalPodAutoscaler" => {
            let scaler = seen.scaler.as_ref();
            scaler.is_some_and(|scaler| scaler.name == about.name)
        }
        kind => kind.eq_ignore_ascii_case(target.kind.word()) && about.name == target.name,
    };
    let reports = all.into_iter().filter_map(EventObject::report);
    // Many are told with whole seconds.
    let wanted =
        reports.filter(|one| one.last.as_second() >= since.as_second() && is_own(&one.about));
    Ok(grouped(wanted))
}

/// A pod that is gone: its name tells whose it was.
fn is_former(name: &str, target: WorkloadRef<'_>, sets: &HashSet<String>) -> bool {
    let Some((stem, end)) = name.rsplit_once('-') else {
        return false;
    };
    match target.kind {
        WorkloadKind::Deployment => sets.contains(stem),
        WorkloadKind::StatefulSet => {
            stem == target.name && end.bytes().all(|byte| byte.is_ascii_digit())
        }
        WorkloadKind::DaemonSet => stem == target.name && end.len() == 5,
    }
}

/// Each event once, and those that say the same of the same object as one with their count.
fn grouped(all: impl Iterator<Item = Report>) -> Vec<Event> {
    let mut seen = HashSet::new();
    let mut groups: BTreeMap<(ObjectReference, String, String), Report> = BTreeMap::new();
    for report in all {
        if !report.uid.is_empty() && !seen.insert(report.uid.clone()) {
            continue;
        }
        let key = (
            report.about.clone(),
            report.reason.clone(),
            report.note.clone(),
        );
        groups
            .entry(key)
            .and_modify(|group| {
                group.count = group.count.saturating_add(report.count);
                group.first = [group.first, report.first].into_iter().flatten().min();
                group.last = group.last.max(report.last);
            })
            .or_insert(report);
    }
    let mut events: Vec<Event> = groups.into_values().map(event).collect();
    events.sort_by(|a, b| (a.at, &a.replica, &a.what).cmp(&(b.at, &b.replica, &b.what)));
    let surplus = events.len().saturating_sub(MOST);
    events.drain(..surplus);
    events
}

fn event(report: Report) -> Event {
    let mut detail = shown(&report.note, 300);
    if report.count > 1 {
        let first = report.first.filter(|first| *first < report.last);
        let since = first.map(|first| format!(" since {}", first.strftime("%H:%M:%S")));
        detail = format!("{detail} (×{}{})", report.count, since.unwrap_or_default());
    }
    let detail = detail.trim().to_owned();
    Event {
        at: report.last,
        replica: report.about.name,
        what: report.reason,
        detail: Some(detail).filter(|detail| !detail.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report(event: Value) -> Option<Report> {
        let event: EventObject = serde_json::from_value(event).unwrap();
        event.report()
    }

    fn core(uid: &str, reason: &str, count: i32, last: &str) -> Option<Report> {
        let event = json!({"metadata": {"uid": uid}, "reason": reason, "message": "no",
            "type": "Warning", "count": count, "firstTimestamp": "2026-11-27T10:00:00Z",
            "lastTimestamp": last, "involvedObject": {"kind": "Pod", "name": "web-1"}});
        report(event)
    }

    fn new(uid: &str, reason: &str, at: &str) -> Option<Report> {
        let event = json!({"metadata": {"uid": uid}, "reason": reason, "note": "no",
            "type": "Warning", "eventTime": at, "regarding": {"kind": "Pod", "name": "web-1"}});
        report(event)
    }

    #[test]
    fn an_event_of_both_apis_is_told_once() {
        let both = [
            core("1", "BackOff", 3, "2026-11-27T10:05:00Z"),
            new("1", "BackOff", "2026-11-27T10:05:00.000000Z"),
        ];
        let events = grouped(both.into_iter().flatten());
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].what, "BackOff");
        assert_eq!(events[0].detail.as_deref(), Some("no (×3 since 10:00:00)"));
    }

    #[test]
    fn the_same_said_again_is_one_event_with_its_count_at_its_last_time() {
        let all = [
            core("1", "Unhealthy", 2, "2026-11-27T10:05:00Z"),
            new("2", "Unhealthy", "2026-11-27T10:07:00Z"),
            new("3", "Killing", "2026-11-27T10:06:00Z"),
        ];
        let events = grouped(all.into_iter().flatten());
        let what: Vec<&str> = events.iter().map(|event| event.what.as_str()).collect();
        assert_eq!(what, ["Killing", "Unhealthy"], "oldest first");
        assert_eq!(events[1].detail.as_deref(), Some("no (×3 since 10:00:00)"));
    }

    #[test]
    fn a_pod_that_is_gone_is_known_by_its_name() {
        let sets = HashSet::from(["web-7d9f".to_owned()]);
        let target = |kind| WorkloadRef {
            namespace: "shop",
            kind,
            name: "web",
            service: "web",
        };
        let deployment = target(WorkloadKind::Deployment);
        assert!(is_former("web-7d9f-x2x4z", deployment, &sets));
        assert!(!is_former("web-canary-7d9f-x2x4z", deployment, &sets));
        let set = target(WorkloadKind::StatefulSet);
        assert!(is_former("web-12", set, &sets) && !is_former("web-x", set, &sets));
    }
}
