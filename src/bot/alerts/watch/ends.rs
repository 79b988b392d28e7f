//! How replicas came to their end by themselves: for lack of memory, again and again, thrown out by
//! their machine. Each is a moment; it counts as ill until nothing of it was seen for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::readings::{Reading, labels};
use crate::domain::duration;
use crate::domain::service::{Event, Replica, ReplicaState, ServiceStatus};

/// Ends by itself within the time that counts, from which it is a loop.
const LOOP: usize = 3;

/// What Docker tells of the end of a container, Swarm tells of its task within this time.
const TOLD_TWICE: Duration = Duration::from_secs(5);

/// So soon after a process lacked memory the end of its replica may follow.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// What happened to one replica.
#[derive(Default)]
struct Ends {
    /// When the kernel ended it, or a process in it, for lack of memory.
    out_of_memory: Vec<Timestamp>,
    /// When it ended by itself, for other reasons.
    crashes: Vec<Timestamp>,
    /// The platform's words of the last of these ends, such as `exit code 1`.
    code: String,
    /// The same of the last end for lack of memory; empty where the replica outlived it.
    memory_code: String,
}

impl Ends {
    /// In the words of Docker, Swarm and Kubernetes.
    fn of<'e>(events: impl Iterator<Item = &'e Event>) -> Self {
        let (mut ends, mut asked, mut lacked) = (Self::default(), false, false);
        for event in events {
            let detail = event.detail.as_deref().unwrap_or_default();
            match event.what.as_str() {
                "kill" | "stop" => asked = true,
                "start" => (asked, lacked) = (false, false),
                // The kernel may say it many times of one end.
                "oom" if lacked => {}
                "oom" => {
                    lacked = true;
                    ends.out_of_memory.push(event.at);
                }
                "die" => {
                    if lacked {
                        detail.clone_into(&mut ends.memory_code);
                    } else if !asked {
                        // Whoever was told to end did not crash.
                        detail.clone_into(&mut ends.code);
                        ends.crashes.push(event.at);
                    }
                }
                // Of a container on this node, the engine has told of it before.
                "task failed" => {
                    let told = ends.crashes.last();
                    if !lacked && told.is_none_or(|at| *at + TOLD_TWICE < event.at) {
                        ends.crashes.push(event.at);
                    }
                }
                "BackOff" if detail.contains("restarting") => {
                    // The platform has judged by itself.
                    ends.crashes.extend([event.at; LOOP]);
                }
                _ => {}
            }
        }
        ends
    }
}

/// The events' word of an end, else that of the replica.
fn exit_code(told: &str, replica: &Replica) -> String {
    match replica.exit_code {
        Some(code) if told.is_empty() => format!("exit code {code}"),
        _ => told.to_owned(),
    }
}

/// A container of a Swarm task is called like its task with an identifier behind it.
fn is_of(event: &Event, replica: &Replica) -> bool {
    let rest = event.replica.strip_prefix(&replica.name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// There may be something to be told of: a replica is not well, or began lately.
pub(super) fn is_restless(status: &ServiceStatus, within: Duration, now: Timestamp) -> bool {
    let began_lately = |one: &Replica| one.started_at.is_none_or(|at| at + within > now);
    let mut replicas = status.replicas.iter();
    replicas.any(|one| !one.is_well() || one.oom_killed || began_lately(one))
}

/// What is to be said of each replica. `events`: of the time `within`, none where they are not
/// known.
pub(super) fn ends(
    service: &str,
    status: &ServiceStatus,
    events: Option<&[Event]>,
    within: Duration,
    now: Timestamp,
) -> Vec<Reading> {
    let mut readings = Vec::new();
    let calm = duration::text(within);
    for replica in &status.replicas {
        let own = events.unwrap_or_default().iter();
        let ends = Ends::of(own.filter(|one| is_of(one, replica) && one.at + within > now));
        let said = [
            (
                "OutOfMemory",
                "memory-leak",
                memory(replica, &ends, within, now),
            ),
            (
                "CrashLoop",
                "container-wont-start",
                crashes(replica, &ends, now),
            ),
        ];
        for (name, runbook, said) in said {
            let mut labels = of(name, service, "critical");
            labels.insert("replica".to_owned(), replica.name.clone());
            let calm = format!("{} did not end so again for {calm}", replica.name);
            readings.push(reading(
                labels,
                said,
                events.is_some().then_some(calm),
                runbook,
            ));
        }
    }
    let evicted = events.unwrap_or_default().iter();
    let evicted: Vec<&Event> = evicted.filter(|one| one.what == "Evicted").collect();
    let said = evicted.last().map(|last| {
        let why = last.detail.as_deref().unwrap_or("no reason is told");
        let count = match evicted.len() {
            1 => String::new(),
            n => format!(" ({n} in {})", duration::text(within)),
        };
        let at = clock(last.at);
        (
            last.at,
            format!("{} was evicted at {at}{count}: {why}", last.replica),
        )
    });
    // Not of a replica: the one that was thrown out is replaced by another.
    let labels = of("Evicted", service, "warning");
    let calm = events.map(|_| format!("nothing of {service} was evicted again for {calm}"));
    readings.push(reading(labels, said, calm, "container-wont-start"));
    readings
}

fn of(name: &str, service: &str, severity: &str) -> BTreeMap<String, String> {
    labels(&[
        ("alertname", name),
        ("service", service),
        ("severity", severity),
    ])
}

/// `calm`: what is said where nothing happened, if that is known.
fn reading(
    labels: BTreeMap<String, String>,
    said: Option<(Timestamp, String)>,
    calm: Option<String>,
    runbook: &'static str,
) -> Reading {
    Reading {
        labels,
        ill: match &said {
            Some(_) => Some(true),
            None => calm.as_ref().map(|_| false),
        },
        last: said.as_ref().map(|(at, _)| *at),
        says: said.map(|(_, text)| text).or(calm).unwrap_or_default(),
        value: String::new(),
        threshold: String::new(),
        runbook,
    }
}

/// `api-1 was ended for lack of memory at 10:02:11 UTC (exit code 137, limit 256 MiB)`.
fn memory(
    replica: &Replica,
    ends: &Ends,
    within: Duration,
    now: Timestamp,
) -> Option<(Timestamp, String)> {
    let lies_down = replica.state != ReplicaState::Running;
    // Where the platform tells of the last end only: it was before the present start.
    let told = if lies_down {
        replica.finished_at.or(Some(now))
    } else {
        replica.started_at.filter(|at| *at + within > now)
    };
    let at = ends.out_of_memory.last().copied();
    let at = at.or(told.filter(|_| replica.oom_killed))?;
    let what = if replica.oom_killed || !ends.memory_code.is_empty() {
        "was ended"
    } else if at + ENDS_WITHIN > now {
        // Whether it outlives it will be seen.
        return None;
    } else {
        "runs on, but a process in it was ended"
    };
    let mut facts = vec![
        exit_code(&ends.memory_code, replica),
        replica
            .memory_limit_bytes
            .map_or("no limit of its own".to_owned(), |limit| {
                format!("limit {}", duration::bytes_text(limit))
            }),
    ];
    match ends.out_of_memory.len() {
        0 | 1 => {}
        count => facts.push(format!("{count} times in {}", duration::text(within))),
    }
    if lies_down {
        facts.push("it does not run".to_owned());
    }
    facts.retain(|fact| !fact.is_empty());
    let (name, at_text, facts) = (&replica.name, clock(at), facts.join(", "));
    let text = format!("{name} {what} for lack of memory at {at_text} ({facts})");
    // It is not over while it does not run.
    let last = if lies_down && replica.oom_killed {
        now
    } else {
        at
    };
    Some((last, text))
}

/// `api-1 ends again and again, at last at 10:02:11 UTC (exit code 1, 12 restarts by the platform)`.
fn crashes(replica: &Replica, ends: &Ends, now: Timestamp) -> Option<(Timestamp, String)> {
    let note = replica.note.as_deref();
    let note = note.filter(|note| note.starts_with("CrashLoopBackOff"));
    // For lack of memory it is another matter.
    if ends.crashes.len() < LOOP && (note.is_none() || replica.oom_killed) {
        return None;
    }
    let at = ends.crashes.last().copied().or(replica.finished_at);
    let at = at.unwrap_or(now);
    let mut facts = vec![
        exit_code(&ends.code, replica),
        format!("restarts by the platform: {}", replica.restarts),
        note.unwrap_or_default().to_owned(),
    ];
    facts.retain(|fact| !fact.is_empty());
    let (name, at_text, facts) = (&replica.name, clock(at), facts.join(", "));
    let text = format!("{name} ends again and again, at last at {at_text} ({facts})");
    Some((if note.is_some() { now } else { at }, text))
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(300);

    fn now() -> Timestamp {
        "2026-11-29T10:05:00Z".parse().unwrap()
    }

    /// A replica that has run since 10:02:13, unless something else is said of it.
    fn replica(more: Value) -> ServiceStatus {
        let mut one = json!({
            "id": "a", "name": "api-1", "state": "running", "health": "unchecked",
            "started_at": "2026-11-29T10:02:13Z", "finished_at": null, "restarts": 4,
            "exit_code": null, "oom_killed": false, "image": "api:1", "memory_limit_bytes": 268_435_456,
        });
        one.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({"replicas": [one]})).unwrap()
    }

    fn events(all: &[(&str, &str, &str)]) -> Vec<Event> {
        let event = |(at, what, detail): &(&str, &str, &str)| Event {
            at: format!("2026-11-29T{at}Z").parse().unwrap(),
            replica: "api-1".to_owned(),
            what: (*what).to_owned(),
            detail: Some((*detail).to_owned()).filter(|text| !text.is_empty()),
        };
        all.iter().map(event).collect()
    }

    /// The names of those that are ill, with what is said of each.
    fn told(status: &ServiceStatus, events: &[Event]) -> Vec<(String, String)> {
        ends("api", status, Some(events), WITHIN, now())
            .into_iter()
            .filter(|one| one.ill == Some(true))
            .map(|one| (one.labels["alertname"].clone(), one.says))
            .collect()
    }

    fn one(name: &str, says: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), says.to_owned())]
    }

    #[test]
    fn docker_and_kubernetes_tell_of_lack_of_memory_each_in_its_way() {
        let docker = events(&[
            ("10:02:11", "oom", ""),
            ("10:02:11", "oom", ""),
            ("10:02:11", "die", "exit code 137"),
            ("10:02:13", "start", ""),
        ]);
        let says =
            "api-1 was ended for lack of memory at 10:02:11 UTC (exit code 137, limit 256 MiB)";
        assert_eq!(told(&replica(json!({})), &docker), one("OutOfMemory", says));
        let kubernetes = replica(json!({"state": "restarting", "oom_killed": true,
            "exit_code": 137, "finished_at": "2026-11-29T09:40:00Z",
            "note": "CrashLoopBackOff, last end: OOMKilled (exit code 137)"}));
        let says = "api-1 was ended for lack of memory at 09:40:00 UTC (exit code 137, limit 256 MiB, it does not run)";
        assert_eq!(told(&kubernetes, &[]), one("OutOfMemory", says));
        let long_ago = replica(json!({"oom_killed": true, "started_at": "2026-11-29T09:00:00Z"}));
        assert_eq!(told(&long_ago, &[]), []);
        let child = events(&[("10:04:00", "oom", "")]);
        let says = "api-1 runs on, but a process in it was ended for lack of memory at 10:04:00 UTC (limit 256 MiB)";
        assert_eq!(told(&replica(json!({})), &child), one("OutOfMemory", says));
        let just_now = events(&[("10:04:58", "oom", "")]);
        assert_eq!(
            told(&replica(json!({})), &just_now),
            [],
            "its end may follow"
        );
    }

    #[test]
    fn a_loop_is_three_ends_by_itself_and_not_what_somebody_asked_for() {
        let die = |at| (at, "die", "exit code 1");
        let start = |at| (at, "start", "");
        let crashed = events(&[
            die("10:01:00"),
            start("10:01:01"),
            die("10:02:00"),
            start("10:02:01"),
            die("10:03:00"),
        ]);
        let says = "api-1 ends again and again, at last at 10:03:00 UTC (exit code 1, restarts by the platform: 4)";
        assert_eq!(told(&replica(json!({})), &crashed), one("CrashLoop", says));
        assert_eq!(told(&replica(json!({})), &crashed[..4]), []);
        let asked: Vec<Event> = ["10:01", "10:02", "10:03", "10:04"]
            .iter()
            .flat_map(|minute| {
                let at = |second| format!("{minute}:{second}");
                events(&[
                    (&at("00"), "kill", "signal 15"),
                    (&at("01"), "die", "exit code 0"),
                    (&at("02"), "start", ""),
                ])
            })
            .collect();
        assert_eq!(told(&replica(json!({})), &asked), []);
        let backs_off = replica(json!({"state": "restarting", "exit_code": 2,
            "note": "CrashLoopBackOff, last end: exit code 2"}));
        assert_eq!(told(&backs_off, &[])[0].0, "CrashLoop");
    }

    #[test]
    fn who_was_thrown_out_is_told_although_another_has_taken_its_place() {
        let mut thrown = events(&[(
            "10:03:00",
            "Evicted",
            "The node was low on resource: memory.",
        )]);
        thrown[0].replica = "api-7d9f-x2x4z".to_owned();
        let says =
            "api-7d9f-x2x4z was evicted at 10:03:00 UTC: The node was low on resource: memory.";
        assert_eq!(told(&replica(json!({})), &thrown), one("Evicted", says));
    }

    #[test]
    fn nothing_is_over_where_the_events_are_not_known() {
        let status = replica(json!({}));
        let all = ends("api", &status, None, WITHIN, now());
        assert!(all.iter().all(|one| one.ill.is_none()), "{all:?}");
        assert!(is_restless(&status, WITHIN, now()));
        let calm = replica(json!({"started_at": "2026-11-29T09:00:00Z"}));
        assert!(!is_restless(&calm, WITHIN, now()));
    }
}
