//! Log lines of containers.
//!
//! The engine reads a log from its start or by a number of entries from its end; it can't search.
//! So the newest entries are read in growing portions until enough lines match, and at most
//! [`READ`] entries. Only the lines to be answered are held.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::engine::{ACT, Engine};
use super::find;
use treasury_domain::service::{LogLine, LogQuery, Logs, Service};
use treasury_ports::platform::PlatformError;

mod text;
mod whole;

pub(super) use text::clean;
use text::{Entries, fit};
pub(super) use whole::whole;

/// The first portion where lines are searched.
const FIRST: usize = 2_000;

/// The most entries that are read of one container.
const READ: usize = 200_000;

/// Whose log it is, by its id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    /// A container on this engine.
    Container(&'a str),
    /// A task of a Swarm, on any of its nodes.
    Task(&'a str),
}

/// What is wanted of one container or task.
pub(super) struct Wanted<'a> {
    pub(super) lines: usize,
    pub(super) since: Option<Timestamp>,
    pub(super) before: Option<Timestamp>,
    /// In lower case.
    pub(super) grep: Option<&'a str>,
}

/// The lines of all replicas, merged by time.
pub(super) async fn logs(
    engine: &Engine,
    service: &Service,
    query: &LogQuery,
) -> Result<Logs, PlatformError> {
    let found = find::containers(engine, service).await?;
    let grep = query.grep.as_deref().map(str::to_lowercase);
    let all = try_join_all(found.iter().map(async |one| {
        let mut wanted = Wanted {
            lines: query.lines,
            since: query.since,
            before: None,
            grep: grep.as_deref(),
        };
        if query.previous {
            let Some(facts) = find::inspect(engine, &one.id).await? else {
                return Ok(Logs::default());
            };
            let Some(before) = find::run_began(&facts) else {
                return Ok(Logs::default());
            };
            wanted.before = Some(before);
        }
        read(engine, Of::Container(&one.id), &one.name, &wanted).await
    }))
    .await?;
    Ok(merged(all, query.lines))
}

/// The newest lines of several logs, merged by time.
pub(super) fn merged(all: Vec<Logs>, most: usize) -> Logs {
    let mut truncated = false;
    let mut lines = Vec::new();
    for one in all {
        truncated |= one.truncated;
        lines.extend(one.lines);
    }
    lines.sort_by_key(|line| line.at);
    let surplus = lines.len().saturating_sub(most);
    lines.drain(..surplus);
    Logs {
        lines,
        truncated: truncated || surplus > 0,
    }
}

/// The last lines of one container.
pub(super) async fn last(
    engine: &Engine,
    id: &str,
    name: &str,
    lines: usize,
) -> Result<Vec<LogLine>, PlatformError> {
    let wanted = Wanted {
        lines,
        since: None,
        before: None,
        grep: None,
    };
    Ok(read(engine, Of::Container(id), name, &wanted).await?.lines)
}

/// The newest wanted lines of one container or task; none if it is gone.
pub(super) async fn read(
    engine: &Engine,
    of: Of<'_>,
    name: &str,
    wanted: &Wanted<'_>,
) -> Result<Logs, PlatformError> {
    let searching = wanted.grep.is_some() || wanted.before.is_some();
    let mut portion = if searching {
        FIRST.max(wanted.lines + 1)
    } else {
        wanted.lines + 1
    };
    // What the portions before have given: the answer if a larger one takes too long.
    let mut newest = None;
    let begun = Instant::now();
    loop {
        let call = portion_of(engine, of, name, wanted, portion)?;
        let left = ACT.saturating_sub(begun.elapsed());
        let read = match (engine.call_if_there("the log", left, call).await, newest) {
            (Err(PlatformError::Timeout { .. }), Some(lines)) => {
                return Ok(Logs {
                    lines,
                    truncated: true,
                });
            }
            (read, _) => read?,
        };
        let Some(Portion {
            lines,
            matches,
            entries,
        }) = read
        else {
            return Ok(Logs::default());
        };
        let all_read = entries < portion;
        if all_read || matches > wanted.lines || portion >= READ {
            return Ok(Logs {
                lines: lines.into(),
                truncated: matches > wanted.lines || !all_read,
            });
        }
        newest = Some(lines.into());
        portion = (portion * 10).min(READ);
    }
}

/// What was read of a log.
struct Portion {
    /// The newest lines that match, no more than are wanted.
    lines: VecDeque<LogLine>,
    /// How many lines match.
    matches: usize,
    /// How many entries of the log were read.
    entries: usize,
}

/// Reads the newest `portion` entries.
fn portion_of(
    engine: &Engine,
    of: Of<'_>,
    name: &str,
    wanted: &Wanted<'_>,
    portion: usize,
) -> Result<impl Future<Output = Result<Portion, Error>>, PlatformError> {
    let mut options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .tail(&portion.to_string());
    // The engine counts `tail` before it looks at times. What it leaves out by `since` is older
    // than all that it sends, so fewer entries than asked for still mean that nothing is missing.
    if let Some(since) = wanted.since {
        let seconds = since.as_second().clamp(1, i64::from(i32::MAX));
        options = options.since(seconds as i32);
    }
    let client = engine.client()?;
    let mut stream = match of {
        Of::Container(id) => client.logs(id, Some(options.build())).boxed(),
        Of::Task(id) => client.task_logs(id, Some(options.build())).boxed(),
    };
    Ok(async move {
        let mut lines = VecDeque::new();
        let (mut matches, mut entries) = (0_usize, 0_usize);
        let mut keep = |raw: text::Raw| {
            let text = clean(&raw.text);
            let matching = wanted.since.is_none_or(|since| raw.at >= Some(since))
                && wanted.before.is_none_or(|before| raw.at < Some(before))
                && wanted
                    .grep
                    .is_none_or(|grep| text.to_lowercase().contains(grep));
            if !matching {
                return;
            }
            matches += 1;
            if lines.len() == wanted.lines {
                lines.pop_front();
            }
            lines.push_back(LogLine {
                at: raw.at,
                replica: name.to_owned(),
                stderr: raw.stderr,
                text: fit(text),
            });
        };
        let mut whole = Entries::default();
        while let Some(output) = stream.next().await {
            let output = output?;
            let stderr = matches!(output, LogOutput::StdErr { .. });
            let bytes = output.into_bytes();
            entries += 1;
            if let Some(raw) = whole.take(stderr, &bytes) {
                keep(raw);
            }
        }
        whole.rest().into_iter().for_each(&mut keep);
        Ok(Portion {
            lines,
            matches,
            entries,
        })
    })
}
