//! Log lines of a container, or of a Swarm's task.
//!
//! The engine reads a log from its start or by a number of entries from its end; it can't search.
//! So the newest entries are read in growing portions until enough lines match.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::connection::{CHANGE_LIMIT, Engine, optional};
use super::error::Result;
use super::log_entries::{Entries, RawLine};
use treasury_domain::service::Logs;
use treasury_ports::log_search::{MAX_ENTRIES, Portion, Portions, Wanted};
use treasury_ports::text::clean;

/// How many of its last lines the error for a replica that ended shows.
const LAST_LINES: usize = 3;

/// So long nothing may come of the log of a Swarm's task: the manager of an older engine (20.10.24)
/// goes on waiting for a node that is lost, and never ends the log.
const SILENCE: Duration = Duration::from_secs(4);

/// Whose log it is, by its id.
#[derive(Debug, Clone, Copy)]
pub enum LogSource<'a> {
    /// A container on this engine.
    Container(&'a str),
    /// A task of a Swarm, on any of its nodes.
    Task(&'a str),
}

/// The newest wanted lines of one log; none if it is gone.
pub async fn read(
    engine: &Engine,
    source: LogSource<'_>,
    name: &str,
    wanted: &Wanted,
) -> Result<Logs> {
    let client = engine.client()?;
    let mut portions = Portions::new(wanted, CHANGE_LIMIT);
    loop {
        let call = async {
            let mut portion = Portion::new(wanted, name);
            let keep = |raw: RawLine| portion.add(raw.at, raw.stderr, &raw.text());
            let entries = each_line(client, source, portions.size(), wanted.since, keep).await?;
            Ok((portion, entries))
        };
        let read = engine
            .call("the log", portions.time_left(), optional(call))
            .await;
        if let Some(logs) = portions.answer(read)? {
            return Ok(logs);
        }
    }
}

/// The last lines of a log, to be put behind a sentence; nothing where they can't be had.
pub async fn last_lines(engine: &Engine, source: LogSource<'_>) -> String {
    let lines = LAST_LINES;
    let wanted = Wanted {
        lines,
        ..Wanted::default()
    };
    let logs = read(engine, source, "", &wanted).await.unwrap_or_default();
    logs.lines
        .iter()
        .map(|line| format!("\n> {}", line.text))
        .collect()
}

/// The newest lines of a container with their times, at most `most` bytes; `None` if it is gone.
pub async fn whole(engine: &Engine, id: &str, most: usize) -> Result<Option<String>> {
    let client = engine.client()?;
    let source = LogSource::Container(id);
    let call = async {
        let mut newest = NewestLines::new(most);
        each_line(client, source, MAX_ENTRIES, None, |raw| newest.add(&raw)).await?;
        Ok(newest.text())
    };
    engine.change("the log", optional(call)).await
}

/// Hands over the lines of the newest `tail` entries; returns how many entries there were.
async fn each_line(
    client: &bollard::Docker,
    source: LogSource<'_>,
    tail: usize,
    since: Option<Timestamp>,
    mut keep: impl FnMut(RawLine),
) -> Result<usize, Error> {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true);
    // The engine counts `tail` before it looks at times. What it leaves out by `since` is older
    // than all that it sends, so fewer entries than asked for still mean that nothing is missing.
    let since = since.map_or(0, |since| {
        since.as_second().clamp(1, i64::from(i32::MAX)) as i32
    });
    let options = options.tail(&tail.to_string()).since(since).build();
    let mut stream = match source {
        LogSource::Container(id) => client.logs(id, Some(options)).boxed(),
        LogSource::Task(id) => client.task_logs(id, Some(options)).boxed(),
    };
    let (mut entries, mut count) = (Entries::default(), 0);
    loop {
        let next = match source {
            LogSource::Container(_) => stream.next().await,
            LogSource::Task(_) => {
                let next = tokio::time::timeout(SILENCE, stream.next()).await;
                next.map_err(|_| Error::RequestTimeoutError)?
            }
        };
        let Some(output) = next.transpose()? else {
            break;
        };
        let stderr = matches!(output, LogOutput::StdErr { .. });
        count += 1;
        entries
            .take(stderr, &output.into_bytes())
            .for_each(&mut keep);
    }
    entries.rest().for_each(keep);
    Ok(count)
}

/// Lines of which the oldest go when there is no room.
struct NewestLines {
    lines: VecDeque<String>,
    bytes: usize,
    most: usize,
}

impl NewestLines {
    fn new(most: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            most,
        }
    }

    fn add(&mut self, raw: &RawLine) {
        let at = raw.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let stream = if raw.stderr { "stderr" } else { "stdout" };
        let line = format!("{at} {stream} {}\n", clean(&raw.text()));
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > self.most
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn text(self) -> String {
        Vec::from(self.lines).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_lines_are_kept() {
        let mut newest = NewestLines::new(60);
        for (stderr, text) in [(false, "one"), (true, "two\u{1b}[0m"), (false, "three")] {
            newest.add(&RawLine {
                at: "2026-11-23T10:00:00Z".parse().ok(),
                stderr,
                bytes: text.into(),
            });
        }
        let line = "2026-11-23T10:00:00Z stdout three\n";
        assert_eq!(
            newest.text(),
            line,
            "two lines would be {} bytes",
            2 * line.len()
        );
    }
}
