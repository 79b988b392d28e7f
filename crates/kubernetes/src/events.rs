//! Events of a workload, its ReplicaSets and its pods, from both APIs.
//!
//! A server keeps one set of events and shows it in two shapes; some tell only by one of them.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, ObjectReference};
use k8s_openapi::api::events::v1::Event as NewEvent;
use kube::Api;

use super::api::Line;
use super::find::{self, Place, Seen};
use super::pod;
use treasury_domain::service::{Event, WorkloadKind};
use treasury_domain::timeline::cut;
use treasury_ports::platform::PlatformError;
use treasury_ports::text::clean;

/// The most events of an answer.
const MOST: usize = 200;

/// One event in one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    uid: String,
    kind: String,
    name: String,
    reason: String,
    note: String,
    count: i32,
    first: Option<Timestamp>,
    last: Timestamp,
}

/// The events since a time, oldest first, the same ones grouped.
pub(super) async fn events(
    line: &Line,
    place: Place<'_>,
    seen: &Seen,
    since: Timestamp,
) -> Result<Vec<Event>, PlatformError> {
    let client = line.client().await?;
    let core: Api<CoreEvent> = Api::namespaced(client.clone(), place.namespace);
    let new: Api<NewEvent> = Api::namespaced(client.clone(), place.namespace);
    let (core, new) = join(
        find::all(line, "the events", &core, None),
        find::all(line, "the events", &new, None),
    )
    .await;
    // One of both is enough: an old server has not the new one, and a role may have one alone.
    let (core, new) = match (core, new) {
        (Err(error), Err(_)) => return Err(error),
        (core, new) => (core.unwrap_or_default(), new.unwrap_or_default()),
    };
    let told = core
        .into_iter()
        .filter_map(of_core)
        .chain(new.into_iter().filter_map(of_new));
    let sets = match place.kind {
        WorkloadKind::Deployment => find::replica_sets(line, place, &seen.workload).await?,
        _ => Vec::new(),
    };
    let sets: HashSet<String> = sets
        .into_iter()
        .filter_map(|set| set.metadata.name)
        .collect();
    let pods: HashSet<&str> = seen.pods.iter().map(|one| pod::name(one)).collect();
    let own = |told: &Told| match told.kind.as_str() {
        "Pod" => pods.contains(told.name.as_str()) || is_former(&told.name, place, &sets),
        "ReplicaSet" => sets.contains(&told.name),
        "HorizontalPodAutoscaler" => {
            let scaler = seen.scaler.as_ref();
            scaler.is_some_and(|scaler| scaler.name == told.name)
        }
        kind => kind.eq_ignore_ascii_case(place.kind.word()) && told.name == place.name,
    };
    Ok(grouped(
        // Many are told with whole seconds.
        told.filter(|told| told.last.as_second() >= since.as_second() && own(told)),
    ))
}

/// A pod that is gone: its name tells whose it was.
fn is_former(name: &str, place: Place<'_>, sets: &HashSet<String>) -> bool {
    let Some((stem, end)) = name.rsplit_once('-') else {
        return false;
    };
    match place.kind {
        WorkloadKind::Deployment => sets.contains(stem),
        WorkloadKind::StatefulSet => {
            stem == place.name && end.bytes().all(|byte| byte.is_ascii_digit())
        }
        WorkloadKind::DaemonSet => stem == place.name && end.len() == 5,
    }
}

fn of_core(event: CoreEvent) -> Option<Told> {
    let series = event.series.as_ref();
    let last = series
        .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| {
            event
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
        })?;
    let count = series.and_then(|series| series.count).or(event.count);
    let first = event.first_timestamp.as_ref().map(|time| time.0);
    told(
        event.metadata.uid,
        event.involved_object,
        (event.reason, event.message),
        count,
        first.or_else(|| event.event_time.map(|time| time.0)),
        last,
    )
}

fn of_new(event: NewEvent) -> Option<Told> {
    let series = event.series.as_ref();
    let last = series
        .map(|series| series.last_observed_time.0)
        .or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| {
            event
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
        })?;
    let count = series.map(|series| series.count).or(event.deprecated_count);
    let first = event.deprecated_first_timestamp.as_ref().map(|time| time.0);
    told(
        event.metadata.uid,
        event.regarding?,
        (event.reason, event.note),
        count,
        first.or_else(|| event.event_time.map(|time| time.0)),
        last,
    )
}

fn told(
    uid: Option<String>,
    about: ObjectReference,
    (reason, note): (Option<String>, Option<String>),
    count: Option<i32>,
    first: Option<Timestamp>,
    last: Timestamp,
) -> Option<Told> {
    Some(Told {
        uid: uid.unwrap_or_default(),
        kind: about.kind?,
        name: about.name?,
        reason: reason.unwrap_or_default(),
        note: note.unwrap_or_default(),
        count: count.unwrap_or(1).max(1),
        first,
        last,
    })
}

/// Each event once, and those that say the same of the same object as one with their count.
fn grouped(all: impl Iterator<Item = Told>) -> Vec<Event> {
    let mut seen = HashSet::new();
    let mut groups: BTreeMap<(String, String, String, String), Told> = BTreeMap::new();
    for told in all {
        if !told.uid.is_empty() && !seen.insert(told.uid.clone()) {
            continue;
        }
        let key = (
            told.kind.clone(),
            told.name.clone(),
            told.reason.clone(),
            told.note.clone(),
        );
        groups
            .entry(key)
            .and_modify(|group| {
                group.count = group.count.saturating_add(told.count);
                group.first = [group.first, told.first].into_iter().flatten().min();
                group.last = group.last.max(told.last);
            })
            .or_insert(told);
    }
    let mut events: Vec<Event> = groups.into_values().map(event).collect();
    events.sort_by(|a, b| (a.at, &a.replica, &a.what).cmp(&(b.at, &b.replica, &b.what)));
    let surplus = events.len().saturating_sub(MOST);
    events.drain(..surplus);
    events
}

fn event(told: Told) -> Event {
    let mut detail = cut(&clean(&told.note), 300);
    if told.count > 1 {
        let since = told
            .first
            .filter(|first| *first < told.last)
            .map(|first| format!(" since {}", first.strftime("%H:%M:%S")));
        detail = format!("{detail} (×{}{})", told.count, since.unwrap_or_default());
    }
    let detail = detail.trim().to_owned();
    Event {
        at: told.last,
        replica: told.name,
        what: told.reason,
        detail: Some(detail).filter(|detail| !detail.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn core(uid: &str, reason: &str, count: i32, last: &str) -> Option<Told> {
        let event = json!({"metadata": {"uid": uid}, "reason": reason, "message": "no",
            "type": "Warning", "count": count, "firstTimestamp": "2026-11-27T10:00:00Z",
            "lastTimestamp": last, "involvedObject": {"kind": "Pod", "name": "web-1"}});
        of_core(serde_json::from_value(event).unwrap())
    }

    fn new(uid: &str, reason: &str, at: &str) -> Option<Told> {
        let event = json!({"metadata": {"uid": uid}, "reason": reason, "note": "no",
            "type": "Warning", "eventTime": at, "regarding": {"kind": "Pod", "name": "web-1"}});
        of_new(serde_json::from_value(event).unwrap())
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
        let place = |kind| Place {
            namespace: "shop",
            kind,
            name: "web",
            service: "web",
        };
        let deployment = place(WorkloadKind::Deployment);
        assert!(is_former("web-7d9f-x2x4z", deployment, &sets));
        assert!(!is_former("web-canary-7d9f-x2x4z", deployment, &sets));
        let set = place(WorkloadKind::StatefulSet);
        assert!(is_former("web-12", set, &sets) && !is_former("web-x", set, &sets));
    }
}
