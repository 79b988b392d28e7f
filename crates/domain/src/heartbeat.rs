//! Heartbeats: jobs elsewhere say that they ran, and somebody is told when one does not.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, alertmanager};
use crate::duration::{self, bytes_text, utc_text};
use crate::{Person, ServiceName, Severity};

mod ears;

pub use ears::Ears;

/// Of so many beats the sizes are kept.
const SIZES: usize = 10;

/// From so many on, something is usual.
const USUAL_FROM: usize = 3;

/// After its start the bot waits at most so long for those who tried to reach it before.
const LATECOMERS: Duration = Duration::from_secs(60);

/// What is expected: `[[heartbeat]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// It is sent to `/heartbeats/NAME`.
    pub name: String,
    /// It comes so often.
    pub every: Duration,
    /// It may be so late.
    pub grace: Duration,
    /// The service that it is about.
    pub service: Option<ServiceName>,
    /// How bad it is when it does not come.
    pub severity: Severity,
    /// The alert of Alertmanager that always fires and counts as its beat.
    pub watchdog: Option<String>,
}

/// A job said that it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// When it was heard.
    pub at: Timestamp,
    /// What it made, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// Why it failed, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// It is not expected for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until then; `None`: until somebody resumes it.
    pub until: Option<Timestamp>,
    /// Who said so.
    pub by: Person,
    /// Why, if it was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trouble {
    /// It did not come in time.
    Missing,
    /// It came, and said that it failed.
    Failed,
    /// It came, and what it made is empty, or at most half of what is usual.
    Small,
}

impl Trouble {
    const ALL: [Self; 3] = [Self::Missing, Self::Failed, Self::Small];

    /// The name of its alert.
    fn alert(self) -> &'static str {
        match self {
            Self::Missing => "HeartbeatMissing",
            Self::Failed => "HeartbeatFailed",
            Self::Small => "HeartbeatSmall",
        }
    }
}

/// What is known of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The bot listens since then.
    pub since: Timestamp,
    /// The next is awaited from then on: since the last one, or since somebody wants it again.
    awaited: Timestamp,
    /// The newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Beat>,
    /// The usual size before the newest, bytes; `None`: too few came with a size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual: Option<u64>,
    /// The newest sizes, the oldest first, bytes.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    sizes: VecDeque<u64>,
    /// It is not expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// By how much the clock was set forward since it was last heard of (back: less than zero), seconds.
    #[serde(default)]
    clock_set_s: i64,
    /// Which alerts fire, and since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fires: BTreeMap<Trouble, Timestamp>,
}

impl Heard {
    /// Nothing was heard yet.
    pub fn since(now: Timestamp) -> Self {
        Self {
            since: now,
            awaited: now,
            last: None,
            usual: None,
            sizes: VecDeque::new(),
            paused: None,
            clock_set_s: 0,
            fires: BTreeMap::new(),
        }
    }

    /// It came.
    pub fn beat(&mut self, beat: Beat) {
        self.usual = self.usual_size();
        if let Some(size) = beat.size.filter(|size| *size > 0) {
            self.sizes.push_back(size);
            while self.sizes.len() > SIZES {
                self.sizes.pop_front();
            }
        }
        (self.awaited, self.clock_set_s) = (beat.at, 0);
        self.last = Some(beat);
    }

    /// The median of the sizes.
    fn usual_size(&self) -> Option<u64> {
        let mut sizes: Vec<u64> = self.sizes.iter().copied().collect();
        sizes.sort_unstable();
        (sizes.len() >= USUAL_FROM).then(|| sizes[sizes.len() / 2])
    }

    /// It is expected from now on; whether it was paused.
    pub fn resume(&mut self, now: Timestamp) -> bool {
        let was = self.paused.take().is_some();
        if was {
            (self.awaited, self.clock_set_s) = (now, 0);
        }
        was
    }

    /// What a look came to, noted in what is known by now: somebody may have heard of it meanwhile.
    pub fn noted(mut self, looked_at: &Self) -> Self {
        self.fires.clone_from(&looked_at.fires);
        if self.awaited == looked_at.awaited {
            self.clock_set_s = looked_at.clock_set_s;
        }
        self
    }

    /// It is not expected now.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        let until = self.paused.as_ref().map(|pause| pause.until);
        until.is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// From when on the next is awaited, by today's clock.
    pub fn awaited_from(&self) -> Timestamp {
        let set = SignedDuration::from_secs(self.clock_set_s);
        let from = self.awaited.saturating_add(set).unwrap_or(self.awaited);
        let until = self.paused.as_ref().and_then(|pause| pause.until);
        until.map_or(from, |until| from.max(until))
    }

    /// The clock was set by so much while nothing was heard.
    fn clock_was_set(&mut self, by: SignedDuration) {
        self.clock_set_s += by.as_secs();
    }

    /// Its newest words, such as `at 2026-11-30 02:04:11 UTC (1.2 GiB in 3m 10s)`.
    pub fn last_text(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        let facts = match (last.size, last.took) {
            (Some(size), Some(took)) => {
                format!(" ({} in {})", bytes_text(size), duration::text(took))
            }
            (Some(size), None) => format!(" ({})", bytes_text(size)),
            (None, Some(took)) => format!(" (took {})", duration::text(took)),
            (None, None) => String::new(),
        };
        Some(format!("at {}{facts}", utc_text(last.at)))
    }
}

impl Heartbeat {
    /// So long after the last one it is missing.
    pub fn patience(&self) -> Duration {
        self.every + self.grace
    }

    /// What is wrong, with what is said of it. `quiet`: how long it has been awaited; `up`: how long
    /// the bot has listened without a break.
    fn troubles(
        &self,
        heard: &Heard,
        quiet: Duration,
        up: Duration,
        now: Timestamp,
    ) -> BTreeMap<Trouble, String> {
        let mut troubles = BTreeMap::new();
        if heard.is_paused(now) {
            return troubles;
        }
        let name = &self.name;
        let known = heard.fires.contains_key(&Trouble::Missing);
        let wait = self.grace.min(LATECOMERS);
        // Whoever found nobody during a restart comes again.
        let is_heard = known || up >= wait || quiet > self.patience() + wait;
        let is_late = quiet > self.patience() && is_heard;
        if is_late {
            let expected = format!(
                "it is expected every {}, {} late at most",
                duration::text(self.every),
                duration::text(self.grace)
            );
            let said = match heard.last_text() {
                Some(last) => format!(
                    "{name} was last heard of {last}, {} ago: {expected}",
                    duration::text(quiet)
                ),
                None => format!(
                    "{name} was not heard of since {}, when the bot began to listen: {expected}",
                    utc_text(heard.since)
                ),
            };
            troubles.insert(Trouble::Missing, said);
        }
        let Some(last) = &heard.last else {
            return troubles;
        };
        let at = utc_text(last.at);
        if let Some(why) = &last.failed {
            let said = format!("{name} says at {at} that it failed: {why}");
            troubles.insert(Trouble::Failed, said);
        }
        match (last.size, heard.usual) {
            (Some(0), _) => {
                let said = format!("{name} came at {at} with nothing: 0 B");
                troubles.insert(Trouble::Small, said);
            }
            (Some(size), Some(usual)) if size.saturating_mul(2) <= usual => {
                let (size, usual) = (bytes_text(size), bytes_text(usual));
                let said = format!("{name} came at {at} with {size}, usual are {usual}");
                troubles.insert(Trouble::Small, said);
            }
            _ => {}
        }
        troubles
    }

    /// The reports of alerts that follow: what began, and what is over. They are noted in `heard`.
    fn judge(
        &self,
        heard: &mut Heard,
        quiet: Duration,
        up: Duration,
        now: Timestamp,
    ) -> Vec<Alert> {
        let troubles = self.troubles(heard, quiet, up, now);
        let mut reports = Vec::new();
        for trouble in Trouble::ALL {
            match (troubles.get(&trouble), heard.fires.get(&trouble).copied()) {
                (Some(said), None) => {
                    heard.fires.insert(trouble, now);
                    reports.push(self.report(trouble, now, None, said));
                }
                (None, Some(since)) => {
                    heard.fires.remove(&trouble);
                    let said = match heard.last_text() {
                        _ if heard.is_paused(now) => format!("{} is paused", self.name),
                        Some(last) => format!("{} was heard of {last}", self.name),
                        None => format!("{} is awaited anew", self.name),
                    };
                    reports.push(self.report(trouble, since, Some(now), &said));
                }
                _ => {}
            }
        }
        reports
    }

    /// The reports for one that is expected no longer.
    pub fn forgotten(name: &str, heard: &Heard, now: Timestamp) -> Vec<Alert> {
        let said = format!("{name} is no longer configured");
        let fires = heard.fires.iter();
        fires
            .map(|(trouble, since)| report(name, *trouble, *since, Some(now), &said))
            .collect()
    }

    fn report(
        &self,
        trouble: Trouble,
        since: Timestamp,
        ends_at: Option<Timestamp>,
        said: &str,
    ) -> Alert {
        let mut alert = report(&self.name, trouble, since, ends_at, said);
        let severity = ("severity".to_owned(), self.severity.to_string());
        let service = self.service.as_ref();
        let service = service.map(|service| ("service".to_owned(), service.to_string()));
        // Whatever is configured otherwise later: by its fingerprint it is the same alert.
        alert.labels.extend([severity].into_iter().chain(service));
        alert
    }
}

/// What is reported of one of this name, however it is configured.
fn report(
    name: &str,
    trouble: Trouble,
    since: Timestamp,
    ends_at: Option<Timestamp>,
    said: &str,
) -> Alert {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let names = [("alertname", trouble.alert()), ("heartbeat", name)];
    let labels: BTreeMap<String, String> = names.into_iter().map(owned).collect();
    Alert {
        fingerprint: alertmanager::fingerprint(&labels),
        firing: ends_at.is_none(),
        starts_at: since,
        ends_at,
        labels,
        annotations: [owned(("summary", said))].into(),
        source: Alert::HEARTBEAT.to_owned(),
        other: serde_json::Map::new(),
    }
}

#[cfg(test)]
mod tests;
