//! What is known of one alert over time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Alert;
use crate::duration;

/// When an alert counts as flapping, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// More changes between firing and resolved than this …
    pub changes: usize,
    /// … within this time: it flaps, and counts as firing whatever is reported …
    pub within: SignedDuration,
    /// … until it has not changed for so long.
    pub calm: SignedDuration,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            changes: 6,
            within: SignedDuration::from_mins(30),
            calm: SignedDuration::from_mins(10),
        }
    }
}

/// It changes so often that its changes say little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// The first of the changes.
    pub since: Timestamp,
    /// How many there were since then.
    pub changes: u64,
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Known already, or about a time that is over.
    Nothing,
    /// It fires, and did not before.
    Fired,
    /// It fired, and does not any more.
    Resolved,
    /// It changed, but flaps: it counts as firing as before.
    Damped {
        /// By this change it began to.
        begins: bool,
    },
    /// A report that it fires came so soon after its end that it may be a late one. Unless the end is
    /// reported again, it fires then ([`Tracked::settle`]).
    Doubtful(Timestamp),
}

/// Why people need not be told of an alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Muted {
    /// Somebody silenced it in Alertmanager; the ids of the silences.
    Silenced(Vec<String>),
    /// Another alert inhibits it in Alertmanager; the fingerprints of those.
    Inhibited(Vec<String>),
    /// Its sender has not repeated it for so long that nobody knows.
    Unheard,
}

impl Muted {
    /// The word for it, such as the store keeps.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Silenced(_) => "silenced",
            Self::Inhibited(_) => "inhibited",
            Self::Unheard => "unheard",
        }
    }
}

/// A report that comes sooner than this after an end is a late one of a second sender, whatever reason
/// it gives.
const LATE: SignedDuration = SignedDuration::from_secs(1);
/// One that comes this much later was sent after the end, and one in between if it gives a reason.
const CLEARLY: SignedDuration = SignedDuration::from_secs(30);

/// One alert as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// The newest report.
    pub alert: Alert,
    /// When it last began to fire, or to be resolved, as this bot saw it.
    pub changed_at: Timestamp,
    /// How often it began to fire.
    pub firings: u64,
    /// Since when it fires this time; see [`Tracked::since`].
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// When it was last reported.
    #[serde(default)]
    pub heard_at: Option<Timestamp>,
    /// The longest time between two reports that it fires, seconds; 0: it was not repeated yet.
    #[serde(default)]
    pub repeats_after: u64,
    /// A report that it fires, of which it is not known yet whether it is a late one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Box<Alert>>,
    /// Why nobody has to be told though it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Muted>,
    /// The Alertmanagers that the bot asks listed it while it fired.
    #[serde(default)]
    pub was_listed: bool,
    /// Since when they list it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Nobody is to be told of it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<Timestamp>,
    /// When it changed, the newest last: as many as are needed to see that it flaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Timestamp>,
    /// It flaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<Flapping>,
}

/// When a report came, and what its sender says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When it came.
    pub at: Timestamp,
    /// The sender says why it reports now, so that a report that comes after an end is about now.
    pub has_reason: bool,
    /// It says nothing new: its sender repeats what it has said.
    pub repeats: bool,
}

impl Tracked {
    /// What is known after the first report.
    pub fn first(alert: Alert, at: Timestamp) -> (Self, Transition) {
        let news = if alert.firing {
            Transition::Fired
        } else {
            // It was over before this bot heard of it: nobody has to be told.
            Transition::Nothing
        };
        let tracked = Self {
            firings: u64::from(alert.firing),
            since: alert.firing.then(|| alert.starts_at.min(at)),
            alert,
            changed_at: at,
            heard_at: Some(at),
            repeats_after: 0,
            doubt: None,
            muted: None,
            was_listed: false,
            missing_since: None,
            silenced_until: None,
            changes: vec![at],
            flapping: None,
        };
        (tracked, news)
    }

    /// Takes a further report up. Reports are judged by when they come *and* by what they say: a
    /// sender that missed a beat reports the end of an alert and then the same firing again, with
    /// the same start; a second sender's report may come a moment late.
    pub fn apply(&mut self, mut report: Alert, came: Arrival, damping: Damping) -> Transition {
        // Later than this it is an end by a clock that was set back.
        let has_just_changed = came.at.duration_since(self.changed_at) < CLEARLY;
        let is_end_of_former = self.alert.firing
            && !report.firing
            && has_just_changed
            && report.starts_at < self.alert.starts_at
            && report
                .ends_at
                .is_some_and(|end| end <= self.alert.starts_at);
        if is_end_of_former {
            return Transition::Nothing;
        }
        let heard_at = self.heard_at.replace(came.at);
        match (self.alert.firing, report.firing) {
            (true, true) => {
                if came.repeats {
                    let gap = heard_at.map_or(0, |before| came.at.duration_since(before).as_secs());
                    self.repeats_after = self.repeats_after.max(gap.unsigned_abs());
                }
                // The later start tells an end of an earlier time apart.
                report.starts_at = report.starts_at.max(self.alert.starts_at);
                self.alert = report;
                self.missing_since = None;
                match self.muted.take() {
                    Some(Muted::Unheard) => Transition::Fired,
                    muted => {
                        self.muted = muted;
                        Transition::Nothing
                    }
                }
            }
            (false, false) => {
                self.alert = report;
                self.doubt = None;
                Transition::Nothing
            }
            (true, false) => {
                self.alert = report;
                self.change(came.at, damping)
            }
            (false, true) => self.fire_again(report, came, damping),
        }
    }

    /// It was over and is reported to fire.
    fn fire_again(&mut self, report: Alert, came: Arrival, damping: Damping) -> Transition {
        let over = &self.alert;
        let is_later = report.starts_at > over.starts_at
            && over.ends_at.is_none_or(|end| report.starts_at >= end);
        let gap = came.at.duration_since(self.changed_at);
        let is_late = gap < LATE && report.is_from_alertmanager();
        let is_again = self.doubt.is_some();
        if is_later {
            self.since = Some(report.starts_at.min(came.at));
        } else if is_again || gap >= CLEARLY || (came.has_reason && !is_late) {
            self.since = Some(came.at);
        } else {
            self.doubt = Some(Box::new(report));
            return if is_late {
                Transition::Nothing
            } else {
                Transition::Doubtful(self.settles_at())
            };
        }
        self.alert = report;
        self.change(came.at, damping)
    }

    fn settles_at(&self) -> Timestamp {
        self.changed_at
            .saturating_add(CLEARLY)
            .unwrap_or(Timestamp::MAX)
    }

    /// A doubtful report was followed by no further end: it fires.
    pub fn settle(&mut self, damping: Damping, now: Timestamp) -> Transition {
        if self.alert.firing || self.settles_at() > now {
            return Transition::Nothing;
        }
        let Some(report) = self.doubt.take() else {
            return Transition::Nothing;
        };
        self.alert = *report;
        self.since = self.heard_at;
        self.change(now, damping)
    }

    /// Its sender does not know it any more: it is over, though nobody reported that.
    pub fn end_unheard(&mut self, damping: Damping, now: Timestamp) -> Transition {
        if !self.alert.firing {
            return Transition::Nothing;
        }
        self.alert.firing = false;
        self.alert.ends_at = Some(now);
        self.change(now, damping)
    }

    /// It is held to be over, and its sender lists it as firing, as of `(start, update)`: it fires, if
    /// that was said clearly after its end.
    pub fn fire_listed(
        &mut self,
        (starts_at, updated_at): (Timestamp, Timestamp),
        damping: Damping,
        now: Timestamp,
    ) -> Transition {
        let is_late =
            now.duration_since(self.changed_at) < CLEARLY || updated_at <= self.changed_at;
        if self.alert.firing || is_late {
            return Transition::Nothing;
        }
        self.alert.firing = true;
        self.alert.ends_at = None;
        self.alert.starts_at = starts_at.max(self.alert.starts_at);
        self.heard_at = Some(updated_at.min(now));
        self.since = Some(starts_at.max(self.changed_at).min(now));
        self.change(now, damping)
    }

    /// It fires or is over since now.
    fn change(&mut self, at: Timestamp, damping: Damping) -> Transition {
        (self.doubt, self.muted) = (None, None);
        (self.was_listed, self.missing_since) = (false, None);
        self.changed_at = at;
        self.firings += u64::from(self.alert.firing);
        if let Some(flapping) = &mut self.flapping {
            flapping.changes += 1;
            return Transition::Damped { begins: false };
        }
        let since = at.checked_sub(damping.within).unwrap_or(Timestamp::MIN);
        self.changes.retain(|change| *change >= since);
        self.changes.push(at);
        if self.changes.len() > damping.changes {
            self.flapping = Some(Flapping {
                since: self.changes[0],
                changes: self.changes.len() as u64,
            });
            self.changes.clear();
        }
        match (self.alert.firing, self.flapping) {
            (true, _) => Transition::Fired,
            (false, None) => Transition::Resolved,
            (false, Some(_)) => Transition::Damped { begins: true },
        }
    }

    /// It is held to fire, and no Alertmanager that the bot asks has ever listed it.
    pub fn is_unlisted(&self) -> bool {
        self.alert.firing && !self.was_listed && self.missing_since.is_some()
    }

    /// Since when it fires this time: what its sender says, unless that is about an earlier time or
    /// one to come; then when it was heard.
    pub fn since(&self) -> Timestamp {
        self.since
            .unwrap_or_else(|| self.alert.starts_at.min(self.changed_at))
    }

    /// When it counts as not heard of: three times as long as its sender was seen to repeat it takes,
    /// at least half an hour; of one that was not seen to repeat anything, twelve hours. `None`: it is the
    /// bot's own, which sees for itself whether it fires.
    pub fn unheard_at(&self, given: Option<Duration>) -> Option<Timestamp> {
        const LEAST: u64 = 1_800;
        // Alertmanager repeats after four hours where nothing else is said (`repeat_interval`), and
        // Grafana as well. Others may never repeat: then nobody knows whether it still fires.
        const USUAL: u64 = 4 * 3_600;
        if self.alert.is_the_bots_own() {
            return None;
        }
        let repeats_after = match self.repeats_after {
            0..60 if self.alert.is_from_alertmanager() => USUAL,
            0 => USUAL,
            seen => seen,
        };
        let seen = Duration::from_secs((3 * repeats_after).max(LEAST));
        let heard_at = self.heard_at.unwrap_or(self.changed_at);
        heard_at.checked_add(given.unwrap_or(seen)).ok()
    }

    /// It is to be treated as firing: it does, or it flaps.
    pub fn is_active(&self) -> bool {
        self.alert.firing || self.flapping.is_some()
    }

    /// When it no longer flaps, unless it changes again; `None`: it does not flap.
    pub fn calm_at(&self, damping: Damping) -> Option<Timestamp> {
        self.flapping?;
        Some(
            self.changed_at
                .checked_add(damping.calm)
                .unwrap_or(Timestamp::MAX),
        )
    }

    /// Ends the flapping, if it has not changed for long enough. Then it is as was last reported.
    pub fn calm_down(&mut self, damping: Damping, now: Timestamp) -> bool {
        let calm = self.calm_at(damping).is_some_and(|at| at <= now);
        if calm {
            self.flapping = None;
        }
        calm
    }

    /// `flapping, 9 changes in 4m`, if it does.
    pub fn flaps(&self) -> Option<String> {
        let Flapping { since, changes } = self.flapping?;
        let span = duration::text(duration::between(since, self.changed_at));
        Some(format!("flapping, {changes} changes in {span}"))
    }

    /// Until when nobody is to be told though it fires; the end of time while it is muted.
    pub fn quiet_until(&self) -> Option<Timestamp> {
        self.muted
            .as_ref()
            .map_or(self.silenced_until, |_| Some(Timestamp::MAX))
    }

    /// It counts as firing and people are to be told.
    pub fn is_audible(&self, now: Timestamp) -> bool {
        self.is_active() && self.quiet_until().is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests;
