//! How fast Slack may be called, learnt from its own refusals (429).
//!
//! Slack limits `chat.postMessage` by channel (about one a second) and by workspace, other methods
//! by workspace: <https://docs.slack.dev/apis/web-api/rate-limits>. A refused channel is left alone
//! for as long as it asks, and then posted to at Slack's pace for a while. A method takes turns as a
//! whole when it has no channels, or when channels are refused that were not posted to just before.
//!
//! No turn is kept for anybody: who comes too early comes again when the next turn is due, and the
//! most urgent comes first ([`super::Outbox::deliver`]).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::poster::REMEMBERED;
use crate::slack::lock::lock;

/// Between two calls that take turns.
const GAP: Duration = Duration::from_millis(1_100);
/// Turns are taken for so long after the last refusal.
const TURNS: Duration = Duration::from_secs(60);
/// A channel that was posted to so short a time ago is refused for that.
const JUST_BEFORE: Duration = Duration::from_secs(3);

/// What was learnt, by method and channel; an empty channel stands for all.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<(&'static str, String), Gate>>);

#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    /// Turns are taken until then, and the next one is due then.
    turns: Option<(Instant, Instant)>,
    /// The last calls, the last one first.
    calls: [Option<Instant>; 2],
    /// It was refused, until then, though it had not been called just before.
    strange: Option<Instant>,
}

impl Gate {
    /// How long until the next turn; zero where none are taken.
    fn wait(&self, now: Instant) -> Duration {
        self.turns.map_or(Duration::ZERO, |(_, next)| {
            next.saturating_duration_since(now)
        })
    }

    fn enter(&mut self, now: Instant) {
        self.calls = [Some(now), self.calls[0]];
        self.turns = self
            .turns
            .filter(|(until, _)| *until > now)
            .map(|(until, _)| (until, now + GAP));
    }

    fn hold(&mut self, after: Duration, now: Instant) {
        self.turns = Some((now + TURNS.max(after), now + after));
    }
}

impl Pace {
    /// Takes a turn for a call, or says after what time to ask for one again.
    pub(super) fn turn(
        &self,
        method: &'static str,
        channel: &str,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut all = lock(&self.0);
        if all.len() > REMEMBERED {
            all.retain(|_, gate| gate.calls[0].is_some_and(|at| now - at < TURNS));
        }
        let keys = [(method, String::new()), (method, channel.to_owned())];
        let wait = keys.iter().filter_map(|key| Some(all.get(key)?.wait(now)));
        let wait = wait.max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for key in keys {
            all.entry(key).or_default().enter(now);
        }
        Ok(())
    }

    /// Slack refused a call and asked to wait.
    pub(super) fn refused(
        &self,
        method: &'static str,
        channel: &str,
        after: Duration,
        now: Instant,
    ) {
        let mut all = lock(&self.0);
        let is_strange = |gate: &Gate| gate.strange.is_some_and(|until| until > now);
        let other = all
            .iter()
            .any(|((one, name), gate)| *one == method && name != channel && is_strange(gate));
        let gate = all.entry((method, channel.to_owned())).or_default();
        let before = gate.calls[1].is_some_and(|at| now - at < JUST_BEFORE);
        gate.hold(after, now);
        if !before {
            gate.strange = Some(now + after);
            if other {
                all.entry((method, String::new()))
                    .or_default()
                    .hold(after, now);
            }
        }
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
        assert_eq!(pace.turn(POST, "C1", now + SECOND), Err(2 * SECOND));
        assert_eq!(pace.turn(POST, "C2", now), Ok(()));
        assert_eq!(pace.turn("chat.update", "C1", now), Ok(()));
        // Then it is posted to at the pace that Slack takes.
        assert_eq!(pace.turn(POST, "C1", now + 3 * SECOND), Ok(()));
        assert_eq!(pace.turn(POST, "C1", now + 3 * SECOND), Err(GAP));
        assert_eq!(pace.turn(POST, "C1", now + 63 * SECOND), Ok(()));
        assert_eq!(pace.turn(POST, "C1", now + 63 * SECOND), Ok(()));
    }

    #[test]
    fn channels_that_are_posted_to_too_fast_hold_up_no_other() {
        let (pace, now) = (Pace::default(), Instant::now());
        for channel in ["C1", "C2"] {
            for _ in 0..2 {
                assert_eq!(pace.turn(POST, channel, now), Ok(()));
            }
            pace.refused(POST, channel, SECOND, now);
        }
        assert_eq!(pace.turn(POST, "C3", now), Ok(()));
    }

    #[test]
    fn when_calm_channels_are_refused_all_take_turns_until_it_is_over() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.refused(POST, "C1", SECOND, now);
        pace.refused(POST, "C2", SECOND, now);
        assert_eq!(pace.turn(POST, "C3", now), Err(SECOND));
        // Nobody has reserved a turn: whoever comes first takes it.
        assert_eq!(pace.turn(POST, "C4", now + SECOND), Ok(()));
        assert_eq!(pace.turn(POST, "C3", now + SECOND), Err(GAP));
        assert_eq!(pace.turn(POST, "C1", now + 62 * SECOND), Ok(()));
        assert_eq!(pace.turn(POST, "C3", now + 62 * SECOND), Ok(()));
    }

    #[test]
    fn a_method_without_channels_takes_turns_at_once() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.refused("conversations.create", "", 3 * SECOND, now);
        assert_eq!(pace.turn("conversations.create", "", now), Err(3 * SECOND));
    }
}
