//! What became of replicas that were to be restarted when the bot died.
//!
//! The engine goes on with a restart although the one who asked for it is gone. In between the
//! replica looks as before: it runs, with its old start time, until its process gives in to the
//! signal. Only the engine's events show that it is being restarted.

use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::engine::container::replica;
use crate::engine::events::{History, history};
use crate::engine::{ContainerRef, Engine, Result};
use treasury_domain::service::{Intent, Replica, ReplicaMark, ReplicaOutcome, ReplicaState};

/// Events this much older than the intent count too: clocks are read at different moments.
const TOLERANCE: Duration = Duration::from_secs(2);

/// When the engine's memory of events does not go back to the intent, a replica that looks
/// untouched counts as being restarted for so long after the intent.
const STOPPING: Duration = Duration::from_secs(120);

/// The start of a replica that was not running shows nowhere until it is done; for so long after
/// the intent it may be under way.
const STARTING: Duration = Duration::from_secs(10);

/// The outcome of each mark, in their order.
pub async fn restart_outcome(
    engine: &Engine,
    marks: &[ReplicaMark],
    intent: &Intent,
) -> Result<Vec<ReplicaOutcome>> {
    let since = intent.since;
    let marked = marks
        .iter()
        .map(|mark| ContainerRef::new(&mark.id, &mark.name));
    let marked: Vec<ContainerRef> = marked.collect();
    // The replicas are looked at before the events and not after: whatever begins in between then
    // shows in the events.
    let now = try_join_all(marks.iter().map(|mark| replica(engine, &mark.id))).await?;
    let signs = Signs {
        history: history(engine, &marked, since - TOLERANCE).await?,
        since: since - TOLERANCE + engine.clock_ahead().await?,
        age: Timestamp::now().duration_since(since).unsigned_abs(),
    };
    let outcome = |(mark, now): (&ReplicaMark, Option<Replica>)| {
        let hangs = intent.along.iter().any(|one| one.mark.id == mark.id);
        now.map_or(ReplicaOutcome::Gone, |now| {
            if hangs {
                signs.outcome_of_dependant(mark, &now)
            } else {
                signs.outcome(mark, &now)
            }
        })
    };
    Ok(marks.iter().zip(now).map(outcome).collect())
}

/// What is known besides the replicas themselves.
struct Signs {
    /// The intent, less [`TOLERANCE`], by the engine's clock.
    since: Timestamp,
    /// How long ago the intent was.
    age: Duration,
    history: History,
}

impl Signs {
    fn outcome(&self, mark: &ReplicaMark, now: &Replica) -> ReplicaOutcome {
        if now.started_at != mark.started_at {
            return ReplicaOutcome::Restarted;
        }
        let changing = match now.state {
            ReplicaState::Running | ReplicaState::Paused => false,
            ReplicaState::Restarting => true,
            ReplicaState::Exited
            | ReplicaState::Dead
            | ReplicaState::Unknown
            | ReplicaState::Created => {
                // It ended after the intent, or had ended before and may be starting.
                now.finished_at.is_some_and(|end| end >= self.since) || self.age < STARTING
            }
        };
        let has_event = self.saw(mark, &["kill", "stop", "die", "restart"]);
        if changing || has_event || self.is_forgotten() {
            ReplicaOutcome::UnderWay
        } else {
            ReplicaOutcome::Untouched
        }
    }

    /// What hangs on a replica ends with it where it shares its processes; that is no restart. It
    /// is one where it was sent a signal itself, or is being started.
    fn outcome_of_dependant(&self, mark: &ReplicaMark, now: &Replica) -> ReplicaOutcome {
        let is_under_way = match now.state {
            _ if now.started_at != mark.started_at => return ReplicaOutcome::Restarted,
            ReplicaState::Running | ReplicaState::Paused => {
                self.saw(mark, &["kill"]) || self.is_forgotten()
            }
            ReplicaState::Restarting => true,
            _ => self.age < STARTING || now.finished_at.is_some_and(|end| self.is_recent(end)),
        };
        if is_under_way {
            ReplicaOutcome::UnderWay
        } else {
            ReplicaOutcome::Untouched
        }
    }

    fn saw(&self, mark: &ReplicaMark, what: &[&str]) -> bool {
        let mut events = self.history.events.iter();
        events.any(|(id, event)| *id == mark.id && what.contains(&event.what.as_str()))
    }

    fn is_forgotten(&self) -> bool {
        self.history.reaches.is_some() && self.age < STOPPING
    }

    /// Less than [`STARTING`] ago.
    fn is_recent(&self, at: Timestamp) -> bool {
        at + STARTING > self.since + TOLERANCE + self.age
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use treasury_domain::service::{Event, Health};

    fn replica(state: ReplicaState) -> Replica {
        Replica {
            id: "1".into(),
            name: "web-1".into(),
            state,
            health: Health::Unchecked,
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: None,
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            memory_limit_bytes: None,
            image: "web".into(),
            node: None,
            note: None,
        }
    }

    fn signs(id: &str, what: &str) -> Signs {
        let event = Event {
            at: Timestamp::UNIX_EPOCH,
            replica: "web-1".into(),
            what: what.into(),
            detail: None,
        };
        Signs {
            since: Timestamp::UNIX_EPOCH,
            age: Duration::from_secs(60),
            history: History {
                events: vec![(id.into(), event)],
                reaches: None,
                until: Timestamp::UNIX_EPOCH,
            },
        }
    }

    #[test]
    fn only_a_replica_without_any_sign_is_untouched() {
        let before = replica(ReplicaState::Running);
        let mark = ReplicaMark::from(&before);
        let mut quiet = signs("1", "health_status: healthy");
        assert_eq!(quiet.outcome(&mark, &before), ReplicaOutcome::Untouched);
        assert_eq!(
            signs("2", "kill").outcome(&mark, &before),
            ReplicaOutcome::Untouched
        );
        for sign in ["kill", "stop", "die", "restart"] {
            let signs = signs("1", sign);
            assert_eq!(
                signs.outcome(&mark, &before),
                ReplicaOutcome::UnderWay,
                "{sign}"
            );
        }
        let restarting = replica(ReplicaState::Restarting);
        assert_eq!(quiet.outcome(&mark, &restarting), ReplicaOutcome::UnderWay);

        quiet.history.reaches = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(quiet.outcome(&mark, &before), ReplicaOutcome::UnderWay);
        quiet.age = STOPPING;
        assert_eq!(quiet.outcome(&mark, &before), ReplicaOutcome::Untouched);

        let mut after = replica(ReplicaState::Running);
        after.started_at = Some(Timestamp::UNIX_EPOCH + Duration::from_secs(1));
        let kill = signs("1", "kill");
        assert_eq!(kill.outcome(&mark, &after), ReplicaOutcome::Restarted);
    }

    #[test]
    fn a_replica_that_had_ended_before_the_intent_is_untouched_once_it_could_have_started() {
        let mut ended = replica(ReplicaState::Exited);
        let mark = ReplicaMark::from(&ended);
        let mut quiet = signs("1", "start");
        ended.finished_at = Some(quiet.since - Duration::from_secs(9));
        assert_eq!(quiet.outcome(&mark, &ended), ReplicaOutcome::Untouched);
        quiet.age = Duration::from_secs(3);
        assert_eq!(quiet.outcome(&mark, &ended), ReplicaOutcome::UnderWay);
        quiet.age = Duration::from_secs(60);
        ended.finished_at = Some(quiet.since);
        assert_eq!(quiet.outcome(&mark, &ended), ReplicaOutcome::UnderWay);
    }
}
