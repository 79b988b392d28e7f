//! Logs: all replicas at the same time, merged by time.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::find::Found;
use super::status::moment;
use super::{Docker, SLOW, errors};
use crate::domain::service::{LogLine, LogQuery, Logs, Service};
use crate::domain::timeline::cut;
use crate::platform::PlatformError;

/// With a filter, this many of a replica's newest lines are searched.
const SEARCHED: usize = 20_000;

impl Docker {
    pub(super) async fn read_logs(
        &self,
        service: &Service,
        query: &LogQuery,
    ) -> Result<Logs, PlatformError> {
        let found = self.find(service).await?;
        let each = found
            .iter()
            .map(|container| self.container_logs(container, query));
        let mut lines = Vec::new();
        let mut truncated = false;
        for part in try_join_all(each).await? {
            truncated |= part.truncated;
            lines.extend(part.lines);
        }
        // Stable: lines of one replica with the same time keep their order.
        lines.sort_by_key(|line| line.at);
        if lines.len() > query.lines {
            truncated = true;
            lines.drain(..lines.len() - query.lines);
        }
        Ok(Logs { lines, truncated })
    }

    async fn container_logs(
        &self,
        container: &Found,
        query: &LogQuery,
    ) -> Result<Logs, PlatformError> {
        // One line more than wanted tells whether there are older ones.
        let searched = if query.grep.is_some() || query.previous {
            SEARCHED
        } else {
            query.lines + 1
        };
        let mut options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .tail(&searched.to_string());
        if let Some(since) = query.since {
            options = options.since(i32::try_from(since.as_second()).unwrap_or(0));
        }
        let started = if query.previous {
            let state = self.inspect(&container.id).await?.state.unwrap_or_default();
            match moment(state.started_at.as_deref()) {
                // The engine keeps one log over restarts in place: what is older than the start.
                Some(at) => Some(at),
                None => return Ok(Logs::default()),
            }
        } else {
            None
        };
        let wanted = |line: &LogLine| {
            started.is_none_or(|started| line.at.is_some_and(|at| at < started))
                && query
                    .since
                    .is_none_or(|since| line.at.is_none_or(|at| at >= since))
                && query
                    .grep
                    .as_ref()
                    .is_none_or(|grep| line.text.to_lowercase().contains(&grep.to_lowercase()))
        };
        let mut kept: VecDeque<LogLine> = VecDeque::with_capacity(query.lines + 1);
        let mut truncated = false;
        let mut seen = 0;
        let read = async {
            let mut stream = self.client.logs(&container.id, Some(options.build()));
            let mut reader = Reader::new(&container.name);
            while let Some(output) = stream.next().await {
                for line in reader.read(output?) {
                    seen += 1;
                    if wanted(&line) {
                        kept.push_back(line);
                        if kept.len() > query.lines {
                            kept.pop_front();
                            truncated = true;
                        }
                    }
                }
            }
            for line in reader.rest() {
                seen += 1;
                if wanted(&line) {
                    kept.push_back(line);
                }
            }
            Ok::<_, bollard::errors::Error>(())
        };
        match tokio::time::timeout(SLOW, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(errors::translate(&self.host, "read logs", error)),
            Err(_) => {
                return Err(PlatformError::Timeout {
                    platform: super::NAME,
                    what: "reading logs".into(),
                    after: SLOW,
                });
            }
        }
        truncated |= seen >= SEARCHED;
        Ok(Logs {
            lines: kept.into(),
            truncated,
        })
    }

    /// The last lines of one container, for error messages.
    pub(super) async fn last_words(&self, id: &str, name: &str) -> String {
        let container = Found {
            id: id.into(),
            name: name.into(),
            number: 1,
            running: false,
            created: false,
        };
        let query = LogQuery {
            lines: 3,
            since: None,
            grep: None,
            previous: false,
        };
        match self.container_logs(&container, &query).await {
            Ok(logs) if !logs.lines.is_empty() => {
                let texts: Vec<_> = logs.lines.iter().map(|line| cut(&line.text, 200)).collect();
                format!("; last it said: {}", texts.join(" / "))
            }
            // The words only adorn another error.
            _ => String::new(),
        }
    }
}

/// Puts lines together from the pieces of the engine's stream.
struct Reader<'a> {
    replica: &'a str,
    /// Unfinished lines of standard output and standard error.
    open: [String; 2],
}

impl<'a> Reader<'a> {
    fn new(replica: &'a str) -> Self {
        Self {
            replica,
            open: [String::new(), String::new()],
        }
    }

    fn read(&mut self, output: LogOutput) -> Vec<LogLine> {
        let stderr = matches!(output, LogOutput::StdErr { .. });
        let text = String::from_utf8_lossy(&output.into_bytes()).into_owned();
        let open = &mut self.open[usize::from(stderr)];
        let mut lines = Vec::new();
        for piece in text.split_inclusive('\n') {
            // A line without end must not fill the memory.
            if open.len() < 4 * LogLine::MAX_BYTES {
                open.push_str(piece);
            }
            if piece.ends_with('\n') {
                lines.push(line(self.replica, stderr, &std::mem::take(open)));
            }
        }
        lines
    }

    fn rest(self) -> Vec<LogLine> {
        let [out, err] = self.open;
        [(false, out), (true, err)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(stderr, text)| line(self.replica, stderr, &text))
            .collect()
    }
}

fn line(replica: &str, stderr: bool, raw: &str) -> LogLine {
    let raw = raw.trim_end_matches(['\n', '\r']);
    let (at, text) = match raw.split_once(' ') {
        Some((stamp, text)) => match stamp.parse::<Timestamp>() {
            Ok(at) => (Some(at), text),
            Err(_) => (None, raw),
        },
        None => match raw.parse::<Timestamp>() {
            Ok(at) => (Some(at), ""),
            Err(_) => (None, raw),
        },
    };
    LogLine {
        at,
        replica: replica.to_owned(),
        stderr,
        text: cut(&without_escapes(text), LogLine::MAX_BYTES),
    }
}

/// Without terminal escapes (`ESC [ … letter`) and other control characters; tabs become spaces.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next_if_eq(&'[').is_some() {
                    while let Some(c) = chars.next() {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces_and_cleaned() {
        let mut reader = Reader::new("web-1");
        let piece = |text: &'static str| LogOutput::StdErr {
            message: text.as_bytes().into(),
        };
        assert!(
            reader
                .read(piece("2026-11-23T03:00:00Z \x1b[31mbad"))
                .is_empty()
        );
        let lines = reader.read(piece(" thing\x1b[0m\tx\n2026-11-23T03:00:01Z open"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "bad thing x");
        assert!(lines[0].stderr && lines[0].at.is_some());
        assert_eq!(reader.rest()[0].text, "open");
    }

    #[test]
    fn a_line_without_a_time_is_kept_whole() {
        let line = line("web-1", false, "no time here\n");
        assert_eq!((line.at, line.text.as_str()), (None, "no time here"));
    }
}
