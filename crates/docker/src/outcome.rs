//! What became of replicas that were to be restarted when the bot died.
//!
//! The engine goes on with a restart although the one who asked for it is gone. In between the
//! replica looks as before: it runs, with its old start time, until its process gives in to the
//! signal. Only the engine's events show that it is being restarted.

use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::engine::Engine;
use super::events::{self, Told};
use super::find::{self, Found};
use treasury_domain::service::{Replica, ReplicaMark, ReplicaOutcome, ReplicaState};
use treasury_ports::platform::PlatformError;

/// Events this much older than the intent count too: clocks are read at different moments.
const SLACK: Duration = Duration::from_secs(2);

/// When the engine's memory of events does not go back to the intent, a replica that looks
/// untouched counts as being restarted for so long after the intent.
const BLIND: Duration = Duration::from_secs(120);

/// The start of a replica that was not running shows nowhere until it is done; for so long after
/// the intent it may be under way.
const STARTING: Duration = Duration::from_secs(10);

/// The fate of each mark, in their order.
pub(super) async fn restart_outcome(
    engine: &Engine,
    marks: &[ReplicaMark],
    since: Timestamp,
) -> Result<Vec<ReplicaOutcome>, PlatformError> {
    let marked: Vec<Found> = marks
        .iter()
        .map(|mark| Found {
            id: mark.id.clone(),
            name: mark.name.clone(),
            running: true,
        })
        .collect();
    // The replicas are looked at before the events and not after: whatever begins in between then
    // shows in the events.
    let now = try_join_all(marks.iter().map(|mark| find::replica(engine, &mark.id))).await?;
    let told = events::told(engine, &marked, since - SLACK).await?;
    let ahead = engine.clock_ahead().await?;
    let look = Look {
        since: since - SLACK + ahead,
        age: Timestamp::now().duration_since(since).unsigned_abs(),
        told,
    };
    Ok(marks
        .iter()
        .zip(now)
        .map(|(mark, now)| now.map_or(ReplicaOutcome::Gone, |now| look.outcome(mark, &now)))
        .collect())
}

/// What is known besides the replicas themselves.
struct Look {
    /// The intent, less [`SLACK`], by the engine's clock.
    since: Timestamp,
    /// How long ago the intent was.
    age: Duration,
    told: Told,
}

impl Look {
    fn outcome(&self, mark: &ReplicaMark, now: &Replica) -> ReplicaOutcome {
        if now.started_at != mark.started_at {
            return ReplicaOutcome::Restarted;
        }
        let changing = match now.state {
            ReplicaState::Running | ReplicaState::Paused => false,
            ReplicaState::Restarting => true,
            ReplicaState::Exited | ReplicaState::Dead | ReplicaState::Created => {
                // It ended after the intent, or had ended before and may be starting.
                now.finished_at.is_some_and(|end| end >= self.since) || self.age < STARTING
            }
        };
        let told_to = self.told.events.iter().any(|(id, event)| {
            *id == mark.id && matches!(event.what.as_str(), "kill" | "stop" | "die" | "restart")
        });
        let blind = !self.told.reaches && self.age < BLIND;
        if changing || told_to || blind {
            ReplicaOutcome::UnderWay
        } else {
            ReplicaOutcome::Untouched
        }
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
            image: "web".into(),
            node: None,
            note: None,
        }
    }

    fn look(id: &str, what: &str) -> Look {
        let event = Event {
            at: Timestamp::UNIX_EPOCH,
            replica: "web-1".into(),
            what: what.into(),
            detail: None,
        };
        Look {
            since: Timestamp::UNIX_EPOCH,
            age: Duration::from_secs(60),
            told: Told {
                events: vec![(id.into(), event)],
                reaches: true,
            },
        }
    }

    #[test]
    fn only_a_replica_without_any_sign_is_untouched() {
        let before = replica(ReplicaState::Running);
        let mark = ReplicaMark::from(&before);
        let mut quiet = look("1", "health_status: healthy");
        assert_eq!(quiet.outcome(&mark, &before), ReplicaOutcome::Untouched);
        assert_eq!(
            look("2", "kill").outcome(&mark, &before),
            ReplicaOutcome::Untouched
        );
        for sign in ["kill", "stop", "die", "restart"] {
            let look = look("1", sign);
            assert_eq!(
                look.outcome(&mark, &before),
                ReplicaOutcome::UnderWay,
                "{sign}"
            );
        }
        let restarting = replica(ReplicaState::Restarting);
        assert_eq!(quiet.outcome(&mark, &restarting), ReplicaOutcome::UnderWay);

        quiet.told.reaches = false;
        assert_eq!(quiet.outcome(&mark, &before), ReplicaOutcome::UnderWay);
        quiet.age = BLIND;
        assert_eq!(quiet.outcome(&mark, &before), ReplicaOutcome::Untouched);

        let mut after = replica(ReplicaState::Running);
        after.started_at = Some(Timestamp::UNIX_EPOCH + Duration::from_secs(1));
        let kill = look("1", "kill");
        assert_eq!(kill.outcome(&mark, &after), ReplicaOutcome::Restarted);
    }

    #[test]
    fn a_replica_that_had_ended_before_the_intent_is_untouched_once_it_could_have_started() {
        let mut ended = replica(ReplicaState::Exited);
        let mark = ReplicaMark::from(&ended);
        let mut quiet = look("1", "start");
        ended.finished_at = Some(quiet.since - Duration::from_secs(9));
        assert_eq!(quiet.outcome(&mark, &ended), ReplicaOutcome::Untouched);
        quiet.age = Duration::from_secs(3);
        assert_eq!(quiet.outcome(&mark, &ended), ReplicaOutcome::UnderWay);
        quiet.age = Duration::from_secs(60);
        ended.finished_at = Some(quiet.since);
        assert_eq!(quiet.outcome(&mark, &ended), ReplicaOutcome::UnderWay);
    }
}
