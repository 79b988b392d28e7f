//! How long heartbeats have been awaited, by a clock that nobody sets.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Heard, Heartbeat};
use crate::alert::Alert;

/// The wall clock may differ by so much from the process's own between two looks; more, and it was set.
const SET: SignedDuration = SignedDuration::from_secs(2);

/// What a process knows of time. Its own clock counts from any moment on and is never set.
#[derive(Debug, Clone, Default)]
pub struct Ears {
    /// When it began to listen.
    began: Option<Duration>,
    /// The last look, by both clocks.
    last: Option<(Timestamp, Duration)>,
    awaited: HashMap<String, Awaited>,
}

#[derive(Debug, Clone, Copy)]
struct Awaited {
    from: Timestamp,
    /// When that was by the process's own clock; it may be before its beginning, or to come.
    began: SignedDuration,
    /// By how much the wall clock was set since then, as far as that is not recorded.
    set: SignedDuration,
}

impl Ears {
    /// A look at both clocks, before anything is heard or looked at.
    pub fn tick(&mut self, now: Timestamp, own: Duration) {
        self.began.get_or_insert(own);
        let Some((wall, before)) = self.last.replace((now, own)) else {
            return;
        };
        let set = now.duration_since(wall) - signed(own.saturating_sub(before));
        if set.abs() > SET {
            for awaited in self.awaited.values_mut() {
                awaited.set += set;
            }
        }
    }

    /// One was just heard, and noted in `heard`.
    pub fn hear(&mut self, name: &str, heard: &Heard, own: Duration) {
        let awaited = Awaited {
            from: heard.awaited_from(),
            began: signed(own),
            set: SignedDuration::ZERO,
        };
        self.awaited.insert(name.to_owned(), awaited);
    }

    /// Looks at one: the reports of alerts that follow. What is known may have changed by it.
    pub fn look(
        &mut self,
        heartbeat: &Heartbeat,
        heard: &mut Heard,
        (now, own): (Timestamp, Duration),
    ) -> Vec<Alert> {
        let from = heard.awaited_from();
        let known = self.awaited.get(&heartbeat.name).copied();
        // Where another process heard it, or a former one, only the wall clock tells.
        let mut awaited = known.filter(|known| known.from == from).unwrap_or(Awaited {
            from,
            began: signed(own) - now.duration_since(from),
            set: SignedDuration::ZERO,
        });
        if !awaited.set.is_zero() {
            heard.clock_was_set(awaited.set);
            awaited.set = SignedDuration::ZERO;
            awaited.from = heard.awaited_from();
        }
        self.awaited.insert(heartbeat.name.clone(), awaited);
        let quiet = Duration::try_from(signed(own) - awaited.began).unwrap_or_default();
        let up = own.saturating_sub(self.began.unwrap_or(own));
        heartbeat.judge(heard, quiet, up, now)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
