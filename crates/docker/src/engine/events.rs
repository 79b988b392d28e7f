//! What the engine says happened to containers.
//!
//! The engine keeps its newest [`REMEMBERED`] events only, of all containers together, and each
//! run of a health check makes three of them. So an old event may be missing;
//! [`History::reaches`] tells.

use std::collections::VecDeque;

use bollard::models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum as Type};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::connection::Engine;
use super::container::{self, ContainerRef};
use super::error::Result;
use treasury_domain::service::Event;

/// How many events an engine remembers (moby, `daemon/events`, `eventsLimit`).
const REMEMBERED: usize = 256;

/// From so many on it may have forgotten some. What comes between the question and the answer takes
/// places in the memory and is not told, as the question has an end.
const MAY_FORGET: usize = REMEMBERED / 2;

/// The most events that an answer has.
pub const MAX_EVENTS: usize = 200;

/// Events of some containers.
#[derive(Debug)]
pub struct History {
    /// With the container's id, oldest first.
    pub events: Vec<(String, Event)>,
    /// How far back the engine's memory goes, where that is less than was wanted.
    pub reaches: Option<Timestamp>,
    /// When it was asked for, by the engine's clock.
    pub until: Timestamp,
}

/// The newest of these events, in their order.
pub fn newest(mut events: Vec<Event>) -> Vec<Event> {
    let skipped = events.len().saturating_sub(MAX_EVENTS);
    events.split_off(skipped)
}

/// All that the engine remembers of these containers since a time (by our clock); noise of health
/// checks left out.
pub async fn history(
    engine: &Engine,
    containers: &[ContainerRef],
    since: Timestamp,
) -> Result<History> {
    let ahead = engine.clock_ahead().await?;
    let since = since + ahead;
    // Everything remembered is asked for: only so it shows how far back the memory goes. The
    // engine ends its answer at `until`.
    let until = Timestamp::now() + ahead;
    let ends = format!("{}.{:09}", until.as_second(), until.subsec_nanosecond());
    let options = EventsOptionsBuilder::default().since("1");
    let options = options.until(&ends).build();
    let mut stream = engine.client()?.events(Some(options));
    let call = async {
        let mut events = VecDeque::new();
        let (mut count, mut oldest) = (0_usize, None);
        while let Some(message) = stream.next().await {
            let message = message?;
            let Some(at) = time(&message) else {
                continue;
            };
            count += 1;
            oldest.get_or_insert(at);
            if at >= since
                && let Some(event) = event(message, at, containers)
            {
                // An engine that remembers more than we know of must not fill our memory.
                if events.len() == REMEMBERED * 4 {
                    events.pop_front();
                }
                events.push_back(event);
            }
        }
        Ok((events, count, oldest))
    };
    let (events, count, oldest) = engine.change("the events", call).await?;
    Ok(History {
        events: events.into(),
        reaches: oldest.filter(|oldest| count >= MAY_FORGET && *oldest > since),
        until,
    })
}

/// Adds the last start and end of each container where the engine's events don't have them: it forgets
/// them when others come, and all when it is started anew. `asked`: [`History::until`].
pub fn add_known(
    events: &mut Vec<Event>,
    known: &[ContainerInspectResponse],
    since: Timestamp,
    asked: Timestamp,
) {
    // An event is noted a moment before or after what `inspect` says.
    let near = SignedDuration::from_secs(2);
    // Of what is younger the engine's own event is on its way, and with it what tells of the cause
    // (`oom`). Told ahead of it, the same end would have two times.
    let settled = asked - near;
    for facts in known {
        let (Some(state), Some(name)) = (&facts.state, facts.name.as_deref()) else {
            continue;
        };
        let replica = name.trim_start_matches('/');
        let runs = state.running == Some(true);
        // Of a run before the present one the engine no longer knows the code.
        let code = state.exit_code.filter(|_| !runs);
        let code = code.map(|code| format!("exit code {code}"));
        for (what, at, detail) in [
            ("start", state.started_at.as_deref(), None),
            ("die", state.finished_at.as_deref(), code),
        ] {
            let Some(at) = container::time(at).filter(|at| (since..=settled).contains(at)) else {
                continue;
            };
            let is_there = events.iter().any(|event| {
                event.replica == replica
                    && event.what == what
                    && event.at.duration_since(at).abs() <= near
            });
            if !is_there {
                events.push(Event {
                    at,
                    replica: replica.to_owned(),
                    what: what.to_owned(),
                    detail,
                });
            }
        }
    }
    events.sort_by_key(|event| event.at);
}

/// When it was, by the engine's clock, as all times of the engine that are shown.
fn time(message: &EventMessage) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(message.time_nano?)).ok()
}

/// The event, if it is of one of these containers and no noise.
fn event(
    message: EventMessage,
    at: Timestamp,
    containers: &[ContainerRef],
) -> Option<(String, Event)> {
    if !matches!(message.typ, Some(Type::CONTAINER | Type::SERVICE)) {
        return None;
    }
    let actor = message.actor?;
    let id = actor.id?;
    let replica = containers.iter().find(|one| one.id == id)?.name.clone();
    let what = message.action?;
    if what.starts_with("exec_") {
        return None;
    }
    let facts = actor.attributes.unwrap_or_default();
    let fact = |name: &str| facts.get(name).filter(|text| !text.is_empty());
    let detail = match (fact("exitCode"), fact("signal"), fact("oldName")) {
        (Some(code), _, _) => Some(format!("exit code {code}")),
        (_, Some(signal), _) => Some(format!("signal {signal}")),
        (_, _, Some(name)) => Some(format!("was {}", name.trim_start_matches('/'))),
        // Of a Swarm service.
        _ => fact("updatestate.new").map(|state| format!("rollout {state}")),
    };
    let event = Event {
        at,
        replica,
        what,
        detail,
    };
    Some((id, event))
}
