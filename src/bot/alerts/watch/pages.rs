//! Metrics pages that can't be read: of their services no errors are counted, and that is told, once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::WatchSettings;
use crate::domain::duration::{self, between};
use crate::domain::timeline::cut;
use crate::domain::{Button, Destination, Line, Message, Outgoing, Tone};
use crate::probe::ProbeError;

/// A page that only can't be reached has so many times as long as one that can't be read: whoever
/// starts anew is away for a while.
const AWAY: u32 = 10;

/// A page that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadPage {
    /// Why not, and what it holds.
    pub why: String,
    /// What would help.
    mend: String,
    /// Since when.
    since: Timestamp,
    /// It was told in chat.
    told: bool,
}

/// By service.
pub(super) type UnreadPages = BTreeMap<String, UnreadPage>;

impl UnreadPage {
    /// In one line: `errors of api are not counted since 03:04 UTC: …`.
    pub(crate) fn line(&self, service: &str) -> Line {
        Line::new()
            .text("⚠️ errors of ")
            .code(service)
            .text(format!(
                " are not counted since {}: {}",
                hour(self.since),
                cut(&self.why, 300)
            ))
    }

    /// What is the matter and what would help.
    pub(crate) fn detail(&self) -> String {
        format!("{}\n{}", self.why, self.mend)
    }

    fn message(&self, service: &str) -> Message {
        let title = Line::new()
            .text("Errors of ")
            .code(service)
            .text(" are not counted: its metrics page can't be read");
        Message::new(Tone::Warning, title)
            .text(format!(
                "Since {}: {}.",
                hour(self.since),
                cut(&self.why, 500)
            ))
            .code(cut(&self.mend, 600))
            .footer("Until then no HighErrorRate is told of it")
            .buttons(vec![Button::new("Status", format!("status {service}"))])
    }

    fn over(&self, service: &str, now: Timestamp) -> Message {
        let title = Line::new()
            .text("Errors of ")
            .code(service)
            .text(" are counted again: its metrics page is read");
        let lasted = duration::text(between(self.since, now));
        let text = format!("It was not from {} on, for {lasted}", hour(self.since));
        Message::new(Tone::Good, title).text(text)
    }

    fn outgoing(&self, service: &str, message: Message) -> Outgoing {
        let key = format!("metrics-page:{service}:{}", self.since.as_microsecond());
        Outgoing::announcement(key, Destination::Home, message)
    }
}

fn hour(at: Timestamp) -> String {
    at.strftime("%H:%M UTC").to_string()
}

/// What is known after a look at these pages, and what is told of them.
pub(super) fn look_at(
    known: UnreadPages,
    seen: &BTreeMap<String, Option<ProbeError>>,
    watch: WatchSettings,
    now: Timestamp,
) -> (UnreadPages, Vec<Outgoing>) {
    let (mut next, mut told) = (UnreadPages::new(), Vec::new());
    for (service, error) in seen {
        let before = known.get(service);
        let Some(error) = error else {
            if let Some(before) = before.filter(|before| before.told) {
                told.push(before.outgoing(service, before.over(service, now)));
            }
            continue;
        };
        let mut page = UnreadPage {
            why: error.what.clone(),
            mend: error.hint.clone(),
            since: before.map_or(now, |before| before.since),
            told: before.is_some_and(|before| before.told),
        };
        let times = if error.kind.is_down() { AWAY } else { 1 };
        if !page.told && before.is_some() && between(page.since, now) >= watch.lasting * times {
            page.told = true;
            told.push(page.outgoing(service, page.message(service)));
        }
        next.insert(service.clone(), page);
    }
    (next, told)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Content;
    use crate::probe::ProbeErrorKind as Kind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// What is told when a page is asked for at these times, with these answers.
    fn told(answers: &[(i64, Option<Kind>)]) -> Vec<(i64, String, String)> {
        let watch = WatchSettings {
            lasting: Duration::from_secs(60),
            ..WatchSettings::default()
        };
        let (mut known, mut all) = (UnreadPages::new(), Vec::new());
        for (second, kind) in answers {
            let error = kind.map(|kind| ProbeError::new(kind, "it holds 3 metrics", "name it"));
            let seen = [("api".to_owned(), error)].into();
            let (next, told) = look_at(known, &seen, watch, at(*second));
            // As the timer keeps it.
            let kept = serde_json::to_string(&next).unwrap();
            known = serde_json::from_str(&kept).unwrap();
            all.extend(told.into_iter().map(|one| {
                let Content::Message(message) = one.content else {
                    panic!("no message");
                };
                (*second, one.key, message.title.plain())
            }));
        }
        all
    }

    #[test]
    fn a_page_that_can_not_be_read_is_told_once_and_its_message_says_when_it_is_read_again() {
        let unread = Some(Kind::NotFound);
        let seen = [
            (0, unread),
            (30, unread),
            (60, unread),
            (75, unread),
            (90, None),
            (100, unread),
        ];
        let all = told(&seen);
        let titles: Vec<_> = all.iter().map(|one| (one.0, one.2.as_str())).collect();
        assert_eq!(
            titles,
            [
                (
                    60,
                    "Errors of api are not counted: its metrics page can't be read"
                ),
                (
                    90,
                    "Errors of api are counted again: its metrics page is read"
                ),
            ]
        );
        assert_eq!(all[0].1, all[1].1, "the same message");
    }

    #[test]
    fn a_service_that_starts_anew_is_no_page_that_can_not_be_read() {
        let away = Some(Kind::Connect);
        assert_eq!(told(&[(0, away), (60, away), (120, away), (130, None)]), []);
        assert_eq!(told(&[(0, away), (600, away), (700, away)]).len(), 1);
    }
}
