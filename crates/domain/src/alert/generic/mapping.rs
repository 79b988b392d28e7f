//! What is known of a sender: where things are in its JSON.

use std::collections::BTreeMap;

use super::place::Places;
use crate::timeline::cut;

/// Stands for "all" among labels and annotations, and for "anything else" among severities and among
/// the words that are ignored.
pub(super) const ALL: &str = "*";

/// What a sender's bodies have in them beside reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Nothing: they are JSON.
    #[default]
    Json,
    /// They come in the envelope of Amazon SNS, whose `Message` is an alarm, an event or a text.
    Sns,
    /// Sentry's integration platform also tells of comments, installations and more.
    Sentry,
    /// Uptime Kuma's notices of certificates, and its tests, have neither heartbeat nor monitor.
    UptimeKuma,
    /// PagerDuty's Events API v2: the token is the `routing_key`, answers are as PagerDuty's.
    PagerDuty,
    /// Opsgenie's Alert API: the token is the `GenieKey`, answers are as Opsgenie's.
    Opsgenie,
}

/// Where things are in the JSON of a sender. Places are looked for in each alert, then in the whole
/// body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// What its bodies have in them beside reports.
    pub shape: Shape,
    /// Headers of which one may hold the HMAC-SHA256 of the body, in hexadecimal, made with the
    /// token; in lower case.
    pub signatures: Vec<String>,
    /// Where the list of alerts is (JSON Pointer); without it the body is one alert.
    pub alerts: Option<String>,
    /// What names the alert for ever; without it, its labels do.
    pub fingerprint: Places,
    /// The label `alertname`; without it the name of the source.
    pub name: Places,
    /// The annotation `summary`.
    pub summary: Places,
    /// The word that says how it stands; without it all that comes fires, and is an event: it has no
    /// end.
    pub status: Places,
    /// Words of `status` that mean it fires, in lower case.
    pub firing: Vec<String>,
    /// Words of `status` that mean it is over, in lower case.
    pub resolved: Vec<String>,
    /// Words of `status` of reports that say neither, in lower case; `*`: any other.
    pub ignored: Vec<String>,
    /// When it began, or when this was reported; without it the time it came in.
    pub starts_at: Places,
    /// The word for how bad it is.
    pub severity: Places,
    /// What such words mean, from lower case to what the label `severity` says; `*`: any other, or
    /// none.
    pub severities: BTreeMap<String, String>,
    /// Labels by name; `*`: all scalars of an object, or all pairs of a list.
    pub labels: BTreeMap<String, Places>,
    /// Annotations, in the same way.
    pub annotations: BTreeMap<String, Places>,
    /// An address for people.
    pub link: Places,
}

impl Mapping {
    /// What a word of the status means; `None`: it is to be ignored.
    pub(super) fn firing(&self, word: Option<String>) -> Result<Option<bool>, String> {
        if self.status.is_empty() {
            return Ok(Some(true));
        }
        let Some(word) = word else {
            return Err("there is no such thing in the body".to_owned());
        };
        let word = word.trim().to_lowercase();
        let among = |words: &[String]| words.contains(&word);
        if among(&self.firing) {
            Ok(Some(true))
        } else if among(&self.resolved) {
            Ok(Some(false))
        } else if among(&self.ignored) || self.ignored.iter().any(|word| word == ALL) {
            Ok(None)
        } else {
            Err(format!(
                "`{}` is neither among firing ({}), resolved ({}) nor ignored ({})",
                cut(&word, 60),
                self.firing.join(", "),
                self.resolved.join(", "),
                self.ignored.join(", ")
            ))
        }
    }

    /// What a word for how bad it is means.
    pub(super) fn severity(&self, word: Option<String>) -> Option<String> {
        let word = word.map(|word| word.trim().to_lowercase());
        let meant = word.as_ref().and_then(|word| self.severities.get(word));
        meant.or_else(|| self.severities.get(ALL)).cloned().or(word)
    }
}
