//! Log lines of pods.
//!
//! The server can't search. The newest lines are read in growing portions until enough match, and
//! at most [`READ`] lines of a pod; only the lines to be answered are held.

use std::collections::VecDeque;
use std::io;

use futures_util::FutureExt;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::api::LogParams;
use tokio::time::{Duration, Instant};

use crate::error::{code_of, not_found};
use crate::kind::Kind;
use crate::pod::Pod;
use crate::resource::Resource;
use crate::scope::Scope;
use crate::snapshot::Snapshot;
use treasury_domain::service::{Evidence, LogLine, LogQuery, Logs};
use treasury_ports::platform::PlatformError;
use treasury_ports::text::{clean, fit};

/// The first portion where lines are searched.
const FIRST: usize = 2_000;

/// The most lines that are read of one pod.
const READ: usize = 200_000;

/// The most lines that are kept of a container for an examination.
const KEPT: i64 = 20_000;

/// A longer line is cut here before it is looked at; the rest of it is dropped.
const LONGEST: usize = 64 * 1024;

/// Pods that are read at the same time.
const AT_ONCE: usize = 8;

/// The most pods that are read.
const PODS: usize = 100;

/// How long reading one pod may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What is wanted of one pod.
#[derive(Default)]
struct Wanted<'a> {
    pod: &'a str,
    container: String,
    lines: usize,
    since: Option<Timestamp>,
    /// In lower case.
    grep: Option<&'a str>,
    previous: bool,
}

/// The lines of all pods, merged by time.
pub(crate) async fn logs(
    scope: Scope<'_>,
    seen: &Snapshot,
    query: &LogQuery,
) -> Result<Logs, PlatformError> {
    let grep = query.grep.as_deref().map(str::to_lowercase);
    let pods = scope.all(Kind::POD);
    let mut reads = Vec::new();
    for pod in seen.pods.iter().take(PODS) {
        let asked = query.container.as_deref();
        let Some(container) = container(pod, asked, &scope.target.names())? else {
            continue;
        };
        let wanted = Wanted {
            pod: pod.name(),
            container,
            lines: query.lines,
            since: query.since,
            grep: grep.as_deref(),
            previous: query.previous,
        };
        reads.push(read(scope, &pods, wanted).boxed());
    }
    let reads = stream::iter(reads).buffered(AT_ONCE);
    let all: Vec<Logs> = reads.try_collect().await?;
    let truncated = seen.pods.len() > PODS || all.iter().any(|one| one.truncated);
    let lines = all.into_iter().flat_map(|one| one.lines).collect();
    Ok(merged(lines, query.lines, truncated))
}

/// The newest lines in the order of time.
fn merged(mut lines: Vec<LogLine>, most: usize, truncated: bool) -> Logs {
    lines.sort_by_key(|line| line.at);
    let surplus = lines.len().saturating_sub(most);
    lines.drain(..surplus);
    Logs {
        lines,
        truncated: truncated || surplus > 0,
    }
}

/// Which container of a pod; `None` where it has none yet.
fn container(
    pod: &Pod,
    asked: Option<&str>,
    names: &[&str],
) -> Result<Option<String>, PlatformError> {
    let Some(asked) = asked else {
        return Ok(pod.main_container(names).map(|one| one.name.clone()));
    };
    let all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let all: Vec<&str> = all.map(|one| one.name.as_str()).collect();
    if all.contains(&asked) {
        return Ok(Some(asked.to_owned()));
    }
    Err(not_found(
        format!("the container {asked} of {}", pod.name()),
        format!("it has: {}", all.join(", ")),
    ))
}

/// The last lines of a pod's last run; nothing where they can't be had.
pub(crate) async fn last(scope: Scope<'_>, pod: &Pod, lines: usize) -> Vec<String> {
    let Some(main) = pod.main_container(&scope.target.names()) else {
        return Vec::new();
    };
    // Which of the two runs has said something depends on the moment.
    for previous in [false, true] {
        let wanted = Wanted {
            pod: pod.name(),
            container: main.name.clone(),
            lines,
            previous,
            ..Wanted::default()
        };
        if let Ok(found) = read(scope, &scope.all(Kind::POD), wanted).await
            && !found.lines.is_empty()
        {
            return found.lines.into_iter().map(|line| line.text).collect();
        }
    }
    Vec::new()
}

/// The end of a container's log as it is kept for an examination.
pub(crate) async fn whole(
    scope: Scope<'_>,
    pods: &Resource,
    pod: &str,
    container: &str,
) -> Result<String, PlatformError> {
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(KEPT),
        timestamps: true,
        ..LogParams::default()
    };
    let read = async {
        let mut text = String::new();
        each_line(scope, pods, pod, &params, |line| {
            text.push_str(&clean(&String::from_utf8_lossy(line)));
            text.push('\n');
            if text.len() > 2 * Evidence::MAX_BYTES {
                let surplus = text.len() - Evidence::MAX_BYTES;
                text.drain(..text.ceil_char_boundary(surplus));
            }
        })
        .await?;
        Ok(text)
    };
    let what = format!("the log of {pod}");
    scope.server.call(&what, LIMIT, read).await
}

/// The newest wanted lines of one pod; none if it is gone or has not begun.
async fn read(
    scope: Scope<'_>,
    pods: &Resource,
    wanted: Wanted<'_>,
) -> Result<Logs, PlatformError> {
    let mut portion = wanted.lines + 1;
    if wanted.grep.is_some() {
        portion = portion.max(FIRST);
    }
    let what = format!("the log of {}", wanted.pod);
    let mut newest: Option<Vec<LogLine>> = None;
    let begun = Instant::now();
    loop {
        let left = LIMIT.saturating_sub(begun.elapsed());
        let call = portion_of(scope, pods, &wanted, portion);
        let read = match (scope.server.call(&what, left, call).await, newest) {
            (Err(PlatformError::Timeout { .. }), Some(lines)) => {
                return Ok(Logs {
                    lines,
                    truncated: true,
                });
            }
            (Err(error), _) if has_none(&error) => Portion::default(),
            (read, _) => read?,
        };
        let all_read = read.read < portion;
        if all_read || read.matches > wanted.lines || portion >= READ {
            return Ok(Logs {
                lines: read.lines.into(),
                truncated: read.matches > wanted.lines || !all_read,
            });
        }
        newest = Some(read.lines.into());
        portion = (portion * 10).min(READ);
    }
}

/// The pod is gone, has not begun, or had no run before: there are no lines, and that is no fault.
fn has_none(error: &PlatformError) -> bool {
    const WORDS: [&str; 5] = [
        "previous terminated container",
        "waiting to start",
        "is not available",
        "ContainerCreating",
        "PodInitializing",
    ];
    match error {
        PlatformError::NotFound { .. } => true,
        PlatformError::Failed { message, .. } => {
            code_of(error) == Some(400) && WORDS.iter().any(|words| message.contains(words))
        }
        _ => false,
    }
}

/// What was read of a log.
#[derive(Default)]
struct Portion {
    /// The newest lines that match, no more than are wanted.
    lines: VecDeque<LogLine>,
    /// How many lines match.
    matches: usize,
    /// How many lines were read.
    read: usize,
}

/// Reads the newest `portion` lines.
async fn portion_of(
    scope: Scope<'_>,
    pods: &Resource,
    wanted: &Wanted<'_>,
    portion: usize,
) -> Result<Portion, PlatformError> {
    let since = wanted.since;
    let params = LogParams {
        container: Some(wanted.container.clone()),
        previous: wanted.previous,
        tail_lines: Some(portion as i64),
        timestamps: true,
        // The client rounds to seconds, up or down. Times are compared below.
        since_time: since
            .map(|since| since.saturating_sub(SignedDuration::from_secs(1)))
            .and_then(Result::ok),
        ..LogParams::default()
    };
    let mut found = Portion::default();
    each_line(scope, pods, wanted.pod, &params, |line| {
        found.read += 1;
        let (at, text) = split_time(line);
        let text = clean(&String::from_utf8_lossy(text));
        let contains = |grep| text.to_lowercase().contains(grep);
        if since.is_some_and(|since| at < Some(since)) || !wanted.grep.is_none_or(contains) {
            return;
        }
        found.matches += 1;
        if found.lines.len() == wanted.lines {
            found.lines.pop_front();
        }
        found.lines.push_back(LogLine {
            at,
            replica: wanted.pod.to_owned(),
            stderr: false,
            text: fit(text),
        });
    })
    .await?;
    Ok(found)
}

/// Reads a log line by line.
async fn each_line(
    scope: Scope<'_>,
    pods: &Resource,
    pod: &str,
    params: &LogParams,
    mut take: impl FnMut(&[u8]) + Send,
) -> Result<(), PlatformError> {
    let mut stream = std::pin::pin!(pods.log(pod, params).await?);
    loop {
        match next_line(&mut stream).await {
            Ok(Some(line)) => take(&line),
            Ok(None) => return Ok(()),
            Err(error) => return Err(scope.server.error(kube::Error::ReadEvents(error))),
        }
    }
}

/// The next line without its end; what is longer than [`LONGEST`] is dropped as it comes.
async fn next_line(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut begun = false;
    loop {
        let bytes = stream.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(begun.then_some(line));
        }
        begun = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LONGEST.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        stream.consume_unpin(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// Takes off the server's time stamp.
fn split_time(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let split = || {
        let space = line.iter().take(40).position(|byte| *byte == b' ')?;
        let time: Timestamp = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
        Some((Some(time), &line[space + 1..]))
    };
    split().unwrap_or((None, line))
}

#[cfg(test)]
mod tests {
    use futures_util::io::{BufReader, Cursor};
    use serde_json::json;

    use super::*;

    fn line(at: &str, replica: &str) -> LogLine {
        LogLine {
            at: at.parse().ok(),
            replica: replica.into(),
            stderr: false,
            text: String::new(),
        }
    }

    #[test]
    fn pods_are_merged_in_the_order_of_time_and_the_newest_kept() {
        let lines = vec![
            line("2026-11-27T10:00:01Z", "a"),
            line("2026-11-27T10:00:03Z", "a"),
            line("2026-11-27T10:00:02Z", "b"),
        ];
        let logs = merged(lines, 2, false);
        let order: Vec<_> = logs
            .lines
            .iter()
            .map(|line| line.replica.as_str())
            .collect();
        assert_eq!(order, ["b", "a"]);
        assert!(logs.truncated);
    }

    #[tokio::test]
    async fn lines_are_cut_out_of_any_pieces_and_long_ones_are_not_held() {
        let long = "x".repeat(3 * LONGEST);
        let text = format!("2026-11-27T10:00:00Z one\n\n{long}\nlast");
        let mut stream = BufReader::with_capacity(7, Cursor::new(text.into_bytes()));
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut stream).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines.len(), 4);
        assert_eq!((lines[1].len(), lines[2].len()), (0, LONGEST));
        let (at, text) = split_time(&lines[0]);
        assert_eq!((at.is_some(), text), (true, b"one".as_slice()));
        assert_eq!(split_time(&lines[3]), (None, b"last".as_slice()));
    }

    #[test]
    fn a_container_that_is_not_there_is_told_with_those_that_are() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web-1"}, "spec": {
            "containers": [{"name": "web"}, {"name": "proxy"}],
            "initContainers": [{"name": "migrate"}]}}))
        .unwrap();
        let chosen = |asked| container(&pod, asked, &["frontend"]);
        assert_eq!(chosen(None).unwrap().as_deref(), Some("web"));
        assert_eq!(chosen(Some("migrate")).unwrap().as_deref(), Some("migrate"));
        let error = chosen(Some("nginx")).unwrap_err().to_string();
        assert!(error.ends_with("it has: web, proxy, migrate"), "{error}");
    }
}
