//! Reading the newest wanted lines of a log that can't be searched where it is.
//!
//! A driver reads the newest entries in portions that grow until enough lines match. Only the
//! lines to be answered are held.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::platform::PlatformError;
use crate::text::{clean, fit, fit_around};
use treasury_domain::service::{LogLine, LogQuery, Logs};

/// The first portion where lines are searched.
const FIRST_PORTION: usize = 2_000;

/// The most entries that are read of one log.
pub const MAX_ENTRIES: usize = 200_000;

/// A longer line is cut here before it is looked at; the rest of it is dropped.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// Takes the time stamp off that a platform puts before a line.
pub fn split_time(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let split = || {
        let space = line.iter().take(40).position(|byte| *byte == b' ')?;
        let time: Timestamp = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
        Some((Some(time), &line[space + 1..]))
    };
    split().unwrap_or((None, line))
}

/// Which lines of one log are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The most lines, the newest.
    pub lines: usize,
    /// None that is older.
    pub since: Option<Timestamp>,
    /// None that is as new as this or newer.
    pub before: Option<Timestamp>,
    /// A text that they hold, in lower case.
    pub grep: Option<String>,
}

impl From<&LogQuery> for Wanted {
    fn from(query: &LogQuery) -> Self {
        Self {
            lines: query.lines,
            since: query.since,
            before: None,
            grep: query.grep.as_deref().map(str::to_lowercase),
        }
    }
}

impl Wanted {
    fn matches(&self, at: Option<Timestamp>, text: &str) -> bool {
        let grep = self.grep.as_ref();
        self.since.is_none_or(|since| at >= Some(since))
            && self.before.is_none_or(|before| at < Some(before))
            && grep.is_none_or(|grep| text.to_lowercase().contains(grep))
    }
}

/// The newest wanted lines of what was read of a log.
#[derive(Debug)]
pub struct Portion<'a> {
    wanted: &'a Wanted,
    replica: &'a str,
    lines: VecDeque<LogLine>,
    matches: usize,
}

impl<'a> Portion<'a> {
    /// Nothing is read yet of the log of this replica.
    pub fn new(wanted: &'a Wanted, replica: &'a str) -> Self {
        Self {
            wanted,
            replica,
            lines: VecDeque::new(),
            matches: 0,
        }
    }

    /// Takes the next line, which stands behind those before it.
    pub fn add(&mut self, at: Option<Timestamp>, stderr: bool, text: &str) {
        let text = clean(text);
        if !self.wanted.matches(at, &text) {
            return;
        }
        self.matches += 1;
        if self.lines.len() == self.wanted.lines {
            self.lines.pop_front();
        }
        self.lines.push_back(LogLine {
            at,
            replica: self.replica.to_owned(),
            stderr,
            text: match &self.wanted.grep {
                Some(grep) => fit_around(text, grep),
                None => fit(text),
            },
        });
    }
}

/// The portions that are read of one log until enough lines are found.
#[derive(Debug)]
pub struct Portions {
    size: usize,
    limit: Duration,
    begun: Instant,
    /// What the portions before have given: the answer if a larger one takes too long.
    newest: Option<Vec<LogLine>>,
}

impl Portions {
    /// All of them together may take as long as `limit`.
    pub fn new(wanted: &Wanted, limit: Duration) -> Self {
        let searching = wanted.grep.is_some() || wanted.before.is_some();
        let first = if searching { FIRST_PORTION } else { 0 };
        Self {
            size: first.max(wanted.lines + 1),
            limit,
            begun: Instant::now(),
            newest: None,
        }
    }

    /// How many of the newest entries to read next.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How long reading them may take.
    pub fn time_left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// Takes what was read, with the number of its entries (`None`: there is no such log), and
    /// gives the answer if that is enough.
    pub fn answer(
        &mut self,
        read: Result<Option<(Portion<'_>, usize)>, PlatformError>,
    ) -> Result<Option<Logs>, PlatformError> {
        let (portion, entries) = match (read, self.newest.take()) {
            (Err(PlatformError::Timeout { .. }), Some(lines)) => {
                return Ok(Some(Logs {
                    lines,
                    truncated: true,
                    partial: None,
                }));
            }
            (Ok(None), _) => return Ok(Some(Logs::default())),
            (Ok(Some(read)), _) => read,
            (Err(error), _) => return Err(error),
        };
        let lines = Vec::from(portion.lines);
        let (all_read, enough) = (entries < self.size, portion.matches > portion.wanted.lines);
        if all_read || enough || self.size >= MAX_ENTRIES {
            return Ok(Some(Logs {
                lines,
                truncated: enough || !all_read,
                partial: None,
            }));
        }
        self.newest = Some(lines);
        self.size = (self.size * 10).min(MAX_ENTRIES);
        Ok(None)
    }
}

/// The newest lines of several logs, at most `most`, merged by time.
pub fn merged(logs: Vec<Logs>, most: usize) -> Logs {
    let mut all = Logs::default();
    for one in logs {
        all.truncated |= one.truncated;
        all.lines.extend(one.lines);
    }
    all.lines.sort_by_key(|line| line.at);
    let surplus = all.lines.len().saturating_sub(most);
    all.lines.drain(..surplus);
    all.truncated |= surplus > 0;
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(lines: usize, grep: Option<&str>) -> Wanted {
        let grep = grep.map(str::to_owned);
        Wanted {
            lines,
            grep,
            ..Wanted::default()
        }
    }

    fn read<'a>(wanted: &'a Wanted, texts: &[&str]) -> Portion<'a> {
        let mut portion = Portion::new(wanted, "web-1");
        for text in texts {
            portion.add(None, false, text);
        }
        portion
    }

    #[test]
    fn portions_grow_until_enough_lines_match() {
        let wanted = wanted(1, Some("error"));
        let mut portions = Portions::new(&wanted, Duration::from_secs(30));
        assert_eq!(portions.size(), 2_000);
        let few = read(&wanted, &["an Error", "fine"]);
        assert_eq!(portions.answer(Ok(Some((few, 2_000)))).unwrap(), None);
        assert_eq!(portions.size(), 20_000);
        let many = read(&wanted, &["error 1", "fine", "error 2"]);
        let logs = portions.answer(Ok(Some((many, 20_000)))).unwrap().unwrap();
        assert!(logs.truncated);
        assert_eq!(logs.lines[0].text, "error 2");
    }

    #[test]
    fn a_portion_that_takes_too_long_leaves_what_the_one_before_gave() {
        let wanted = wanted(2, Some("error"));
        let late = || PlatformError::Timeout {
            platform: "Docker",
            what: "the log".to_owned(),
            after: Duration::ZERO,
        };
        let mut portions = Portions::new(&wanted, Duration::ZERO);
        assert!(portions.answer(Err(late())).is_err());
        let few = read(&wanted, &["error"]);
        assert_eq!(portions.answer(Ok(Some((few, 2_000)))).unwrap(), None);
        let logs = portions.answer(Err(late())).unwrap().unwrap();
        assert_eq!((logs.lines.len(), logs.truncated), (1, true));
    }

    #[test]
    fn a_log_that_was_read_to_its_start_is_not_truncated() {
        let wanted = wanted(2, None);
        let mut portions = Portions::new(&wanted, Duration::from_secs(30));
        assert_eq!(portions.size(), 3);
        let all = read(&wanted, &["a", "b"]);
        let logs = portions.answer(Ok(Some((all, 2)))).unwrap().unwrap();
        assert_eq!((logs.lines.len(), logs.truncated), (2, false));
    }
}
