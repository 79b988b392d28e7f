//! What the model knows of one alert.

use super::super::history::stands_on;
use super::{ACK_WITHIN, ASKED_FROM, CLEARLY, FLAPS, GRACE, QUIET, Second};

/// What was not repeated for so long may be over, of a sender that repeats more often than a third of it …
const UNHEARD: Second = 1_800;
/// … and of one that was not seen to repeat anything yet.
const HALF_A_DAY: Second = 12 * 3_600;
/// Alertmanager's list is looked at this often, and an alert is looked for in vain a few times.
pub const LOOKS: Second = 300;

#[derive(Default)]
pub struct Alert {
    pub number: usize,
    /// What its senders surely say, where they say something sure.
    pub firing: bool,
    pub sure: bool,
    start: Second,
    pub severity: u8,
    pub kind: usize,
    /// When it was last reported to be as it surely is; and to fire.
    same_at: Second,
    pub heard_at: Second,
    /// The last report said that it fires.
    said_to_fire: bool,
    /// The longest time between two reports of one firing; and of what may have been one.
    repeat: Second,
    maybe_repeat: Second,
    pub over_since: Option<Second>,
    /// The start in a report that it fires, of which it is open whether it was sent before the end.
    doubt: Option<Second>,
    pub fires_since: Option<Second>,
    changes: Vec<Second>,
    pub silenced_until: Second,
    /// Somebody said that it is over, though it fires.
    pub dismissed_at: Option<Second>,
    pub conversation: Option<String>,
    /// Since then it is to be told by a mention that it fires, or that it got worse.
    pub news: Option<Second>,
    pub worse: bool,
    /// So many of its group were left out of the last report of it.
    pub left_out: u64,
    /// Until then it may be taken for a consequence of what it stands on.
    pub excused_until: Second,
    /// It was listed, and since when it is listed otherwise than it was reported.
    was_listed: bool,
    listed_otherwise: Option<Second>,
}

impl Alert {
    pub fn report(&mut self, at: Second, firing: bool, start: Second, severity: u8) {
        let first = self.same_at == 0;
        let contrary = !first && firing != self.firing;
        let later = if firing {
            start > self.start
        } else {
            start >= self.start
        };
        // Two such reports are no accident.
        let again = firing && !self.firing && self.said_to_fire && !self.sure;
        let clear = first || !contrary || later || again || at - self.same_at >= CLEARLY;
        // What comes in the very second of the end is a second sender's, which was late.
        let is_late = self.over_since.is_none_or(|since| at == since);
        self.doubt = (firing && !clear && !is_late).then_some(start);
        if contrary {
            self.changes.push(at);
        }
        let rises = firing && self.severity > severity && !first;
        if firing {
            if self.said_to_fire {
                let gap = at - self.heard_at;
                self.maybe_repeat = self.maybe_repeat.max(gap);
                if !contrary && self.sure {
                    self.repeat = self.repeat.max(gap);
                }
            }
            self.heard_at = at;
            let refused = self
                .dismissed_at
                .is_some_and(|then| (!contrary || !self.sure) && at < then + QUIET);
            self.dismissed_at = self.dismissed_at.filter(|_| refused);
            self.severity = severity;
        }
        self.said_to_fire = firing;
        if clear {
            if rises || (firing && (first || contrary)) {
                (self.news, self.worse) = (Some(at), rises);
            }
            self.is_now(at, firing);
            self.start = if contrary {
                start
            } else {
                self.start.max(start)
            };
            self.same_at = at;
        }
        self.sure = clear;
        self.listed_otherwise = None;
    }

    /// A report that may have been a late one was followed by no further end: it counts, else an outage
    /// that runs would be over. So it is news, it is one more change of an alert that may flap, and
    /// whoever has taken up what is milder has not taken this up.
    pub fn settle(&mut self, at: Second) -> bool {
        let is_settled = |since: Second| at - since >= CLEARLY;
        let Some(start) = self
            .doubt
            .filter(|_| self.over_since.is_some_and(is_settled))
        else {
            return false;
        };
        (self.news, self.worse, self.sure) = (Some(at), false, true);
        (self.start, self.same_at, self.doubt) = (start, at, None);
        self.is_now(at, true);
        true
    }

    fn is_now(&mut self, at: Second, firing: bool) {
        self.over_since = (!firing).then(|| self.over_since.unwrap_or(at));
        self.fires_since = firing.then(|| self.fires_since.unwrap_or(at));
        self.firing = firing;
    }

    /// Alertmanager lists it, or does not, when the bot looks. What differs from what was reported counts
    /// once it has lasted; until then it is open what is meant.
    pub fn listed(&mut self, at: Second, firing: bool) {
        if self.same_at == 0 || (!firing && !self.was_listed) {
            return;
        }
        self.was_listed |= firing;
        if firing == self.firing {
            self.listed_otherwise = None;
            if firing {
                self.heard_at = self.heard_at.max(at);
                self.sure = true;
            }
            return;
        }
        let since = *self.listed_otherwise.get_or_insert(at);
        self.sure = at - since > LOOKS;
        if self.sure {
            self.changes.push(at);
            self.is_now(at, firing);
            self.was_listed = firing;
            self.same_at = at;
            self.listed_otherwise = None;
            if firing {
                self.heard_at = at;
                (self.news, self.worse) = (Some(at), false);
            }
        }
    }

    /// It flaps, or did a moment ago.
    pub fn flaps(&self, at: Second) -> bool {
        let before = |last: Second| {
            let within = |then: &&Second| (0..1_800).contains(&(last - **then));
            self.changes.iter().filter(within).count()
        };
        let mut recent = self.changes.iter().filter(|then| at - **then < 1_800);
        recent.any(|last| before(*last) >= FLAPS)
    }

    /// What was last heard so long ago may be over.
    fn unheard_after(&self) -> Second {
        match (self.repeat, self.maybe_repeat) {
            (0..60, 0..60) => HALF_A_DAY,
            (0..60, _) => UNHEARD,
            (repeat, _) => UNHEARD.max(3 * repeat),
        }
    }

    /// Its sender surely says that it fires.
    pub fn fires(&self, at: Second) -> bool {
        let is_heard_of = at - self.heard_at < self.unheard_after();
        self.firing && self.sure && is_heard_of && !self.flaps(at)
    }

    /// It surely needs nobody.
    pub fn is_nothing(&self, at: Second) -> bool {
        let over = self.over_since.is_some_and(|since| at - since > GRACE);
        (over && self.sure && !self.flaps(at)) || self.silenced_until > at
    }

    /// It fires so that somebody has to be asked about it, or about its cause.
    pub fn is_loud(&self, at: Second) -> bool {
        self.fires(at)
            && self.severity <= ASKED_FROM
            && self.silenced_until <= at
            && self.dismissed_at.is_none()
    }

    /// Somebody has to be asked about it.
    pub fn is_asked_about(&self, at: Second) -> bool {
        self.is_loud(at) && self.excused_until <= at
    }

    /// This other one may be its cause.
    pub fn may_be_caused_by(&self, other: &Self, at: Second) -> bool {
        other.severity <= self.severity
            && stands_on(self.number, other.number)
            && !other.is_nothing(at)
    }

    /// While its cause may fail it may be passed over, and then until people's turn comes.
    pub fn excuse(&mut self, at: Second) {
        self.excused_until = at + ACK_WITHIN + GRACE;
    }

    /// This other one surely is its cause, and asks people for a while.
    pub fn is_caused_by(&self, other: &Self, at: Second) -> bool {
        let lasts = |since: Option<Second>| since.is_some_and(|since| at - since > GRACE);
        other.severity <= self.severity
            && stands_on(self.number, other.number)
            && other.is_asked_about(at)
            && lasts(other.fires_since)
    }
}
