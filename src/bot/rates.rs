//! How many of a service's answers are errors: from its metrics page, else from its access log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::ServiceName;
use crate::domain::service::{LogLine, MetricsPage};
use crate::probe::ProbeError;
use crate::probe::page::{Counted, Pages};
use crate::telemetry::metrics::METRICS_PAGES_FAILED;

/// The time that counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Below this many requests a share of errors says nothing.
pub(super) const FEW: f64 = 20.0;
/// A log in which so many reads found lines, but no access …
const VAIN_READS: u32 = 4;
/// … is read this rarely.
const RARELY: Duration = Duration::from_secs(300);

/// What this process has counted of each service. It begins anew with the process: a minute later
/// the same is known again.
#[derive(Default)]
pub(super) struct Rates {
    pages: Pages,
    all: Mutex<BTreeMap<ServiceName, Rate>>,
}

/// What is counted of one service.
#[derive(Debug, Default)]
struct Rate {
    /// The counters when the page was last read.
    before: Option<Counted>,
    /// Requests, and errors among them, when each was seen.
    counted: VecDeque<(Timestamp, f64, f64)>,
    /// The newest line that was read.
    newest: Option<Timestamp>,
    /// Reads in a row that found lines, but no access.
    vain_reads: u32,
    /// The log was last read then.
    read_at: Option<Timestamp>,
    /// The page had no answer when it was last asked.
    failing: bool,
    /// The service was cut off when this was last asked.
    was_cut: bool,
}

impl Rates {
    /// Does something with what is counted of a service.
    fn of<T>(&self, service: &ServiceName, work: impl FnOnce(&mut Rate) -> T) -> T {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(service.clone()).or_default())
    }

    /// Reads a service's metrics page.
    pub(super) async fn scrape(
        &self,
        service: &ServiceName,
        page: &MetricsPage,
        now: Timestamp,
    ) -> Result<(), ProbeError> {
        let read = self.pages.counted(page).await;
        let was_failing = self.of(service, |rate| {
            std::mem::replace(&mut rate.failing, read.is_err())
        });
        match read {
            Ok(counted) => {
                self.of(service, |rate| rate.scraped(now, counted));
                Ok(())
            }
            Err(error) => {
                METRICS_PAGES_FAILED.count(&[]);
                if !was_failing {
                    tracing::warn!(%service, %error, "a metrics page has no answer");
                }
                Err(error)
            }
        }
    }

    /// From when a service's log is to be read; `None`: not now, it holds no accesses.
    pub(super) fn log_since(&self, service: &ServiceName, now: Timestamp) -> Option<Timestamp> {
        self.of(service, |rate| rate.log_since(now))
    }

    /// A service's log was read since then: each line counts once.
    pub(super) fn read(&self, service: &ServiceName, now: Timestamp, lines: &[LogLine]) {
        self.of(service, |rate| rate.read(now, lines, status_code));
    }

    /// Whether what was counted last says nothing, since the service was cut off meanwhile; it is
    /// forgotten then. To be asked after each read.
    pub(super) fn says_nothing(&self, service: &ServiceName, is_cut: bool) -> bool {
        self.of(service, |rate| rate.says_nothing(is_cut))
    }

    /// Percent of a service's answers of the last minute that are errors; `None` where they are too few.
    pub(super) fn percent(&self, service: &ServiceName, now: Timestamp) -> Option<f64> {
        self.of(service, |rate| rate.percent(now))
    }
}

impl Rate {
    /// A page was read. Of counters that fell, the process began anew: all of their value is new. A
    /// counter that was not there before began at nothing.
    fn scraped(&mut self, now: Timestamp, counted: Counted) {
        if let Some(before) = &self.before {
            let (mut all, mut failed) = (0.0, 0.0);
            for (labels, counter) in &counted.counters {
                let known = before
                    .counters
                    .get(labels)
                    .map_or(0.0, |before| before.value);
                let new = if counter.value < known {
                    counter.value
                } else {
                    counter.value - known
                };
                all += new;
                if counter.failed {
                    failed += new;
                }
            }
            self.count(now, all, failed);
        }
        self.before = Some(counted);
    }

    fn log_since(&self, now: Timestamp) -> Option<Timestamp> {
        let soon = self.read_at.is_some_and(|at| at + RARELY > now);
        if self.vain_reads >= VAIN_READS && soon {
            return None;
        }
        Some(self.newest.unwrap_or(now - WINDOW).max(now - WINDOW))
    }

    fn read(&mut self, now: Timestamp, lines: &[LogLine], status: impl Fn(&str) -> Option<u16>) {
        let known = self.newest;
        let is_new =
            |line: &&LogLine| known.is_none_or(|known| line.at.is_none_or(|at| at > known));
        let new: Vec<&LogLine> = lines.iter().filter(is_new).collect();
        let codes: Vec<u16> = new.iter().filter_map(|line| status(&line.text)).collect();
        let failed = codes.iter().filter(|code| **code >= 500).count();
        self.newest = new.iter().filter_map(|line| line.at).max().max(known);
        self.read_at = Some(now);
        if !codes.is_empty() {
            self.vain_reads = 0;
            self.count(now, codes.len() as f64, failed as f64);
        } else if !new.is_empty() {
            self.vain_reads = self.vain_reads.saturating_add(1);
        }
    }

    fn count(&mut self, now: Timestamp, all: f64, failed: f64) {
        self.counted.push_back((now, all, failed));
        while self
            .counted
            .front()
            .is_some_and(|(at, ..)| *at + WINDOW <= now)
        {
            self.counted.pop_front();
        }
    }

    fn says_nothing(&mut self, is_cut: bool) -> bool {
        // What was read just after it came back is of the time before as well.
        let was_cut = std::mem::replace(&mut self.was_cut, is_cut);
        if is_cut || was_cut {
            self.counted.clear();
        }
        is_cut || was_cut
    }

    fn percent(&self, now: Timestamp) -> Option<f64> {
        let of = self.counted.iter().filter(|(at, ..)| *at + WINDOW > now);
        let (all, failed) = of.fold((0.0, 0.0), |(all, failed), one| {
            (all + one.1, failed + one.2)
        });
        (all >= FEW).then(|| failed * 100.0 / all)
    }
}

/// The status of an answer in a line of an access log: after the request in quotes, as nginx and
/// Apache write it, or as `"status":502` in JSON.
fn status_code(line: &str) -> Option<u16> {
    let after = ["\" ", "\"status\":"].iter().find_map(|mark| {
        line.match_indices(mark).find_map(|(at, _)| {
            let rest = line[at + mark.len()..].trim_start_matches([' ', '"']);
            let digits = rest.get(..3)?;
            let ends = rest[3..]
                .chars()
                .next()
                .is_none_or(|c| !c.is_ascii_alphanumeric());
            (ends && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
        })
    })?;
    after.parse().ok().filter(|code| (100..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::page::Counter;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn page(good: f64, bad: f64) -> Counted {
        let one = |failed, value| Counter { failed, value };
        Counted {
            name: "answers".to_owned(),
            counters: [
                ("200".to_owned(), one(false, good)),
                ("502".to_owned(), one(true, bad)),
            ]
            .into(),
        }
    }

    #[test]
    fn what_is_new_between_two_pages_counts_also_after_a_new_start() {
        let mut rate = Rate::default();
        rate.scraped(at(0), page(1_000.0, 900.0));
        let percent = |rate: &Rate, second| rate.percent(at(second)).unwrap_or(f64::NAN);
        assert_eq!(
            rate.percent(at(0)),
            None,
            "the first page says nothing of now"
        );
        rate.scraped(at(15), page(1_080.0, 920.0));
        assert!((percent(&rate, 15) - 20.0).abs() < 0.1);
        // The process began anew: 60 good answers since, no bad one.
        rate.scraped(at(30), page(60.0, 0.0));
        assert!((percent(&rate, 30) - 20.0 * 100.0 / 160.0).abs() < 0.1);
        assert!(
            percent(&rate, 76) < 0.1,
            "the bad ones are older than a minute"
        );
        // A kind of answer that was never given before.
        let mut first = page(61.0, 0.0);
        let bad = Counter {
            failed: true,
            value: 39.0,
        };
        first.counters.insert("504".into(), bad);
        rate.scraped(at(200), first);
        assert!((percent(&rate, 200) - 97.5).abs() < 0.1);
    }

    #[test]
    fn what_failed_while_the_service_was_cut_off_is_not_counted_when_it_is_back() {
        let mut rate = Rate::default();
        rate.scraped(at(0), page(0.0, 0.0));
        rate.scraped(at(15), page(0.0, 80.0));
        assert!(rate.says_nothing(true));
        // It came back between these two, and 40 more had failed by then.
        rate.scraped(at(30), page(10.0, 120.0));
        assert!(rate.says_nothing(false));
        assert_eq!(rate.percent(at(30)), None);
        rate.scraped(at(45), page(40.0, 150.0));
        assert!(!rate.says_nothing(false));
        assert!((rate.percent(at(45)).unwrap() - 50.0).abs() < 0.1);
    }

    #[test]
    fn each_line_of_a_log_counts_once_and_a_log_without_accesses_is_read_rarely() {
        let line = |second: i64, text: &str| LogLine {
            at: Some(at(second)),
            replica: "api-1".into(),
            stderr: false,
            text: text.into(),
        };
        let status = |text: &str| text.parse().ok();
        let mut rate = Rate::default();
        assert_eq!(rate.log_since(at(100)), Some(at(40)));
        let lines: Vec<LogLine> = (0..30).map(|n| line(60 + n, "200")).collect();
        rate.read(at(100), &lines, status);
        assert_eq!(rate.log_since(at(115)), Some(at(89)));
        let again = [&lines[29..], &vec![line(101, "500"); 10]].concat();
        rate.read(at(115), &again, status);
        let percent = rate.percent(at(115)).unwrap();
        assert!((percent - 25.0).abs() < 0.1, "10 of 40");

        for n in 0..5 {
            rate.read(at(120 + n), &[line(120 + n, "hello")], status);
        }
        assert_eq!(rate.log_since(at(140)), None);
        assert!(rate.log_since(at(500)).is_some());
        rate.read(at(500), &[line(499, "200")], status);
        assert!(rate.log_since(at(515)).is_some(), "it has accesses again");
    }

    #[test]
    fn the_status_is_found_in_access_logs() {
        for (line, code) in [
            (
                r#"10.0.0.1 - - [24/Nov/2026:03:00:00 +0000] "GET /api HTTP/1.1" 502 157 "-" "curl""#,
                Some(502),
            ),
            (r#"{"level":"info","status":200,"path":"/"}"#, Some(200)),
            (r#"{"status": "503"}"#, Some(503)),
            (r#"said "hello" to 500 people"#, None),
            (r#""x" 5000"#, None),
            ("", None),
        ] {
            assert_eq!(status_code(line), code, "{line}");
        }
    }
}
