//! How fast Slack may be called, learnt from its own refusals (429).
//!
//! Slack limits `chat.postMessage` by channel (about one a second) and by workspace, other methods
//! by workspace: <https://docs.slack.dev/apis/web-api/rate-limits>. One refused channel is left
//! alone for as long as it asks; when a second one is refused, the whole method takes turns for a
//! while, so that a storm is not answered with a storm of refused calls.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::slack::lock::lock;

/// Between two calls of a method that takes turns.
const GAP: Duration = Duration::from_millis(1_100);
/// A method takes turns for so long after its last refusal.
const TURNS: Duration = Duration::from_secs(60);

/// A turn that is further away is not kept: a delivery does not wait so long for it, since its lease
/// is a minute.
const LONGEST: Duration = Duration::from_secs(15);

/// When a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// After this time: its turn is kept.
    In(Duration),
    /// Not before this time: nothing is kept.
    NotBefore(Duration),
}

/// What was learnt, by method.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<&'static str, Method>>);

#[derive(Debug, Default)]
struct Method {
    /// The lane that was refused, until when.
    held: Option<(String, Instant)>,
    /// Turns are taken until then, and the next one begins then.
    turns: Option<(Instant, Instant)>,
}

impl Pace {
    /// When this call may be made.
    pub(super) fn turn(&self, method: &'static str, lane: &str, now: Instant) -> Turn {
        let mut all = lock(&self.0);
        let Some(known) = all.get_mut(method) else {
            return Turn::In(Duration::ZERO);
        };
        if let Some((until, next)) = &mut known.turns {
            if *until > now {
                let at = (*next).max(now);
                if at - now > LONGEST {
                    return Turn::NotBefore(at - now);
                }
                *next = at + GAP;
                return Turn::In(at - now);
            }
            known.turns = None;
        }
        match &known.held {
            Some((held, until)) if held == lane && *until > now => Turn::NotBefore(*until - now),
            _ => Turn::In(Duration::ZERO),
        }
    }

    /// Slack refused a call and asked to wait.
    pub(super) fn refused(&self, method: &'static str, lane: &str, after: Duration, now: Instant) {
        let mut all = lock(&self.0);
        let known = all.entry(method).or_default();
        let other = known
            .held
            .as_ref()
            .is_some_and(|(held, until)| held != lane && *until > now);
        let until = now + after;
        if let Some((turns, next)) = &mut known.turns {
            *turns = now + TURNS.max(after);
            *next = (*next).max(until);
        } else if other {
            known.turns = Some((now + TURNS.max(after), until));
        }
        known.held = Some((lane.to_owned(), until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = "chat.postMessage";
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_refused_channel_is_left_alone_and_others_go_on() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.refused(POST, "C1", 3 * SECOND, now);
        assert_eq!(
            pace.turn(POST, "C1", now + SECOND),
            Turn::NotBefore(2 * SECOND)
        );
        assert_eq!(pace.turn(POST, "C2", now), Turn::In(Duration::ZERO));
        assert_eq!(
            pace.turn("chat.update", "C1", now),
            Turn::In(Duration::ZERO)
        );
        assert_eq!(
            pace.turn(POST, "C1", now + 4 * SECOND),
            Turn::In(Duration::ZERO)
        );
    }

    #[test]
    fn when_a_second_channel_is_refused_all_take_turns_until_it_is_over() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.refused(POST, "C1", SECOND, now);
        pace.refused(POST, "C2", SECOND, now);
        let waits: Vec<Turn> = ["C3", "C1", "C3"]
            .map(|channel| pace.turn(POST, channel, now))
            .into();
        assert_eq!(
            waits,
            [SECOND, SECOND + GAP, SECOND + 2 * GAP].map(Turn::In)
        );
        assert_eq!(
            pace.turn(POST, "C1", now + 61 * SECOND),
            Turn::In(Duration::ZERO)
        );
    }
}
